"""Garbage: what is found, when it is deleted, what saves it, and that nothing that a record names ever goes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

import mergestore
from mergestore import Conflict, IntegrityFailure, UsageError
from registry.cache import in_cache
from registry.records import garbage, leases
from registry.records.alone import if_free
from registry.records.database import reading, writing
from registry.registering import register_base
from registry.registering.training import read_training
from registry.upkeep import writers
from registry.upkeep.writers import storing
from storage.files import temporary_path
from tests.integration.models import LLAMA_CONFIG, fine_tune, llama, save
from tests.integration.shell import Shell

BASE = llama("F32", seed=1)
NONE = timedelta(0)
ROOT = Path(__file__).parents[3]


@pytest.fixture
def store(surroundings, database_url, tmp_path):
    save(tmp_path / "tiny", BASE, LLAMA_CONFIG)
    save(tmp_path / "math", fine_tune(BASE, 1), LLAMA_CONFIG)
    with mergestore.open(tmp_path / "store", database=database_url, actor="ann@lab") as opened:
        opened.register_base("tiny", tmp_path / "tiny")
        opened.register_skill("math", tmp_path / "math", base="tiny")
        opened.merge("both", "tiny + 0.5*math")
        yield opened


def lay(store, content=b"nobody needs this"):
    """An object that no record names, as a registration leaves it that was killed before its records."""
    path = store.home.blobs.scratch("test")
    path.write_bytes(content)
    return store.home.blobs.adopt(path).digest


def test_what_two_note_at_once_is_noted_once(store):
    """Two ``gc --apply`` that looked at the same moment; and what was needed since is not noted at all."""
    digest = lay(store)
    with reading(store.engine) as session:
        needed = min(garbage.needed(session))
    for _ in range(2):
        with writing(store.engine) as session:
            garbage.condemn(session, [digest, needed])
    with reading(store.engine) as session:
        assert garbage.known(session).keys() == {digest}


def states(collected):
    return {each["digest"]: each["state"] for each in collected.objects}


def test_garbage_is_told_then_noted_then_deleted(store):
    objects = set(store.home.blobs.digests())
    digest = lay(store)
    for _ in range(2):
        told = store.collect_garbage(grace=NONE)
        assert (told.applied, states(told), told.waiting_bytes) == (False, {digest: "found"}, 17)
    noted = store.collect_garbage(apply=True)
    assert (states(noted), noted.deleted_bytes) == ({digest: "found"}, 0)
    assert states(store.collect_garbage(apply=True)) == {digest: "waits"}
    assert store.home.blobs.has(digest)
    gone = store.collect_garbage(grace=NONE, apply=True)
    assert (states(gone), gone.deleted_bytes, gone.waiting_bytes) == ({digest: "deleted"}, 17, 0)
    assert set(store.home.blobs.digests()) == objects
    (event,) = store.find("events", action="objects.delete").rows
    assert event["details"] == {"bytes": 17, "objects": {digest: 17}}
    assert store.collect_garbage(grace=NONE, apply=True).objects == []
    assert store.verify().ok
    with reading(store.engine) as session:
        assert garbage.known(session) == {}


def test_what_is_needed_again_is_spared(store, tmp_path):
    """A registration that was killed is done again after its object was found to be garbage."""
    save(tmp_path / "code", fine_tune(BASE, 2), LLAMA_CONFIG)
    made = store.register_skill("code", tmp_path / "code", base="tiny")
    (digest,) = {file["digest"] for file in store.show("code")["files"] if file["path"] == "delta.safetensors"}
    with writing(store.engine) as session:
        garbage.condemn(session, [digest])
    store.register_skill("other", tmp_path / "code", base="tiny")
    with reading(store.engine) as session:
        assert garbage.known(session) == {}
    with writing(store.engine) as session:  # noted in spite of its records: it is looked at again before it goes
        garbage.condemn(session, [digest])
    assert store.collect_garbage(grace=NONE, apply=True).objects == []
    assert store.home.blobs.has(digest)
    with reading(store.engine) as session:
        assert garbage.known(session) == {}
    assert made.digest == store.show("code")["digest"]
    assert store.verify().ok


def test_what_a_writer_may_rely_on_stays_until_it_is_done(store):
    digest = lay(store)
    with storing(store.engine, store.home):
        held = store.collect_garbage(grace=NONE, apply=True)
        assert (states(held), held.writers) == ({digest: "found"}, 1)
        assert states(store.collect_garbage(grace=NONE, apply=True)) == {digest: "waits"}
        assert store.home.blobs.has(digest)
    assert states(store.collect_garbage(grace=NONE, apply=True)) == {digest: "deleted"}


def test_a_writer_at_work_for_days_keeps_its_lease(store, monkeypatch):
    """The clock goes on by most of a lease, the writer prolongs it, and the clock goes on by as much again."""
    told, late = leases.clock, timedelta(0)
    monkeypatch.setattr(leases, "clock", lambda session: told(session) + late)
    monkeypatch.setattr(writers, "_PROLONG", 0.01)

    def lease():
        with reading(store.engine) as session:
            (found,) = leases.held(session, writers.PREFIX)
            return found.acquired_at, found.expires_at

    with storing(store.engine, store.home):
        digest, (began, until) = lay(store), lease()
        late, deadline = timedelta(seconds=0.9 * writers.SECONDS), time.monotonic() + 60
        while lease()[1] < until + late and time.monotonic() < deadline:
            time.sleep(0.01)
        assert lease()[0] == began
        late *= 2
        for _ in range(2):
            store.collect_garbage(grace=NONE, apply=True)
            assert store.home.blobs.has(digest)


@pytest.mark.parametrize("wakes_first", [False, True])
def test_a_writer_that_stood_still_for_too_long_records_nothing(store, tmp_path, monkeypatch, wakes_first):
    """As on a machine that sleeps for longer than a lease lasts; also where what prolongs that wakes first."""
    told, deleted = leases.clock, {}
    if wakes_first:
        monkeypatch.setattr(writers, "_PROLONG", 0.01)

    def asleep(*words):
        monkeypatch.setattr(leases, "clock", lambda session: told(session) + timedelta(days=2))
        deleted.update(states(store.collect_garbage(grace=NONE, apply=True)))
        return read_training(*words)

    save(tmp_path / "other", llama("F32", seed=5), LLAMA_CONFIG)
    with monkeypatch.context() as patch:
        patch.setattr(register_base, "read_training", asleep)  # the files are stored, and not on record yet
        with pytest.raises(Conflict, match="stood still"):
            store.register_base("other", tmp_path / "other")
    assert "deleted" in deleted.values()
    assert store.check_store(read_data=True).ok
    assert store.register_base("other", tmp_path / "other").created
    assert store.check_store(read_data=True).ok


def test_what_was_garbage_before_a_writer_began_can_go_and_the_writer_notices(store):
    """The object was there when the writer looked, and is gone when it relies on it: so it is stored again."""
    digest = lay(store)
    store.collect_garbage(grace=timedelta(days=1), apply=True)
    with storing(store.engine, store.home):
        assert states(store.collect_garbage(grace=NONE, apply=True)) == {digest: "deleted"}
        assert lay(store) == digest
        assert store.home.blobs.has(digest)
        assert states(store.collect_garbage(grace=NONE, apply=True)) == {digest: "found"}
        assert store.home.blobs.has(digest)


def test_a_writer_that_was_killed_holds_nothing_back_on_this_host(store):
    digest = lay(store)
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    name = storing_name(process.pid)
    with writing(store.engine) as session:
        leases.acquire(session, "writer:dead", name, 3600)
    assert states(store.collect_garbage(grace=NONE, apply=True)) == {digest: "deleted"}
    with writing(store.engine) as session:
        leases.acquire(session, "writer:far", "0123abcd.77", 3600)
    other = lay(store, b"of a writer on another host, as far as anybody knows")
    assert states(store.collect_garbage(grace=NONE, apply=True)) == {other: "found"}
    assert store.home.blobs.has(other)


def storing_name(process):
    return f"{temporary_path(Path(), 'x').name.split('.')[1]}.{process}"


def test_nothing_is_collected_where_records_are_damaged(store):
    digest = lay(store)
    with writing(store.engine) as session:
        session.execute(text("UPDATE version_file SET size = size + 1"))
    with pytest.raises(IntegrityFailure, match="nothing is collected from a store whose records are damaged"):
        store.collect_garbage(grace=NONE, apply=True)
    assert store.home.blobs.has(digest)


def test_leftovers_of_the_dead_go_and_those_of_the_living_stay(store):
    folder = store.home.root / "tmp"
    mine = temporary_path(folder, "mine")
    mine.write_bytes(b"12345")
    far = folder / "skill.0123abcd.77.0f.tmp"
    far.write_bytes(b"123")
    old = folder / "skill.0123abcd.78.0f.tmp"
    old.write_bytes(b"1234")
    os.utime(old, (1, 1))
    given_up = store.home.collecting / "ab"
    given_up.mkdir(parents=True)
    (given_up / "sums").write_bytes(b"12")
    for path in (given_up / "sums", given_up):
        os.utime(path, (1, 1))
    told = store.collect_garbage()
    assert {Path(each["path"]): each["bytes"] for each in told.leftovers} == {old: 4, given_up: 2}
    assert old.exists()
    assert store.collect_garbage(apply=True).deleted_bytes == 6
    assert (mine.exists(), far.exists(), old.exists(), given_up.exists()) == (True, True, False, False)


def test_what_another_host_has_been_at_for_days_stays_known(store, tmp_path):
    """Its note has not changed since: where it is killed later, what it leaves beside the output is found by that."""
    note, beside = (f"{label}.0123abcd.77.{'0f' * 16}" for label in ("output", ".model"))
    note, beside = store.home.root / "tmp" / f"{note}.note", tmp_path / f"{beside}.tmp"
    note.write_bytes(os.fsencode(tmp_path / "model"))
    beside.write_bytes(b"123")
    os.utime(note, (1, 1))
    assert store.collect_garbage(apply=True).leftovers == []
    os.utime(beside, (1, 1))
    told = [Path(each["path"]) for each in store.collect_garbage(apply=True).leftovers]
    assert sorted(told) == sorted([beside, note])
    assert not beside.exists()


def test_strangers_among_the_objects_are_named_and_left_alone(store):
    place = store.home.root / "objects" / "blake3" / "ab"
    place.mkdir(parents=True, exist_ok=True)
    (place / "notes.txt").write_text("mine")
    (store.home.root / "objects" / "README").write_text("mine too")
    digest = lay(store)
    collected = store.collect_garbage(grace=NONE, apply=True)
    assert {Path(path).name for path in collected.strangers} == {"notes.txt", "README"}
    assert states(collected) == {digest: "deleted"}
    assert (place / "notes.txt").read_text() == "mine"


WRITER = """
import sys, mergestore
home, database, models, number = sys.argv[1:]
with mergestore.open(home, database=database or None, create=False) as store:
    for round in range(6):
        name = f"skill-{number}-{round}"
        store.register_skill(name, f"{models}/m{round % 3}", base="tiny", seed=int(number) % 2)
        assert store.verify(name).ok
