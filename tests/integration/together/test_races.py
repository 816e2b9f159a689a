"""Two processes at the one moment where they could get in each other's way, brought about on purpose."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

import mergestore
import migrations
from mergestore import Conflict, EnvironmentFailure, Store
from migrations import belonging
from migrations.opening import locate_objects
from registry import directories, materializing, unified
from registry.backups import writing as backups
from registry.cache import in_cache
from registry.publishing import MANIFEST
from registry.records import quota
from registry.records.alone import if_free
from registry.records.database import reading, writing
from registry.records.location import choose_storage
from registry.records.tables import Materialization
from registry.registering import register_skill as registering
from registry.upkeep import collecting_garbage, eviction
from registry.upkeep.writers import storing
from storage.blobs import BlobStore
from storage.locks import held
from tests.integration.models import LLAMA_CONFIG, fine_tune, llama, save
from tests.integration.upkeep.test_garbage import lay, states

BASE = llama("F32", seed=1)
NONE = timedelta(0)
THREADS = 20  # more than a pool has connections


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    save(folder / "tiny", BASE, LLAMA_CONFIG)
    for number, name in enumerate(("math", "code", "law")):
        save(folder / name, fine_tune(BASE, number), LLAMA_CONFIG)
    return folder


@pytest.fixture(scope="module")
def filled(surroundings: None, models: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a store that tests get copies of."""
    home = tmp_path_factory.mktemp("filled") / "store"
    with mergestore.open(home, actor="ann@lab") as opened:
        opened.register_base("tiny", models / "tiny")
        opened.register_skill("math", models / "math", base="tiny")
        opened.merge("both", "tiny + 0.5*math")
    return home


@pytest.fixture
def store(filled: Path, tmp_path: Path) -> Iterator[Store]:
    with mergestore.open(shutil.copytree(filled, tmp_path / "store"), actor="ann@lab") as opened:
        yield opened


@pytest.fixture
def other(store: Store) -> Iterator[Store]:
    """The same store, as another process has it open."""
    with mergestore.open(store.home.root, actor="bob@lab", create=False) as opened:
        yield opened


def first(patch: pytest.MonkeyPatch, module: Any, name: str, meanwhile: Callable[[], Any]) -> None:
    """Let something happen once, just before a function is called."""
    original, happened = getattr(module, name), []

    def called(*words: Any, **more: Any) -> Any:
        if not happened:
            happened.append(True)
            meanwhile()
        return original(*words, **more)

    patch.setattr(module, name, called)


# --- garbage ----------------------------------------------------------------------------------------------


def test_what_is_stored_again_in_the_place_of_deleted_garbage_stays(store: Store) -> None:
    """A collection was killed after it had deleted an object and before it could say so."""
    digest = lay(store)
    store.collect_garbage(grace=timedelta(days=1), apply=True)
    store.home.blobs.path(digest).unlink()
    with storing(store.engine, store.home):
        assert lay(store) == digest
        store.collect_garbage(grace=NONE, apply=True)
        assert store.home.blobs.has(digest)
    assert states(store.collect_garbage(grace=NONE, apply=True)) == {digest: "deleted"}


def test_what_is_stored_again_in_the_place_of_damaged_garbage_stays(store: Store) -> None:
    digest = lay(store)
    store.collect_garbage(grace=timedelta(days=1), apply=True)
    store.home.blobs.path(digest).write_bytes(b"something else")
    with storing(store.engine, store.home):
        assert lay(store) == digest
        store.collect_garbage(grace=NONE, apply=True)
        assert store.home.blobs.verify(digest).digest == digest


