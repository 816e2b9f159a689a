"""Copies of a base's shards that go, to make room for others, while it is read."""

from __future__ import annotations

import pytest

import mergestore
from mergestore import IntegrityFailure
from registry.opening import open_base
from registry.records.catalog import resolve
from registry.records.database import reading
from tests.integration.models import LLAMA_CONFIG, llama, save

pytestmark = pytest.mark.server

BASE = llama("F32", seed=1)


@pytest.fixture
def opened(bucket, tmp_path):
    """A store, and its base of several shards as a merge has it that has read nothing yet; their copies are gone."""
    save(tmp_path / "tiny", BASE, LLAMA_CONFIG, shards=3)
    with mergestore.open(tmp_path / "store", objects=f"{bucket}/lab") as store:
        store.register_base("tiny", tmp_path / "tiny")
        copies = store.home.root / "objects-cache"
        with reading(store.engine) as session:
            base = open_base(session, store.home, resolve(session, "tiny"))
        assert len({entry.file for entry in base.source.entries.values()} & set(map(str, copies.iterdir()))) == 3
        cache = store.home.blobs.cache
        cache.limit, cache._grace = 4, 0.0
        (scratch := store.home.blobs.scratch("another")).write_bytes(b"x")
        digest = store.home.blobs.adopt(scratch).digest
        assert [path.name for path in copies.iterdir()] == [digest.removeprefix("blake3:")]
        yield store, base.source
        base.source.close()


def test_they_are_read_from_the_bucket_then(opened):
    _, source = opened
    for name, tensor in BASE.items():
        out = bytearray(source.entries[name].nbytes)
        source.read_into(name, 0, memoryview(out))
        assert out == tensor.data


def test_what_is_not_there_either_is_missing(opened):
    store, source = opened
    for digest in list(store.home.blobs.digests()):
        store.home.blobs.remove(digest)
    with pytest.raises(IntegrityFailure, match="is missing"):
        source.read_into(next(iter(BASE)), 0, memoryview(bytearray(1)))
