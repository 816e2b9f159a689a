"""4. Nothing is lost: damage is found and named. (Kills are in test_crash.py, full disks in test_full_disks.py.)"""

import contextlib
import shutil
import sqlite3

import numpy as np
import pytest

import mergestore
from tests.integration.guards import behind_guards
from tests.integration.models import BERT_CONFIG, bert, factors, fine_tune, floats, renamed, save, save_adapter

pytestmark = pytest.mark.usefixtures("surroundings")


@pytest.fixture(scope="module")
def sound(surroundings, tmp_path_factory):
    """A store with everything in it that can be damaged."""
    folder, base = tmp_path_factory.mktemp("sound"), bert(seed=1)
    save(folder / "base", base, BERT_CONFIG, files={"tokenizer.json": '{"a": 1}'}, shards=2)
    with mergestore.open(folder / "store") as store:
        store.register_base("base", folder / "base", licence="MIT")
        head = {"classifier.weight": floats(np.ones((2, 16)))}
        save(folder / "s0", renamed(fine_tune(base, 1), "bert.") | head, BERT_CONFIG)
        store.register_skill("exact", folder / "s0", base="base", encoding="exact", licence="MIT")
        store.register_skill("dare", save(folder / "s1", fine_tune(base, 2)), base="base", drop_rate=0.5)
        adapter = save_adapter(folder / "s2", factors(base, ["pooler.dense.weight"]))
        store.register_skill("lora", adapter, base="base")
        store.merge("merge", "base + 0.5*exact + 0.4*dare + 0.3*lora")
        store.alias("merge", "prod")
        store.add_evaluation("merge", metric="recall", value=0.5, dataset="test")
        store.materialize("merge", output=folder / "out", shard_size=3000, wait=False)
    return folder


