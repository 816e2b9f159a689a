"""Whose a part of a bucket is: no store has another's objects for garbage, in whatever order places are chosen."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

import mergestore
from mergestore import Conflict
from migrations.snapshots import keep
from registry.home import Home
from registry.records.database import reading
from storage.objects.bucket import Bucket
from storage.objects.owner import claim, owner
from tests.integration.models import LLAMA_CONFIG, llama, save
from tests.integration.shell import Shell

pytestmark = pytest.mark.server

CONFLICT = 4
AT_ONCE = ("gc", "--apply", "--grace", "0")


@pytest.fixture(scope="module")
def models(surroundings, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    for seed, name in enumerate(("one", "two")):
        save(folder / name, llama("F32", seed=seed), LLAMA_CONFIG)
    return folder


@pytest.fixture
def shell(bucket, tmp_path):
    """An empty store with a place in a bucket."""
    made = Shell(tmp_path / "first")
    made.text("init", "--objects", f"{bucket}/lab")
    return made


@pytest.fixture
def second(bucket, tmp_path, models):
    """Another store, elsewhere in the bucket, which holds something, and its backup."""
    made = Shell(tmp_path / "second")
    made.text("init", "--objects", f"{bucket}/second")
    made.text("register", "base", "two", models / "two")
    made.text("backup", tmp_path / "backup")
    return made


def keys(url):
    return dict(Bucket(url).list())


def says(url, store=None):
    """Let a place say that it is of a store, or of none, as one does that was chosen before places said so."""
    place = Bucket(url)
    place.delete("store-id")
    if store is not None:
        place.create("store-id", store, len(store))


def id_of(shell):
    with mergestore.open(shell.home, create=False) as store:
        return store.id


def test_an_empty_place_is_given_to_one_store(shell, bucket, tmp_path):
    place = f"{bucket}/lab"
    assert Bucket(place).get("store-id").decode() == f"{id_of(shell)}\n"
    other = Shell(tmp_path / "other")
    error = other.json("init", "--objects", place, code=CONFLICT)["error"]
    assert "is the place of store" in error["message"]
    assert "prefix of its own" in error["hint"]
    assert not other.home.exists(), "else its objects would go there, and never into an object storage"
    assert shell.json("init", "--objects", place)["objects"] == place


def test_of_those_who_choose_a_place_at_once_one_has_it(bucket):
    ready = threading.Barrier(6)

    def choose(place, store):
        ready.wait()
        try:
            claim(Bucket(place), store, lambda digests: False)
        except Conflict:
            return None
        return store

    for attempt in range(3):
        place = f"{bucket}/lab{attempt}"
        with ThreadPoolExecutor(6) as pool:
            (had,) = set(pool.map(choose, [place] * 6, [str(number) for number in range(6)])) - {None}
        assert owner(Bucket(place)) == had


def test_a_store_that_may_not_go_there_does_not_take_a_place(second, bucket):
    second.refused(CONFLICT, "init", "--objects", f"{bucket}/free")
    assert keys(f"{bucket}/free") == {}


def test_a_place_that_says_nothing_yet_is_known_by_its_objects(second, shell, bucket, models):
    """Whoever stores or collects there lets it say so."""
    place = f"{bucket}/second"
    for words in (AT_ONCE, ("register", "base", "one", models / "one")):
        says(place)
        second.text("list")
        second.text("verify")
        assert Bucket(place).get("store-id") is None
        second.text(*words)
        assert Bucket(place).get("store-id").decode() == f"{id_of(second)}\n"
    assert second.json("gc")["strangers"] == []


@pytest.mark.parametrize("told", ["by its key", pytest.param("by its objects", marks=pytest.mark.slow)])
def test_nothing_is_stored_or_deleted_in_the_place_of_another(shell, second, bucket, models, told):
    """As two stores that share one since before places said whose they are."""
    place = f"{bucket}/lab"
    other = Home(second.home, storage=place).blobs
    scratch = other.scratch("other's")
    scratch.write_bytes(b"of the other store")
    digest = other.adopt(scratch).digest
    says(place, f"{id_of(second)}\n".encode() if told == "by its key" else None)
    before = keys(place)
    for words in (AT_ONCE, ("register", "base", "one", models / "one")):
        code, _, err = shell(*words)
        assert code == CONFLICT, err
        assert "of another store than" in err or "is the place of store" in err
        assert keys(place) == before
    assert other.has(digest)
    shell.text("list")


@pytest.mark.parametrize("told", [pytest.param("by its key", marks=pytest.mark.slow), "by its objects"])
def test_a_backup_is_not_restored_into_the_place_of_another(shell, second, bucket, models, tmp_path, told):
    shell.text("register", "base", "one", models / "one")
    place = f"{bucket}/lab"
    if told == "by its objects":
        says(place)
    before = keys(place)
    restored = Shell(tmp_path / "restored", tmp_path / "restored")
    for words in ((), ("--partial",)):
        error = restored.json("restore", tmp_path / "backup", "--objects", place, *words, code=CONFLICT)["error"]
        assert place in error["message"]
        assert not restored.home.exists()
        assert keys(place) == before
    assert shell.json("verify")["ok"]


@pytest.mark.parametrize("told", ["by its key", pytest.param("by its objects", marks=pytest.mark.slow)])
def test_a_backup_is_restored_into_its_stores_own_place(second, bucket, tmp_path, told):
    """Its identity is the same; only one of the two may go on."""
    place = f"{bucket}/second"
    before = keys(place)
    if told == "by its objects":
        says(place)
    restored = Shell(tmp_path / "restored")
    assert restored.json("restore", tmp_path / "backup", "--objects", place)["ok"]
    assert keys(place) == before
    restored.text(*AT_ONCE)
    for each in (restored, second):
        assert each.json("verify")["ok"]


def test_a_backup_that_is_older_than_its_place_says_so(second, bucket, models, tmp_path):
    """The store that it is of may live on: what came later is garbage to the restored one alone."""
    second.text("register", "base", "one", models / "one")
    later = len(keys(f"{bucket}/second"))
    restored = Shell(tmp_path / "restored")
    told = restored.json("restore", tmp_path / "backup", "--objects", f"{bucket}/second")
    assert 0 < told["unneeded"] == restored.json("check")["unneeded"] < later
    _, _, err = Shell(tmp_path / "again")("restore", tmp_path / "backup", "--objects", f"{bucket}/second")
    assert "let nobody run gc here" in err
    assert second.json("verify")["ok"]


def test_a_backup_takes_an_empty_place(second, bucket, tmp_path):
    place = f"{bucket}/new"
    restored = Shell(tmp_path / "restored")
    assert restored.json("restore", tmp_path / "backup", "--objects", place)["ok"]
    assert Bucket(place).get("store-id").decode() == f"{id_of(second)}\n"
    with mergestore.open(restored.home) as store:
        assert store.collect_garbage(grace=timedelta(0), apply=True).strangers == []
        assert store.verify().ok


def test_a_registry_is_not_put_back_where_its_place_is_anothers(second, bucket, tmp_path):
    place = f"{bucket}/second"
    snapshot = tmp_path / "snapshot.db"
    with mergestore.open(second.home) as store, reading(store.engine) as session:
        keep(session.connection(), tmp_path / "kept").rename(snapshot)
    says(place, b"somebody else\n")
    before = keys(place)
    (tmp_path / "again").mkdir()
    again = Shell(tmp_path / "again")
    error = again.json("restore", snapshot, code=CONFLICT)["error"]
    assert f"{place} is the place of store somebody else" in error["message"]
    assert not list((tmp_path / "again").glob("registry.db*"))
    assert keys(place) == before
    says(place)
    assert again.json("restore", snapshot)["ok"]
    assert owner(Bucket(place)) == id_of(second)
