"""What goes wrong on the command line, and its exit code."""

import contextlib
import io
import json

import pytest

from cli import main
from tests.integration.shell import Shell

UNREACHABLE = "postgresql://nobody@127.0.0.1:9/none"


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (2, ["merge", "a/b/c", "tiny + math"]),
        (2, ["merge", "../up", "tiny + math"]),
        (2, ["merge", "bad", "tiny + + math"]),
        (2, ["merge", "bad", "tiny + math + math"]),
        (2, ["merge", "bad", "tiny + math", "--method", "magic"]),
        (2, ["merge", "bad", "tiny + math", "--param", "nonsense=1"]),
        (2, ["materialize", "tiny + code", "--method", "dare_linear", "--param", "drop_rate=1", "--no-wait"]),
        (2, ["list", "nonsense"]),
        (3, ["show", "maths"]),
        (3, ["audit", "nobody"]),
        (3, ["show", "math@9"]),
        (3, ["materialize", "tiny + maths", "--no-wait"]),
        (3, ["register", "skill", "x", "folder", "--base", "nobody"]),
        (4, ["register", "skill", "tiny", "tuned", "--base", "tiny"]),
        (5, ["register", "base", "x", "folder"]),
        (7, ["materialize", "assistant", "--device", "cuda:99", "--no-cache", "--no-wait"]),
        (7, ["list", "--database", UNREACHABLE]),
    ],
)
def test_what_goes_wrong_has_its_exit_code(filled, models, tmp_path, code, words):
    places = {"folder": tmp_path, "tuned": models / "math"}
    found = filled.refused(code, *[places.get(word, word) for word in words])
    assert found["message"]
    assert found["hint"]


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        (["merge", "x", "tiny + math", "--task", "math"], "merge has no option --task", "one of check, materialize"),
        (["stats", "list", "--kindly"], "No such option: --kindly", "stats list --help"),
        (["methods", "ram"], "unknown method 'ram'", "--semantics mergekit"),
        (["methods", "sign", "--semantics", "mergekit"], "no method 'sign'", "there are linear"),
        (["methods", "regmean", "--semantics", "mergekit"], "no method 'regmean'", "--semantics paper"),
        (["merge", "x", "tiny + {q_proj: 1}*math"], "the weight of math@1: nothing is said", "*: 0.5"),
        (["merge", "x", "tiny + {nothere: 1, *: 0}*math"], "the filter 'nothere' fits none of the base's", "names are"),
        (["merge", "x", "tiny + {embed[_]*: 1, *: 0}*math"], "fits none", "'*embed[_]*' with any part"),
        (["merge", "x", "tiny + tiny"], "tiny@1 is a base", "--semantics mergekit"),
        (["merge", "x", "tiny + 0.5*code", "--method", "nearswap"], "has no weights", "BASE + SKILL"),
        (
            ["merge", "x", "tiny + code", "--method", "della", "--param", "drop_rate=0.95"],
            "drop rates from 0.8 to 1.1",
            "epsilon must be below 0.05",
        ),
    ],
)
def test_a_mistake_is_told_in_the_words_that_were_used(filled, words, message, hint):
    found = filled.refused(2, *words)
    assert message in found["message"]
    assert hint in found["hint"]


def test_a_filter_that_fits_nothing_stands_in_mergekits_semantics_and_is_noted(filled):
    words = ("merge", "idle", "tiny + {nothere: 1, *: 0.5}*code", "--semantics", "mergekit")
    assert any("the filter 'nothere' fits none" in note for note in filled.json(*words)["notes"])


@pytest.mark.parametrize("rate", ["1", "1.5", "-0.1", "nan"])
def test_a_drop_rate_outside_its_range_is_usage(filled, models, rate):
    words = ("register", "skill", "x", models / "math", "--base", "tiny", "--drop-rate", rate)
    assert filled.refused(2, *words)["kind"] == "usage"


def test_an_existing_folder_is_kept_without_force(filled, tmp_path):
    target = tmp_path / "out"
    target.mkdir()
    (target / "mine.txt").write_text("mine")
    filled.refused(4, "materialize", "assistant", "-o", target, "--no-wait")
    assert (target / "mine.txt").read_text() == "mine"
    filled.refused(4, "materialize", "assistant", "-o", target, "--force", "--no-wait")
    (target / "mine.txt").unlink()
    filled.text("materialize", "assistant", "-o", target, "--force", "--no-wait")
    assert not (target / "mine.txt").exists()


def test_damage_is_named_and_is_six(fresh, models, tmp_path):
    fresh.text("register", "base", "tiny", models / "base")
    stored = max((path for path in (fresh.home / "objects").rglob("*") if path.is_file()), key=_size)
    stored.chmod(0o644)
    damaged = bytearray(stored.read_bytes())
    damaged[-1] ^= 1
    stored.write_bytes(damaged)
    answer = fresh.json("verify", code=6)
    assert answer["ok"] is False
    assert answer["problems"]
    code, out, _ = fresh("verify")
    assert code == 6
    assert out.startswith("DAMAGED")


def _size(path):
    return path.stat().st_size


def test_only_init_makes_a_store(tmp_path):
    shell = Shell(tmp_path / "none")
    found = shell.refused(7, "list")
    assert "mergestore init" in found["hint"]
    assert not (tmp_path / "none").exists()


def test_the_environment_names_the_store_and_the_option_wins(filled, tmp_path, monkeypatch):
    monkeypatch.setenv("MERGESTORE_HOME", str(filled.home))
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        assert main(["list", "--json"]) == 0
        assert main(["list", "--store", str(tmp_path / "none")]) == 7
    assert json.loads(out.getvalue())["bases"]
