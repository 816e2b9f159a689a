"""Whole stores whose objects are remote, with records on SQLite and on PostgreSQL: all verbs as on a folder."""

from __future__ import annotations

import contextlib
import itertools
import re
import shutil
import sys
import threading
import time
from pathlib import Path

import pytest
from sqlalchemy import text

import mergestore
from mergestore import Conflict, EnvironmentFailure, IntegrityFailure, UsageError
from registry.backups.manifest import read as read_backup
from registry.home import Home
from registry.records.database import reading, writing
from storage.objects import bucket as buckets
from storage.objects.bucket import Bucket
from tests.integration.shell import Shell

pytestmark = pytest.mark.server


def weights(folder):
    return {path.name: path.read_bytes() for path in sorted(Path(folder).glob("*.safetensors"))}


def remote_file(store, reference, path):
    (digest,) = (file["digest"] for file in store.show(reference)["files"] if file["path"] == path)
    name = digest.partition(":")[2]
    return digest, f"blake3/{name[:2]}/{name}"


def spoil(store, key, folder):
    bucket = Bucket(store.home.storage)
    size = bucket.size(key)
    data = bytearray(bucket.read(key, 0, size))
    data[size // 2] ^= 0x10
    (folder / "bad").write_bytes(data)
    bucket.replace(key, folder / "bad", size)


def test_all_verbs_as_on_a_folder(store, open_store, local, models, tmp_path):
    store.materialize("assistant", output=tmp_path / "assistant", wait=False)
    assert weights(tmp_path / "assistant") == weights(local / "assistant")
    assert not (store.home.root / "objects").exists()
    assert store.verify().ok
    assert store.check_store(read_data=True).ok
    assert store.repair().ok
    with open_store("elsewhere") as other:  # which has nothing but the database and the bucket
        other.materialize("assistant", output=tmp_path / "again", wait=False)
        assert weights(tmp_path / "again") == weights(local / "assistant")
        other.materialize("all", output=tmp_path / "all", task="code", wait=False)
    store.export(["assistant"], tmp_path / "assistant.bundle", lineage=True)
    with mergestore.open(tmp_path / "third", actor="bob@lab") as third:
        third.import_bundle(tmp_path / "assistant.bundle")
        third.export(["assistant"], tmp_path / "back.bundle", lineage=True)
        assert third.verify().ok
    url = f"{store.home.storage}-two"
    with mergestore.open(tmp_path / "fourth", objects=url, actor="bob@lab") as fourth:
        fourth.import_bundle(tmp_path / "back.bundle")
        assert fourth.verify().ok


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_damage_is_told_and_mended(store, open_store, models, tmp_path):
    digest, key = remote_file(store, "math", "delta.safetensors")
    _, base = remote_file(store, "tiny", "model.safetensors")
    bad = Bucket(store.home.storage)
    spoil(store, key, tmp_path)
    spoil(store, base, tmp_path)
    spoiled = bytes(bad.read(key, 0, bad.size(key)))
    with open_store("elsewhere") as other, pytest.raises(IntegrityFailure, match=r"damaged|hashes"):
        other.materialize("assistant", output=tmp_path / "out", wait=False)
    assert not (tmp_path / "out").exists()
    assert not store.verify().ok
    assert not store.check_store(read_data=True).ok
    assert store.repair(copies=[models], apply=True).ok
    assert store.verify().ok
    assert (store.home.quarantine / digest.replace(":", "-")).read_bytes() == spoiled


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_bucket_that_lost_something_is_told_of(store):
    digest, key = remote_file(store, "code", "delta.safetensors")
    Bucket(store.home.storage).delete(key)
    problems = store.check_store().problems
    assert [problem["digest"] for problem in problems if "digest" in problem] == [digest]
    with pytest.raises(IntegrityFailure, match="missing"):
        store.home.blobs.verify(digest)


@contextlib.contextmanager
def killed(gateway, patch, method, at):
    """A block in which the server is killed just before the so-many-th request of a kind, and comes back later."""
    original, number, helpers = getattr(Bucket, method), itertools.count(1), []

    def restart():
        time.sleep(1.5)
        gateway.start_gateway()

    def called(*words, **more):
        if next(number) == at:
            gateway.kill_gateway()
            helpers.append(threading.Thread(target=restart))
            helpers[0].start()
        return original(*words, **more)

    try:
        with patch.context() as patched:
            patched.setattr(Bucket, method, called)
            yield
    finally:
        for helper in helpers:
            helper.join()
    assert helpers, f"{next(number) - 1} requests were made"


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_the_server_is_killed_and_comes_back_in_the_middle(
    gateway, store, open_store, local, models, tmp_path, monkeypatch
):
    """Work under way waits for the server; a store is whole afterwards."""
    with killed(gateway, monkeypatch, "create", 1):
        store.register_skill("late", models / "code", base="tiny", encoding="sign")
    for number in (1, 3):
        out = tmp_path / f"out{number}"
        with open_store(f"elsewhere{number}") as other, killed(gateway, monkeypatch, "read", number):
            other.materialize("assistant", output=out, wait=False)
        assert weights(out) == weights(local / "assistant")
    with open_store("elsewhere") as other, killed(gateway, monkeypatch, "read", 4):
        assert other.check_store(read_data=True).ok
    with killed(gateway, monkeypatch, "create", 3):
        mergestore.backup(tmp_path / "backup", store.home.root, database=store.engine.url.render_as_string(False))
        url = f"{store.home.storage}-restored"
        assert mergestore.restore(tmp_path / "backup", tmp_path / "again", objects=url).ok
    assert store.verify().ok


@pytest.mark.slow
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_server_that_stays_away_leaves_no_half_record(gateway, store, open_store, models, tmp_path, monkeypatch):
    monkeypatch.setattr(buckets, "PATIENCE", 1.0)
    with open_store() as hasty, open_store("elsewhere") as other:
        before = hasty.list()
        gateway.kill_gateway()
        try:
            with pytest.raises(EnvironmentFailure, match="does not answer"):
                hasty.register_skill("late", models / "code", base="tiny", encoding="sign")
            with pytest.raises(EnvironmentFailure, match="does not answer"):
                other.materialize("assistant", output=tmp_path / "out", wait=False)
            assert not (tmp_path / "out").exists()
            doctor = {check["name"]: check for check in hasty.doctor()["checks"]}
            assert doctor["objects"]["level"] == "error"
        finally:
            gateway.start_gateway()
        assert hasty.list() == before
        with pytest.raises(mergestore.NotFound):
            hasty.show("late")
        assert list((hasty.home.root / "tmp").iterdir()) == []
        hasty.register_skill("late", models / "code", base="tiny", encoding="sign")
        assert hasty.verify().ok
        assert {check["name"]: check for check in hasty.doctor()["checks"]}["objects"]["ok"]


def test_the_read_cache_keeps_its_bound_and_can_be_emptied(store, open_store, local, tmp_path):
    with open_store("elsewhere", objects_cache=20_000) as other:
        other.home.blobs.cache._grace = 0.0
        for number in range(2):
            other.materialize("assistant", output=tmp_path / f"out{number}", wait=False, cache=False)
            assert weights(tmp_path / f"out{number}") == weights(local / "assistant")
            copies = list((other.home.root / "objects-cache").iterdir())
            largest = max(path.stat().st_size for path in copies)
            assert sum(path.stat().st_size for path in copies) <= max(20_000, largest)
            shutil.rmtree(other.home.root / "objects-cache")


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_damaged_copy_is_fetched_again(store, open_store, local, tmp_path):
    digest, _ = remote_file(store, "math", "delta.safetensors")
    with open_store() as again:
        copy = again.home.blobs.path(digest)
        good = copy.read_bytes()
        copy.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
        assert again.home.blobs.path(digest).read_bytes() == good


def test_where_the_objects_are_is_on_record(store, open_store, bucket, tmp_path, database_url):
    with open_store("elsewhere") as other:
        assert other.home.storage == f"{bucket}/lab"
    with pytest.raises(Conflict, match="objects of this store are in"), open_store(objects=f"{bucket}/other"):
        pass
    with writing(store.engine) as session:
        session.execute(text("UPDATE store_meta SET value = 's3://elsewhere' WHERE key = 'objects'"))
    found = store.verify()
    assert any("were put in" in problem["what"] for problem in found.problems)


def test_two_stores_do_not_share_a_place(store, tmp_path):
    """What one has would be garbage for the other."""
    with pytest.raises(Conflict, match=r"is the place of store"):
        mergestore.init(tmp_path / "second", objects=store.home.storage)
    assert store.check_store(read_data=True).problems == []


def test_a_store_with_objects_in_its_folder_stays_as_it_is(local, bucket, monkeypatch):
    with pytest.raises(Conflict, match="in its own folder"):
        mergestore.init(local / "store", objects=bucket)
    monkeypatch.setenv("MERGESTORE_OBJECTS", bucket)
    assert mergestore.init(local / "store")["objects"] == str(local / "store" / "objects")


def test_init_by_the_command_line(bucket, tmp_path, monkeypatch):
    shell = Shell(tmp_path / "one")
    assert shell.json("init", "--objects", f"{bucket}/one/")["objects"] == f"{bucket}/one"
    assert f"objects {bucket}/one" in shell.text("init")
    assert re.search(r"ok +objects", shell("doctor")[1])
    monkeypatch.setenv("MERGESTORE_OBJECTS", f"{bucket}/two")
    assert Shell(tmp_path / "two").json("init")["objects"] == f"{bucket}/two"
    assert shell.json("init")["objects"] == f"{bucket}/one"


@pytest.mark.parametrize(
    "url", ["https://host/bucket", "s3://", "s3://key:secret@bucket", "s3://bucket/../up", "s3://b"]
)
def test_what_names_no_storage_is_refused(url, tmp_path):
    with pytest.raises(UsageError, match="names no object storage"):
        mergestore.init(tmp_path / "store", objects=url)
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("AWS_SECRET_ACCESS_KEY", "wrong", "AWS_SECRET_ACCESS_KEY"),
        pytest.param("AWS_ENDPOINT_URL", "http://127.0.0.1:9", "AWS_ENDPOINT_URL", marks=pytest.mark.slow),
        ("AWS_ACCESS_KEY_ID", None, "AWS_ACCESS_KEY_ID"),
        (None, None, "bucket"),
    ],
)
def test_what_does_not_let_us_in_is_told_before_anything_is_made(bucket, tmp_path, monkeypatch, name, value, told):
    if name is None:
        bucket = "s3://there-is-no-such-bucket"
    elif value is None:
        monkeypatch.delenv(name)
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    else:
        monkeypatch.setenv(name, value)
    error = Shell(tmp_path / "store").refused(7, "init", "--objects", bucket)
    assert told in error["hint"]
    assert not (tmp_path / "store").exists()