def test_two_that_find_the_same_garbage(store: Store, other: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = lay(store)
    first(monkeypatch, collecting_garbage, "leftovers", lambda: other.collect_garbage(apply=True))
    assert states(store.collect_garbage(apply=True)) == {digest: "found"}
    assert states(store.collect_garbage(grace=NONE, apply=True)) == {digest: "deleted"}


def test_a_collection_that_is_gone_on_with_just_now_stays(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever goes on with it takes its lock after ``gc`` found it given up, and before it is deleted."""
    folder = store.home.collecting / "ab"
    folder.mkdir(parents=True)
    (folder / "sums").write_bytes(b"12")
    lock = folder.with_suffix(".lock")
    for path in (folder / "sums", folder):
        os.utime(path, (1, 1))
    with lock.open("w") as held:
        first(monkeypatch, collecting_garbage, "_sweep", lambda: fcntl.flock(held, fcntl.LOCK_EX))
        assert store.collect_garbage(apply=True).leftovers == []
        assert (folder / "sums").exists()
    assert [each["path"] for each in store.collect_garbage(apply=True).leftovers] == [str(folder)]
    assert list(store.home.collecting.iterdir()) == []


def test_a_lock_that_its_owner_deleted_just_now_is_nobodys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = tmp_path / "ab.lock"
    first(monkeypatch, fcntl, "flock", lock.unlink)
    with held(lock) as ours, held(lock) as others:
        assert (ours, others) == (True, False)


def test_a_clock_that_is_set_back_deletes_nothing_that_a_writer_needs(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with storing(store.engine, store.home):
        digest = lay(store)
        earlier = collecting_garbage.leases.clock
        monkeypatch.setattr(collecting_garbage.leases, "clock", lambda session: earlier(session) - timedelta(hours=1))
        for _ in range(2):
            store.collect_garbage(grace=NONE, apply=True)
            assert store.home.blobs.has(digest)


def test_an_object_that_appears_meanwhile_is_no_stranger(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    digests = BlobStore.digests

    def growing(self: BlobStore) -> Iterator[str]:
        yield from digests(self)
        monkeypatch.undo()
        lay(store)

    monkeypatch.setattr(BlobStore, "digests", growing)
    assert list(store.home.blobs.strangers()) == []


# --- the cache --------------------------------------------------------------------------------------------


def test_two_that_evict_the_same(store: Store, other: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.materialize("both", wait=False)
    store.materialize("tiny + 0.1*math", wait=False)
    first(monkeypatch, eviction, "drop", lambda: other.collect_garbage(cache_limit=0, apply=True))
    assert store.collect_garbage(cache_limit=0, apply=True).evicted == []
    assert list(store.home.cache.iterdir()) == []
    assert store.verify().ok


def test_a_result_that_goes_while_sizes_are_taken(store: Store, other: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.materialize("both", wait=False)
    first(monkeypatch, Path, "rglob", lambda: other.collect_garbage(cache_limit=0, apply=True))
    assert store.collect_garbage(cache_limit=0, apply=True).evicted == []


def test_what_is_evicted_meanwhile_is_not_copied_from_the_cache(
    store: Store, other: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first(monkeypatch, materializing, "is_usable", lambda: other.materialize("both", wait=False))
    first(
        monkeypatch, materializing, "publish_copy", lambda: other.collect_garbage(cache_limit=0, apply=True)
    )  # which must not happen while it is copied
    made = store.materialize("both", output=tmp_path / "out", wait=False)
    assert store.verify(made.path).ok
    assert store.verify().ok


def test_what_is_evicted_meanwhile_is_not_told_to_be_damaged(
    store: Store, other: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.materialize("both", wait=False)
    first(monkeypatch, directories, "check_directory", lambda: other.collect_garbage(cache_limit=0, apply=True))
    assert store.verify().problems == []


def test_a_damaged_result_that_somebody_makes_anew_just_now_is_not_deleted(store: Store) -> None:
    made = Path(store.materialize("both", wait=False).path)
    (made / "model.safetensors").write_bytes(b"something else")
    with if_free(store.engine, in_cache(f"sha256:{made.name}")):
        assert store.repair(apply=True).caches == [str(made)]
        assert made.is_dir()
    store.repair(apply=True)
    assert not made.exists()


# --- folders ----------------------------------------------------------------------------------------------


def test_of_two_that_want_one_folder_one_gets_it(
    store: Store, other: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused: list[str] = []

    def work() -> None:
        with pytest.raises(Conflict) as caught:
            other.materialize("both", output=tmp_path / "out", wait=False)
        refused.append(caught.value.message)

    later = threading.Thread(target=work)

    def meanwhile() -> None:
        later.start()
        later.join(1)

    first(monkeypatch, materializing, "publish_computed", meanwhile)
    store.materialize("both", output=tmp_path / "out", wait=False)
    later.join()
    assert refused == [f"{tmp_path / 'out'} exists already"]
    assert store.verify(tmp_path / "out").ok
    with reading(store.engine) as session:
        assert session.scalar(select(func.count()).select_from(Materialization)) == 1


@pytest.mark.parametrize("yanked", ["math@1", "both@1", "tiny@1"])
def test_what_is_yanked_meanwhile_is_not_published(
    store: Store, other: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, yanked: str
) -> None:
    first(monkeypatch, materializing, "record_or_retract", lambda: other.yank(yanked, "leaked", wait=False))
    with pytest.raises(Conflict, match="yanked: leaked"):
        store.materialize("both", output=tmp_path / "out", wait=False)
    assert not (tmp_path / "out").exists()
    with reading(store.engine) as session:
        assert session.scalar(select(func.count()).select_from(Materialization)) == 0


# --- names that come to mean something else ---------------------------------------------------------------


def test_a_merge_by_emr_means_what_its_names_meant_when_it_began(
    store: Store, other: Store, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("math", "code"):
        store.register_skill(f"whole-{name}", models / name, base="tiny", encoding="exact")
    first(
        monkeypatch,
        unified,
        "write_vector",
        lambda: other.register_skill("whole-math", models / "law", base="tiny", encoding="exact"),
    )
    made = store.merge("all", "tiny + whole-math + whole-code", method="emr")
    found = {each["reference"] for each in store.show("all")["inputs"]}
    assert (made.version, found) == (1, {"tiny@1", "whole-math@1", "whole-code@1"})
    assert store.verify().ok


# --- the quota --------------------------------------------------------------------------------------------


def test_two_that_each_fit_alone_do_not_exceed_the_quota_together(
    store: Store, other: Store, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with reading(store.engine) as session:
        used = quota.used(session)
    (size,) = [file["size"] for file in store.show("math")["files"] if file["path"] == "delta.safetensors"]
    with writing(store.engine) as session:
        quota.set_limit(session, used + size * 3 // 2, actor="ann@lab")
    first(monkeypatch, registering, "keep_companions", lambda: other.register_skill("law", models / "law", base="tiny"))
    with pytest.raises(EnvironmentFailure, match=r"quota of .* is used up"):
        store.register_skill("code", models / "code", base="tiny")
    assert [each["name"] for each in store.list("skill").skills] == ["law", "math"]
    with reading(store.engine) as session:
        assert quota.used(session) <= used + size * 3 // 2
    assert len(store.collect_garbage(grace=NONE, apply=True).objects) == 1
    assert store.verify().ok


# --- where objects lie ------------------------------------------------------------------------------------

ELSEWHERE = "s3://bucket/elsewhere"


@pytest.fixture
def empty(surroundings: None, tmp_path: Path) -> Iterator[Store]:
    with mergestore.open(tmp_path / "empty", actor="ann@lab") as opened:
        yield opened


def test_who_has_an_empty_store_open_notices_where_its_objects_will_lie(empty: Store) -> None:
    assert empty.home.storage is None
    with writing(empty.engine) as session:
        choose_storage(session, ELSEWHERE, actor="bob@lab")
    assert empty.home.storage == ELSEWHERE


def test_no_place_is_chosen_while_somebody_stores_objects(empty: Store) -> None:
    with storing(empty.engine, empty.home), pytest.raises(Conflict, match="while a registration is under way"):
        locate_objects(empty.engine, ELSEWHERE, "bob@lab")
    home = empty.home
    with writing(empty.engine) as session:
        choose_storage(session, ELSEWHERE, actor="bob@lab")
    with pytest.raises(Conflict, match=f"belong in {ELSEWHERE}"), storing(empty.engine, home):
        raise AssertionError
    with reading(empty.engine) as session:
        assert collecting_garbage.at_work(session) == []


def test_the_first_who_open_a_new_store_take_each_others_objects_for_its_own(
    surroundings: None, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its registry lies elsewhere, and the folder does not say yet whose it is; then it does, and has an object."""
    home = tmp_path / "shared"
    mergestore.init(home, database=database_url)
    (home / belonging.FILE).unlink()

    def open_and_store() -> None:
        with mergestore.open(home, database=database_url) as another:
            file = another.home.blobs.scratch("object")
            file.write_text("not on record yet")
            another.home.blobs.adopt(file)

    first(monkeypatch, belonging, "_strangeness", open_and_store)
    with mergestore.open(home, database=database_url) as opened:
        assert (home / belonging.FILE).read_text().strip() == opened.id


# --- backups ----------------------------------------------------------------------------------------------


def test_two_backups_into_one_folder_come_one_after_the_other(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the earlier manifest could be written over the later, whose registry has taken the place of its own."""
    folder = tmp_path / "backup"
    mergestore.backup(folder, store.home.root)

    def work() -> None:
        store.merge("busy", "tiny + 0.25*math")
        mergestore.backup(folder, store.home.root)

    later = threading.Thread(target=work)

    def meanwhile() -> None:
        later.start()
        later.join(2)

    first(monkeypatch, backups, "write", meanwhile)
    mergestore.backup(folder, store.home.root)
    later.join()
    found = mergestore.restore(folder, tmp_path / "new", check=True)
    assert found.audit_head["sequence"] == store.anchor().anchor["sequence"]


# --- a store that several threads share -------------------------------------------------------------------


@pytest.mark.slow
def test_threads_make_stores_of_their_own(surroundings: None, tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(mergestore.init, [tmp_path / str(number) for number in range(8)]))
    assert {each["schema"] for each in made} == {migrations.head()}
    for number in range(8):
        with mergestore.open(tmp_path / str(number), create=False) as store:
            assert store.verify().problems == []


def test_threads_share_one_store(surroundings: None, database_url: str, models: Path, tmp_path: Path) -> None:
    failed: list[BaseException] = []

    def work(store: Store, number: int) -> None:
        try:
            store.register_skill(f"skill-{number % 3}", models / ("code", "law")[number % 2], base="tiny")
            store.merge("busy", f"tiny + 0.{number + 11}*math")
            store.materialize(f"tiny + 0.{number % 4 + 1}*math", wait=False)
            store.materialize("tiny + 0.5*math", output=tmp_path / f"out-{number}", wait=False)
            store.collect_garbage(grace=NONE, apply=True)
            assert store.check_store().ok
            store.list()
        except BaseException as error:
            failed.append(error)

    with mergestore.open(tmp_path / "store", database=database_url) as store:
        store.register_base("tiny", models / "tiny")
        store.register_skill("math", models / "math", base="tiny")
        threads = [threading.Thread(target=work, args=(store, number)) for number in range(THREADS)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        assert failed == []
        assert store.verify().ok
        assert [each["version"] for each in store.show("busy")["versions"]] == list(range(1, THREADS + 1))
        outputs = [json.loads((tmp_path / f"out-{number}" / MANIFEST).read_text()) for number in range(THREADS)]
        assert len({each["output_digest"] for each in outputs}) == 1
