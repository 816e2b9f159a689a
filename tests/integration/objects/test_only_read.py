"""A store with objects in a bucket whose folder cannot be written: what only looks at objects works as elsewhere."""

from __future__ import annotations

import pytest

import mergestore
from storage.objects.bucket import Bucket
from storage.objects.read_cache import ReadCache
from storage.objects.remote import RemoteObjects
from tests.integration.models import LLAMA_CONFIG, fine_tune, llama, save
from tests.integration.operations.test_read_only import ask, lock
from tests.integration.shell import Shell, listing

pytestmark = pytest.mark.server

LOOKING = (("verify",), ("check", "--read-data"), ("diff", "math", "math"), ("gc",), ("backup", "../copy"))


@pytest.fixture
def locked(bucket, tmp_path):
    """A store with a base and a skill, its files and folders without the right to write."""
    base = llama("F32", seed=1)
    save(tmp_path / "tiny", base, LLAMA_CONFIG)
    save(tmp_path / "math", fine_tune(base, 1), LLAMA_CONFIG)
    home = tmp_path / "lab" / "store"
    with mergestore.open(home, objects=f"{bucket}/lab") as store:
        store.register_base("tiny", tmp_path / "tiny")
        store.register_skill("math", tmp_path / "math", base="tiny")
    yield home
    for path in (home, *home.rglob("*")):
        path.chmod(path.stat().st_mode | 0o200)


def test_what_looks_at_objects_works(locked, tmp_path, monkeypatch):
    """Copies of them come to where nothing stays."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setenv("TMPDIR", str(scratch))
    for copy in (locked / "objects-cache").iterdir():
        copy.unlink()
    lock(locked)
    before = listing(locked)
    told = ask(locked, *LOOKING, load=("tiny + math",))
    for words, (code, _, err) in zip(LOOKING, told, strict=True):
        assert code == 0, (words, err)
    assert listing(locked) == before
    assert list(scratch.iterdir()) == []
    assert Shell(tmp_path / "none").json("restore", tmp_path / "copy", "--check")["ok"]


def test_copies_that_another_user_has_fetched_are_used(bucket, tmp_path, monkeypatch):
    """Only their owner may say when they were used."""

    def refused(*_args, **_given):
        raise PermissionError(1, "Operation not permitted")

    objects = RemoteObjects(Bucket(bucket), ReadCache(tmp_path / "copies"), tmp_path / "tmp")
    (scratch := objects.scratch("test")).write_bytes(b"shared")
    digest = objects.adopt(scratch).digest
    monkeypatch.setattr("os.utime", refused)
    assert objects.path(digest).read_bytes() == b"shared"