def test_every_file_of_a_store_is_watched(sound, tmp_path):
    """One bit of any stored file, anywhere in it, is found; so is a file that is gone; the finding names the file."""
    random = np.random.default_rng(4)
    shutil.copytree(sound / "store", tmp_path / "store")
    with mergestore.open(tmp_path / "store") as store:
        objects = sorted(path for path in (tmp_path / "store" / "objects").rglob("*") if path.is_file())
        assert len(objects) == 7
        for path in objects:
            content = path.read_bytes()
            for position in (0, len(content) // 2, len(content) - 1, int(random.integers(0, len(content)))):
                damaged = bytearray(content)
                damaged[position] ^= 1 << int(random.integers(0, 8))
                path.write_bytes(damaged)
                assert_named(store, path.name)
            path.write_bytes(content[:-1])
            assert_named(store, path.name)
            path.unlink()
            assert_named(store, path.name)
            path.write_bytes(content)
        assert store.verify().ok


def assert_named(store, name):
    verified = store.verify()
    assert not verified.ok
    assert any(name in problem["what"] for problem in verified.problems), verified.problems
    assert all(problem["hint"] for problem in verified.problems)


def test_every_file_of_a_published_folder_is_watched(sound, tmp_path):
    random = np.random.default_rng(5)
    folder = shutil.copytree(sound / "out", tmp_path / "out")
    files = sorted(path for path in folder.iterdir() if path.name != "README.md")
    assert {path.name for path in files} >= {"config.json", "tokenizer.json", "mergestore.json"}
    with mergestore.open(sound / "store") as store:
        for path in files:
            content = path.read_bytes()
            for position in (0, len(content) // 2, len(content) - 1, *random.integers(0, len(content), 6)):
                damaged = bytearray(content)
                damaged[position] ^= 1 << int(random.integers(0, 8))
                path.write_bytes(damaged)
                verified = store.verify(folder)
                assert not verified.ok, f"byte {position} of {path.name}"
                assert any(path.name in problem["what"] + problem["where"] for problem in verified.problems)
            path.unlink()
            assert not store.verify(folder).ok
            path.write_bytes(content)
        (folder / "README.md").write_text("a card that its owner rewrote")
        assert store.verify(folder).ok


ROWS = {
    "a base's digest": "update model_version set digest = 'blake3:' || hex(zeroblob(32)) where id = 1",
    "a skill's digest": "update model_version set digest = 'blake3:' || hex(zeroblob(32)) where id = 2",
    "a version's number": "update model_version set version = 2 where id = 3",
    "a licence": "update model_version set licence = 'Apache-2.0' where id = 2",
    "a tensor's digest": "update tensor set digest = 'blake3:' || hex(zeroblob(32)) "
    "where name = 'pooler.dense.bias' and version_id = 1",
    "a tensor's place": "update tensor set offset = offset + 4 where name = 'pooler.dense.bias' and version_id = 1",
    "a tensor's shape": "update tensor set shape = '[2, 128]' where name = 'pooler.dense.weight' and version_id = 1",
    "a tensor": "delete from tensor where name = 'pooler.dense.bias' and version_id = 1",
    "a fine-tuned tensor's digest": "update tensor set digest = 'blake3:' || hex(zeroblob(32)) "
    "where name = 'pooler.dense.bias' and version_id = 2",
    "a file": "delete from version_file where path = 'tokenizer.json'",
    "a file's blob": "update version_file set blob_digest = (select blob_digest from delta where version_id = 3) "
    "where version_id = 2",
    "a delta's blob": "update delta set blob_digest = (select blob_digest from delta where version_id = 3) "
    "where version_id = 2",
    "a delta's base": "update delta set base_version_id = 2 where version_id = 3",
    "a drop rate": "update delta set drop_rate = 0.25 where version_id = 3",
    "a seed": "update delta set seed = 9 where version_id = 3",
    "an encoding": "update delta set encoding = 'lora' where version_id = 2",
    "a recipe's text": "update recipe set canonical = replace(canonical, '0.5', '0.6')",
    "a recipe's digest": "update recipe set digest = 'sha256:' || hex(zeroblob(32))",
    "a recipe's input": "update recipe_input set weight = 0.9 where position = 1",
    "a recipe's inputs": "delete from recipe_input where position = 2",
    "an edge of lineage": "delete from lineage_edge where child_version_id = 5 and parent_version_id = 2",
    "an alias": "update alias set version_id = 1",
    "an output's digest": "update materialization set output_digest = 'blake3:' || hex(zeroblob(32))",
    "a materialization": "delete from materialization",
    "a score": "update evaluation set value = 0.6",
    "a score that is gone": "delete from evaluation",
    "a name": "update model set name = 'exakt' where name = 'exact'",
    "a state": "update model_version set state = 'yanked', reason = 'x' where id = 2",
    "an event": "update audit_event set actor = 'somebody' where sequence = 4",
    "an event that is gone": "delete from audit_event where sequence = 4",
    "the last event": "delete from audit_event where sequence = (select max(sequence) from audit_event)",
    "the chain's head": "update store_meta set value = replace(value, '\"sequence\":', '\"sequence\":9') "
    "where key = 'audit_head'",
}


@pytest.mark.parametrize("case", ROWS)
def test_every_record_is_watched(sound, tmp_path, case):
    shutil.copytree(sound / "store", tmp_path / "store")
    with behind_guards(tmp_path / "store" / "registry.db") as database:
        assert database.execute(ROWS[case]).rowcount > 0
    with mergestore.open(tmp_path / "store") as store:
        verified = store.verify()
    assert not verified.ok
    assert all(problem["what"] and problem["where"] and problem["hint"] for problem in verified.problems)


@pytest.mark.slow
def test_a_flipped_bit_of_the_database_is_found_or_harmless(sound, tmp_path):
    """Of bits flipped anywhere in the database file, each is found, or what the registry answers is unchanged."""
    random, path = np.random.default_rng(6), tmp_path / "store" / "registry.db"
    shutil.copytree(sound / "store", tmp_path / "store")
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("pragma wal_checkpoint(truncate)")
    content, answer, found = path.read_bytes(), None, 0
    for position in (None, *random.integers(0, len(content), 60)):
        damaged = bytearray(content)
        if position is not None:
            damaged[position] ^= 1 << int(random.integers(0, 8))
        path.write_bytes(damaged)
        for sidecar in ("-wal", "-shm"):
            path.with_name(path.name + sidecar).unlink(missing_ok=True)
        try:
            with mergestore.open(tmp_path / "store", create=False) as store:
                verified = store.verify()
                told = answers(store) if verified.ok else None
        except (mergestore.IntegrityFailure, mergestore.EnvironmentFailure):
            verified, told = None, None
        answer = answer or told
        found += told is None
        assert told in (None, answer), f"byte {position}"
    assert answer is not None
    assert found > 10


def answers(store):
    names = ("base", "exact", "dare", "lora", "merge@prod")
    return [store.audit(name).to_dict() for name in names] + [
        {key: value for key, value in store.show(name).items() if key != "files"} for name in names
    ]


def test_damage_is_repaired_by_the_same_content(sound, tmp_path):
    shutil.copytree(sound / "store", tmp_path / "store")
    with mergestore.open(tmp_path / "store") as store:
        for path in sorted(path for path in (tmp_path / "store" / "objects").rglob("*") if path.is_file()):
            path.write_bytes(b"damaged")
        assert not store.verify().ok
        store.register_base("base", sound / "base")
        store.register_skill("exact", sound / "s0", base="base", encoding="exact")
        store.register_skill("dare", sound / "s1", base="base", drop_rate=0.5)
        store.register_skill("lora", sound / "s2", base="base")
        assert store.verify().ok