"""


@pytest.mark.slow
@pytest.mark.parametrize("cleaners", [2])
def test_collecting_beside_writers_loses_nothing_that_was_committed(store, database_url, tmp_path, cleaners):
    """Writers of the same few contents, so that they rely on each other's objects; garbage is made all the time."""
    for number in range(3):
        save(tmp_path / "models" / f"m{number}", fine_tune(BASE, 10 + number), LLAMA_CONFIG)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    writers = [
        subprocess.Popen(
            [
                sys.executable,
                "-c",
                WRITER,
                str(store.home.root),
                database_url,
                str(tmp_path / "models"),
                str(n),
            ],
            env=environment,
            cwd=ROOT,
            stderr=subprocess.PIPE,
            text=True,
        )
        for n in range(3)
    ]
    deleted, deadline = 0, time.monotonic() + 300
    contents = [path.read_bytes() for path in sorted((store.home.root / "objects").rglob("*")) if path.is_file()]
    while any(writer.poll() is None for writer in writers) and time.monotonic() < deadline:
        lay(store, os.urandom(64))
        for _ in range(cleaners):
            collected = store.collect_garbage(grace=NONE, apply=True)
            deleted += sum(each["state"] == "deleted" for each in collected.objects)
    for writer in writers:
        assert writer.wait(timeout=300) == 0, writer.stderr.read()
        writer.stderr.close()
    assert contents
    deleted += sum(each["state"] == "deleted" for each in store.collect_garbage(grace=NONE, apply=True).objects)
    assert deleted > 0
    assert store.verify().ok
    assert len([row for row in store.list("skill").skills if row["name"].startswith("skill-")]) == 18


