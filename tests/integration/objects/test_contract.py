"""What every place of objects keeps to: a folder, and an object storage behind a real server."""

from __future__ import annotations

import multiprocessing
import os

import pytest
from blake3 import blake3

from mergestore import IntegrityFailure
from storage.blobs import Blob, BlobStore
from storage.objects.bucket import Bucket
from storage.objects.read_cache import ReadCache
from storage.objects.remote import RemoteObjects

LARGE = 40 << 20  # goes up in parts, comes in several blocks


def made(kind, tmp_path, url=None, spare=None):
    if kind == "folder":
        return BlobStore(tmp_path / "objects", tmp_path / "tmp", spare)
    return RemoteObjects(Bucket(url), ReadCache(tmp_path / "objects-cache"), tmp_path / "tmp", spare)


@pytest.fixture(params=["folder", pytest.param("storage", marks=pytest.mark.server)])
def place(request, tmp_path):
    """Where objects are, and how to spoil one behind the store's back."""
    if request.param == "folder":
        return made("folder", tmp_path), lambda digest, data: made("folder", tmp_path).path(digest).write_bytes(data)
    url = request.getfixturevalue("bucket") + "/some/prefix"

    def spoil(digest, data):
        bad = tmp_path / "bad"
        bad.write_bytes(data)
        name = digest.partition(":")[2]
        Bucket(url).replace(f"blake3/{name[:2]}/{name}", bad, len(data))

    return made("storage", tmp_path, url), spoil


def digest_of(data):
    return "blake3:" + blake3(data).hexdigest()


def store(objects, data):
    scratch = objects.scratch("test")
    scratch.write_bytes(data)
    blob = objects.adopt(scratch)
    assert not scratch.exists()
    return blob


@pytest.mark.parametrize("size", [0, 1, 5000, LARGE + 7])
def test_what_is_stored_is_read_again(place, size):
    objects, _ = place
    data = os.urandom(size)
    blob = store(objects, data)
    assert blob == Blob(digest_of(data), size)
    assert objects.has(blob.digest)
    assert objects.size(blob.digest) == size
    assert list(objects.sizes()) == [(blob.digest, size)]
    assert objects.verify(blob.digest) == blob
    for path in (objects.path(blob.digest), objects.checked(blob.digest)):
        assert path.read_bytes() == data


def test_the_same_content_is_stored_once(place):
    objects, _ = place
    assert store(objects, b"same") == store(objects, b"same")
    assert list(objects.digests()) == [digest_of(b"same")]


def test_names_come_in_order(place):
    objects, _ = place
    stored = sorted(store(objects, bytes([number])).digest for number in range(30))
    assert list(objects.digests()) == stored
    assert [digest for digest, _ in objects.sizes()] == stored


def test_what_is_not_there(place):
    objects, _ = place
    digest = digest_of(b"never")
    assert (objects.has(digest), objects.size(digest)) == (False, None)
    objects.remove(digest)
    with pytest.raises(IntegrityFailure, match="missing"):
        objects.verify(digest)
    with pytest.raises(IntegrityFailure, match="not a blob digest"):
        objects.path("blake3:../../etc/passwd")


def test_what_is_removed_is_gone_and_can_come_back(place):
    objects, _ = place
    digest = store(objects, b"away").digest
    objects.remove(digest)
    assert not objects.has(digest)
    assert list(objects.digests()) == []
    assert objects.path(store(objects, b"away").digest).read_bytes() == b"away"


@pytest.mark.parametrize("data", [b"longer than it was", b"dAmaged", b""])
def test_damage_is_found_and_the_same_content_takes_its_place(place, data):
    objects, spoil = place
    digest = store(objects, b"damaged").digest
    spoil(digest, data)
    with pytest.raises(IntegrityFailure, match="damaged"):
        objects.verify(digest)
    store(objects, b"damaged")
    assert objects.verify(digest) == Blob(digest, 7)


def test_the_recorded_sha256_is_compared_too(place):
    objects, _ = place
    digest = store(objects, b"abc").digest
    known = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    objects.verify(digest, known)
    with pytest.raises(IntegrityFailure, match="SHA-256"):
        objects.verify(digest, known.replace("ba", "bb"))


def test_what_is_set_aside_is_kept_as_it_was(place, tmp_path):
    objects, spoil = place
    digest = store(objects, b"good").digest
    spoil(digest, b"bad bytes")
    aside = tmp_path / "far" / "aside"
    objects.set_aside(digest, aside)
    assert aside.read_bytes() == b"bad bytes"
    assert not objects.has(digest)
    objects.set_aside(digest, aside)
    assert aside.read_bytes() == b"bad bytes"
    objects.set_aside(digest, tmp_path / "nothing" / "there")
    assert not (tmp_path / "nothing").exists()
    store(objects, b"good")
    spoil(digest, b"worse")
    objects.set_aside(digest, aside)
    assert aside.read_bytes() == b"bad bytes"
    assert aside.with_name("aside.2").read_bytes() == b"worse"


def test_what_something_will_rely_on_is_spared_before_it_is_looked_at(place, tmp_path):
    objects, _ = place
    there = []
    objects._spare = lambda digest: there.append((digest, objects.has(digest)))
    store(objects, b"new")
    store(objects, b"new")
    assert there == [(digest_of(b"new"), False), (digest_of(b"new"), True)]


def test_what_garbage_collection_took_meanwhile_is_stored_again(place):
    objects, _ = place
    store(objects, b"taken")
    objects._spare = objects.remove
    store(objects, b"taken")
    assert objects.verify(digest_of(b"taken")).size == 5


def _store_in_a_process(kind, tmp_path, url, ready, seed):
    objects = made(kind, tmp_path / str(seed) if kind == "storage" else tmp_path, url)
    ready.wait()
    for number in range(12):
        store(objects, b"%d" % number * 1000)


def test_processes_may_store_the_same_at_once(place, tmp_path):
    objects, _ = place
    remote = isinstance(objects, RemoteObjects)
    forks = multiprocessing.get_context("spawn")
    ready = forks.Event()
    words = ("storage", tmp_path, objects.bucket.url) if remote else ("folder", tmp_path, None)
    both = [forks.Process(target=_store_in_a_process, args=(*words, ready, seed)) for seed in range(2)]
    for each in both:
        each.start()
    ready.set()
    for each in both:
        each.join()
        assert each.exitcode == 0
    assert len(list(objects.digests())) == 12
    for digest in objects.digests():
        objects.verify(digest)
