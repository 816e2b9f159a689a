"""Registering reads every byte of a model once, and says what it did not do."""

import os
from collections import Counter

import pytest

import mergestore
from storage import blobs
from storage.checkpoints.checkpoint import open_checkpoint
from tests.integration.models import LLAMA_CONFIG, fine_tune, llama, save

pytestmark = pytest.mark.usefixtures("surroundings")


@pytest.fixture
def store(tmp_path):
    with mergestore.open(tmp_path / "store") as opened:
        yield opened


class Reads:
    """Which bytes of which files were read through ``os``, and what was hashed besides."""

    def __init__(self, monkeypatch):
        self.spans, self.hashed = {}, []
        self.real, self.hash_file = os.preadv, blobs.hash_file
        monkeypatch.setattr(os, "preadv", self.preadv)
        monkeypatch.setattr(blobs, "hash_file", self.hash)

    def preadv(self, descriptor, buffers, offset):
        count = self.real(descriptor, buffers, offset)
        self.spans.setdefault(os.fstat(descriptor).st_ino, []).append((offset, offset + count))
        return count

    def hash(self, path, *others):
        self.hashed.append(path.stat().st_size)
        return self.hash_file(path, *others)

    def of(self, folder):
        """How often each byte of each tensor under a folder was read: {times: bytes}."""
        times = Counter()
        checkpoint = open_checkpoint(folder)
        for entry in checkpoint.source.entries.values():
            spans = self.spans.get((folder / entry.file).stat().st_ino, [])
            ends = range(entry.offset, entry.offset + entry.nbytes)
            times.update(sum(start <= at < stop for start, stop in spans) for at in ends)
        checkpoint.close()
        return dict(times)


@pytest.mark.parametrize("shards", [1, 3])
@pytest.mark.parametrize("reference", [False, True])
def test_a_base_is_read_once(store, tmp_path, monkeypatch, shards, reference):
    folder = save(tmp_path / "base", llama("BF16"), LLAMA_CONFIG, shards=shards)
    reads = Reads(monkeypatch)
    made = store.register_base("base", folder, reference=reference)
    assert reads.of(folder) == {1: made.bytes}
    assert reads.hashed == [], "neither weights nor companions are read again to be named"
    inodes = {path.stat().st_ino for path in (store.home.root / "objects").rglob("*") if path.is_file()}
    assert not inodes & reads.spans.keys(), "nor are the copies"
    assert store.verify().ok


def test_a_fine_tune_and_what_it_changes_of_its_base_are_read_once(store, tmp_path, monkeypatch):
    model = llama("BF16")
    made = store.register_base("base", save(tmp_path / "base", model, LLAMA_CONFIG), reference=True)
    changed = [name for name in model if "q_proj" in name]
    folder = save(tmp_path / "tuned", fine_tune(model, 1, only=changed))
    reads = Reads(monkeypatch)
    store.register_skill("skill", folder, base="base")
    nbytes = sum(len(model[name].data) for name in changed)
    assert reads.of(folder) == {1: made.bytes}
    assert reads.of(tmp_path / "base") == {1: nbytes, 0: made.bytes - nbytes}


def test_a_base_registered_again_keeps_its_licence_and_says_so(store, tmp_path):
    folder = save(tmp_path / "base", llama(), LLAMA_CONFIG)
    assert store.register_base("base", folder, licence="MIT").notes == []
    again = store.register_base("base", folder, licence="Apache-2.0")
    assert (again.created, again.licence) == (False, "MIT")
    assert again.notes == ["registered before, with licence MIT: that does not change"]
    assert store.register_base("base", folder, licence="MIT").notes == []