def test_the_cache_is_kept_within_its_limit(store):
    made = [store.materialize(f"tiny + {weight}*math", wait=False) for weight in (0.1, 0.2, 0.3)]
    sizes = [sum(path.stat().st_size for path in Path(each.path).iterdir()) for each in made]
    for number, each in enumerate(made):
        os.utime(each.path, (number, number))
    assert store.materialize("tiny + 0.1*math", wait=False).cached, "which makes it the one that was used last"
    limit = sizes[0] + sizes[2]
    told = store.collect_garbage(cache_limit=limit)
    assert [each["path"] for each in told.evicted] == [made[1].path]
    assert Path(made[1].path).is_dir()
    with if_free(store.engine, in_cache(made[1].recipe_digest)) as free:
        assert free
        evicted = store.collect_garbage(cache_limit=limit, apply=True).evicted
        assert [each["path"] for each in evicted] == [made[2].path], "the other one is in use"
    assert store.collect_garbage(cache_limit=limit, apply=True).evicted == []
    assert len(store.collect_garbage(cache_limit=0, apply=True).evicted) == 2
    assert list(store.home.cache.iterdir()) == []
    assert not store.materialize("tiny + 0.2*math", wait=False).cached
    assert store.verify().ok


def test_on_the_command_line(surroundings, tmp_path):
    with mergestore.open(tmp_path / "store", actor="ann@lab") as opened:
        digest = lay(opened)
    shell = Shell(tmp_path / "store", tmp_path)
    assert "1 object that nothing needs, 17 B: found now" in shell.text("gc")
    assert "no garbage" not in shell.text("gc", "--apply")
    assert "deleted" in shell.text("gc", "--apply", "--grace", "0")
    assert shell.text("gc", "--cache-limit", "0") == "no garbage\n"
    assert json.loads(json.dumps(shell.json("gc")))["objects"] == []
    assert shell.refused(2, "gc", "--grace", "soon")["message"] == "'soon' is not a duration"
    assert digest
    with mergestore.open(tmp_path / "store") as opened, pytest.raises(UsageError):
        opened.collect_garbage(grace=timedelta(seconds=-1))
