"""Damage to what is stored or published: found before it is used, and named."""

import json

import pytest

from tests.integration.bad_input.refusal import BASE, skill
from tests.integration.models import fine_tune, save

pytestmark = pytest.mark.usefixtures("surroundings")


def stored(shell, kind):
    """The largest stored object of a kind: weights of the base, or the delta of math."""
    shown = shell.json("show", "tiny" if kind == "weights" else "math")
    digest = max(shown["files"], key=lambda file: file["size"])["digest"].removeprefix("blake3:")
    return shell.home / "objects" / "blake3" / digest[:2] / digest


def flip(path, at=-1):
    path.chmod(0o644)
    content = bytearray(path.read_bytes())
    content[at] ^= 4
    path.write_bytes(content)


@pytest.mark.parametrize(("kind", "named"), [("weights", "tiny@1"), ("delta", "math@1")])
def test_a_damaged_object(alone, kind, named):
    path = stored(alone, kind)
    flip(path)
    found = alone.refused(6, "materialize", "assistant", "--no-wait")
    assert str(path) in found["message"] or "tensor" in found["message"]
    assert found["hint"]
    verified = alone.json("verify", code=6)
    assert any(path.name in problem["what"] and named in problem["where"] for problem in verified["problems"])


@pytest.mark.parametrize("kind", ["weights", "delta"])
def test_a_missing_object(alone, kind):
    path = stored(alone, kind)
    path.unlink()
    found = alone.refused(6, "materialize", "assistant", "--no-wait")
    assert path.name in found["message"]
    verified = alone.json("verify", code=6)
    assert any(path.name in problem["what"] for problem in verified["problems"])


def test_a_truncated_object(alone):
    for kind in ("weights", "delta"):
        path = stored(alone, kind)
        content = path.read_bytes()
        path.chmod(0o644)
        path.write_bytes(content[:-40])
        alone.refused(6, "materialize", "assistant", "--no-wait")
        assert alone.json("verify", code=6)["problems"]
        path.write_bytes(content)
    assert alone.json("verify")["ok"] is True


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json"])
def test_a_damaged_companion(alone, name):
    files = {file["path"]: file["digest"] for file in alone.json("show", "tiny")["files"]}
    digest = files[name].removeprefix("blake3:")
    flip(alone.home / "objects" / "blake3" / digest[:2] / digest, 1)
    found = alone.refused(6, "materialize", "assistant", "--no-wait")
    assert digest in found["message"]


def test_a_damaged_base_under_a_new_skill(alone, tmp_path):
    flip(stored(alone, "weights"))
    found = skill(alone, save(tmp_path / "x", fine_tune(BASE, 1)), code=6)
    assert "tensor" in found["message"]


def test_a_damaged_published_folder(alone, tmp_path):
    shell, out = alone, tmp_path / "out"
    shell.json("materialize", "assistant", "-o", out, "--no-wait", "--shard-size", "8kB")
    shard = max(out.glob("model-*.safetensors"), key=lambda path: path.stat().st_size)
    untouched = shard.read_bytes()
    flip(shard)
    verified = shell.json("verify", out, code=6)
    last = list(json.loads(untouched[8 : 8 + int.from_bytes(untouched[:8], "little")]))[-1]
    assert verified["ok"] is False
    assert [problem["where"] for problem in verified["problems"]] == [str(shard)]
    assert f"tensor '{last}' is not what was published" in verified["problems"][0]["what"]
    assert "--force" in verified["problems"][0]["hint"]
    shard.write_bytes(untouched[:-5])
    assert any("truncated" in problem["what"] for problem in shell.json("verify", out, code=6)["problems"])
    shard.unlink()
    assert shard.name in shell.json("verify", out, code=6)["problems"][0]["what"]


@pytest.mark.parametrize("name", ["mergestore.json", "config.json", "tokenizer.json", "model.safetensors.index.json"])
def test_a_damaged_paper_of_a_published_folder(alone, tmp_path, name):
    shell, out = alone, tmp_path / "out"
    shell.json("materialize", "assistant", "-o", out, "--no-wait", "--shard-size", "8kB")
    flip(out / name, 20 if name == "mergestore.json" else 1)
    verified = shell.json("verify", out, code=6)
    assert any(name in problem["what"] + problem["where"] for problem in verified["problems"])
    (out / name).unlink()
    assert shell.json("verify", out, code=6)["problems"]