def test_without_the_library_it_is_told_how_to_install_it(tmp_path, monkeypatch):
    for name in ("obstore", "obstore.store", "obstore.exceptions"):
        monkeypatch.setitem(sys.modules, name, None)
    error = Shell(tmp_path / "store").refused(7, "init", "--objects", "s3://models")
    assert error["hint"] == "pip install 'mergestore[s3]'"
    assert not (tmp_path / "store").exists()


def test_a_schema_without_object_storage_is_refused(bucket, database_url, tmp_path):
    mergestore.init(tmp_path / "store", database=database_url, objects=f"{bucket}/lab")
    with pytest.raises(Conflict, match="does not look"):
        mergestore.init(tmp_path / "store", database=database_url, downgrade="0003")
    assert mergestore.init(tmp_path / "store", database=database_url)["objects"] == f"{bucket}/lab"


# --- backups ----------------------------------------------------------------------------------------------


def restored_is_whole(home, database, local, tmp_path):
    with mergestore.open(home, database=database, create=False) as again:
        assert again.check_store(read_data=True).problems == []
        assert again.verify().problems == []
        again.materialize("assistant", output=tmp_path / "restored", wait=False, cache=False)
        assert weights(tmp_path / "restored") == weights(local / "assistant")
        return again.home.storage


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_backup_is_restored_into_a_folder_or_another_bucket(store, bucket, local, database_url, tmp_path):
    """Not into the bucket where the store may live on, nor does it refer to that."""
    mergestore.backup(tmp_path / "backup", store.home.root, database=database_url)
    shell = Shell(tmp_path / "folder")
    assert shell.json("restore", tmp_path / "backup")["ok"]
    elsewhere = f"{bucket}/elsewhere"
    assert Shell(tmp_path / "moved").json("restore", tmp_path / "backup", "--objects", elsewhere)["ok"]
    for key in list(store.home.blobs.digests()):
        store.home.blobs.remove(key)
    assert restored_is_whole(tmp_path / "folder", None, local, tmp_path) is None
    shutil.rmtree(tmp_path / "restored")
    assert restored_is_whole(tmp_path / "moved", None, local, tmp_path) == elsewhere


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_nothing_of_a_damaged_backup_is_put_into_a_bucket(store, bucket, database_url, tmp_path):
    """No registry would know it there, and no ``gc`` collect it."""
    backup = tmp_path / "backup"
    mergestore.backup(backup, store.home.root, database=database_url)
    last = max(path for path in (backup / "objects").rglob("*") if path.is_file() and path.name != registry_of(backup))
    last.write_bytes(bytes(last.stat().st_size))
    elsewhere = f"{bucket}/damaged"
    error = Shell(tmp_path / "moved").refused(6, "restore", backup, "--objects", elsewhere)
    assert last.name in error["message"]
    assert list(Home(tmp_path / "none", storage=elsewhere).blobs.digests()) == []
    assert not (tmp_path / "moved").exists()


def registry_of(backup):
    return read_backup(backup).registry.digest.partition(":")[2]


def test_a_lost_registry_is_put_back_and_finds_its_objects(store, local, database_url, tmp_path):
    """Its snapshot knows in which bucket they are: the folder of the store has none."""
    from migrations.snapshots import keep

    kept = tmp_path / "backups"
    with reading(store.engine) as session:
        snapshot = keep(session.connection(), kept)
    lost, _ = remote_file(store, "math", "delta.safetensors")
    (tmp_path / "again").mkdir()
    answer = mergestore.restore(snapshot, tmp_path / "again")
    assert (answer.ok, answer.lost) == (True, [])
    assert restored_is_whole(tmp_path / "again", None, local, tmp_path) == store.home.storage
    store.home.blobs.remove(lost)
    (tmp_path / "third").mkdir()
    assert mergestore.restore(snapshot, tmp_path / "third").lost == [lost]
