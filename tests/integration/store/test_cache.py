"""What was materialized before: reused, copied, named anew, and computed again when it is damaged."""

import json
import shutil
from pathlib import Path

import pytest

import mergestore
from mergestore import EnvironmentFailure

pytestmark = pytest.mark.usefixtures("surroundings")


def test_the_cache_is_reused_and_says_so(filled):
    first = filled.materialize("assistant", wait=False)
    second = filled.materialize("assistant", wait=False)
    assert (first.cached, second.cached) == (False, True)
    assert second.materialization_id == first.materialization_id
    assert any("cache" in note for note in second.notes)
    anew = filled.materialize("assistant", cache=False, wait=False)
    assert anew.cached is False
    assert anew.materialization_id != first.materialization_id
    assert (anew.path, anew.output_digest) == (first.path, first.output_digest)
    sharded = filled.materialize("assistant", shard_size=5000, wait=False)
    assert sharded.cached is False
    assert Path(sharded.path, "model.safetensors.index.json").exists()
    shutil.rmtree(first.path)
    assert filled.materialize("assistant", wait=False).cached is False


def test_a_damaged_cache_is_computed_anew(filled):
    first = filled.materialize("assistant", wait=False)
    weights = Path(first.path, "model.safetensors")
    good = weights.read_bytes()
    for damage in (good[:-1] + bytes([good[-1] ^ 1]), good[:-9]):
        weights.write_bytes(damage)
        again = filled.materialize("assistant", wait=False)
        assert again.cached is False
        assert any("damaged" in note for note in again.notes)
        assert weights.read_bytes() == good
    Path(first.path, "config.json").unlink()
    assert filled.materialize("assistant", wait=False).cached is False


def test_the_cache_that_is_looked_at_is_the_stores_own(filled, tmp_path):
    """Records tell where results were, before the store was copied or moved."""
    made = filled.materialize("assistant", wait=False)
    copy = shutil.copytree(filled.home.root, tmp_path / "copy")
    weights = copy / "cache" / Path(made.path).name / "model.safetensors"
    good = weights.read_bytes()
    with mergestore.open(copy) as store:
        weights.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
        for found in (store.verify(), store.verify("assistant")):
            assert [problem["where"] for problem in found.problems] == [str(weights)]
        assert filled.verify().ok
        weights.rename(Path(made.path, "model.safetensors"))
        shutil.rmtree(weights.parent)
        assert store.verify().ok
        assert not filled.verify().ok


def test_an_output_is_copied_from_the_cache(filled, tmp_path):
    first = filled.materialize("assistant", wait=False)
    copied = filled.materialize("assistant", output=tmp_path / "out", wait=False)
    assert copied.cached is True
    assert copied.path == str(tmp_path / "out")
    assert copied.materialization_id != first.materialization_id
    assert contents(tmp_path / "out") == contents(Path(first.path))
    weights = tmp_path / "out" / "model.safetensors"
    weights.write_bytes(b"changed by its owner")
    assert filled.verify(Path(first.path)).ok, "a copy shares nothing with the cache"
    fresh = filled.materialize("assistant", output=tmp_path / "fresh", cache=False, wait=False)
    assert fresh.cached is False
    assert contents(tmp_path / "fresh") == contents(Path(first.path))


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_merge_is_named_though_its_expression_was_cached(store, models, tmp_path):
    """The cache is kept by recipe; what a result is called is another matter."""
    store.register_base("tiny", models / "tiny")
    store.register_skill("code", models / "ft2", base="tiny", encoding="exact")
    first = store.materialize("tiny + 0.5*code", wait=False)
    store.merge("half", "tiny + 0.5*code")
    in_cache = store.materialize("half", wait=False)
    in_folder = store.materialize("half", output=tmp_path / "out", wait=False)
    assert first.recipe_digest == in_cache.recipe_digest
    assert (in_cache.cached, in_folder.cached) == (True, True)
    document = json.loads((tmp_path / "out" / "mergestore.json").read_text())
    assert (document["merge"]["name"], document["merge"]["version"]) == ("half", 1)
    assert "half@1" in {node["id"] for node in document["lineage"]["nodes"]}
    assert (tmp_path / "out" / "README.md").read_text().splitlines().count("# half") == 1
    assert store.verify(tmp_path / "out").ok
    named = [message["merge"] for message in payloads(store)]
    assert named[0] is None
    assert [merge["name"] for merge in named[1:]] == ["half", "half"]
    assert store.materialize("half", wait=False).materialization_id == in_cache.materialization_id


def payloads(store):
    from registry.records import outbox
    from registry.records.database import reading

    with reading(store.engine) as session:
        return [message.payload for message in outbox.pending(session)]


def test_a_device_that_is_not_there_is_told_even_where_the_cache_has_the_result(filled):
    filled.materialize("assistant", wait=False)
    with pytest.raises(EnvironmentFailure, match="cdua"):
        filled.materialize("assistant", device="cdua", wait=False)
