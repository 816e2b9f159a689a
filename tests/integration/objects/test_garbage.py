"""Garbage in an object storage, whose server takes its time: nobody else has to wait for it."""

from __future__ import annotations

import threading
import time
from datetime import timedelta

import pytest

from mergestore import EnvironmentFailure
from storage.objects import bucket as buckets
from storage.objects.bucket import Bucket

pytestmark = pytest.mark.server


def test_garbage_goes_and_strangers_stay(store, tmp_path):
    scratch = store.home.blobs.scratch("garbage")
    scratch.write_bytes(b"nobody needs this")
    digest = store.home.blobs.adopt(scratch).digest
    (tmp_path / "note").write_text("mine")
    Bucket(store.home.storage).create("notes.txt", tmp_path / "note", 4)
    store.collect_garbage(grace=timedelta(0), apply=True)
    found = store.collect_garbage(grace=timedelta(0), apply=True)
    assert not store.home.blobs.has(digest)
    assert found.strangers == [f"{store.home.storage}/notes.txt"]
    assert store.verify().ok


def lay(store, number):
    """So many objects that no record names."""
    for each in range(number):
        scratch = store.home.blobs.scratch("garbage")
        scratch.write_text(f"nobody needs {each}")
        store.home.blobs.adopt(scratch)


@pytest.fixture
def moving(open_store, models):
    """A store, and what moves an alias of it as another process would: a writer that waits for half a minute."""
    with open_store() as store, open_store("elsewhere") as other:
        store.register_base("tiny", models / "tiny")
        yield store, lambda: other.alias("tiny@1", "prod", wait=False)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_nobody_waits_while_garbage_is_looked_for(moving, monkeypatch):
    store, move = moving
    lay(store, 2)
    size, asked = Bucket.size, []

    def looked(self, key):
        asked.append(key)
        move()
        return size(self, key)

    monkeypatch.setattr(Bucket, "size", looked)
    store.collect_garbage(apply=True)
    assert len(set(asked)) == 2


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_others_write_between_the_requests_that_delete_garbage(moving, monkeypatch):
    store, move = moving
    lay(store, 12)
    store.collect_garbage(apply=True)
    writer, delete, free = threading.Thread(target=move), Bucket.delete, []

    def slow(self, key):
        if not free:
            writer.start()
        time.sleep(0.4)
        delete(self, key)
        free.append(not writer.is_alive())

    monkeypatch.setattr(Bucket, "delete", slow)
    assert len(store.collect_garbage(grace=timedelta(0), apply=True).objects) == len(free) == 12
    writer.join()
    assert free[-1], "it wrote before all of them were gone"
    assert store.verify().ok


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_others_write_though_the_server_went_away_in_the_middle_of_deleting(gateway, moving, monkeypatch):
    store, move = moving
    lay(store, 2)
    store.collect_garbage(apply=True)
    monkeypatch.setattr(buckets, "BRIEFLY", 1.0)
    done, failed = [], []

    def work():
        try:
            done.append(move())
        except EnvironmentFailure as error:
            failed.append(error)

    writer, delete = threading.Thread(target=work), Bucket.delete

    def killed(self, key):
        gateway.kill_gateway()
        writer.start()
        delete(self, key)

    try:
        with monkeypatch.context() as patch:
            patch.setattr(Bucket, "delete", killed)
            with pytest.raises(EnvironmentFailure, match="cannot delete"):
                store.collect_garbage(grace=timedelta(0), apply=True)
    finally:
        gateway.start_gateway()
    writer.join()
    assert (len(done), failed) == (1, [])
