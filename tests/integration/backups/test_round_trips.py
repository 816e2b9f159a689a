"""A store that is backed up and restored is the same store, from either database into either."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, select

import mergestore
from mergestore import Conflict, IntegrityFailure, MergestoreError, NotFound, UsageError
from registry.records.columns import Record
from registry.records.database import reading, sqlite_url
from storage.files import process_name
from tests.integration.conftest import Server
from tests.integration.golden_stores import GOLDEN
from tests.integration.shell import Shell, listing
from tests.integration.tampering.conftest import Everything

pytestmark = pytest.mark.usefixtures("surroundings")
ROOT = Path(__file__).parents[3]
TUNED = GOLDEN / "format1" / "models" / "tuned"
RUNNING = {"lease", "garbage"}  # what concerns running processes


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.server)])
def target(request: pytest.FixtureRequest) -> Iterator[str | None]:
    """An empty database for what is restored; None for SQLite in its folder."""
    if request.param == "sqlite":
        yield None
        return
    server: Server = request.getfixturevalue("postgres_server")
    name = f"restored_{uuid.uuid4().hex}"
    server.run(f'CREATE DATABASE "{name}"')
    yield server.url(name).render_as_string()
    server.run(f'DROP DATABASE "{name}" WITH (FORCE)')


def records(engine: Engine) -> dict[str, list[Any]]:
    with reading(engine) as session:
        found = {}
        for table in Record.metadata.sorted_tables:
            rows = session.execute(select(table).order_by(*table.primary_key.columns)).all()
            found[table.name] = [tuple(row) for row in rows if row[0] != "written_by"]
    return {name: rows for name, rows in found.items() if name not in RUNNING}


def test_it_is_the_same_store(home: Path, source: str, target: str | None, tmp_path: Path) -> None:
    (home / "policy.yaml").write_text("policy: 1\n")
    with mergestore.open(home, database=source) as store:
        before = records(store.engine)
        asked = store.show("assistant@1")
        head = store.anchor().anchor
    backed = mergestore.backup(tmp_path / "backup", home, database=source)
    assert backed.ok
    assert backed.created
    assert backed.copied == backed.objects == len(before["blob"])
    assert mergestore.restore(tmp_path / "backup", check=True).checked

    restored = mergestore.restore(tmp_path / "backup", tmp_path / "new", database=target)
    assert restored.ok
    assert restored.audit_head == backed.audit_head
    with mergestore.open(tmp_path / "new", database=target, create=False) as store:
        after = records(store.engine)
        assert store.show("assistant@1") == asked
        found = store.verify()
        assert store.anchor().anchor == head
        assert after == before
        assert sum(map(len, before.values())) > 200
        assert found.problems == []
        assert store.check_store(read_data=True).problems == []
        made = store.materialize("assistant@1", output=tmp_path / "made", wait=False)
        assert made.output_digest == asked["materializations"][0]["output_digest"]
        assert store.merge("after", "golden/base + 0.1*small").version == 1  # numbers go on
        store.pin("small", "kept")
        assert store.verify().problems == []
    assert (tmp_path / "new" / "policy.yaml").read_text() == "policy: 1\n"


def test_only_what_is_new_is_copied(home: Path, source: str, tmp_path: Path) -> None:
    backup = tmp_path / "backup"
    first = mergestore.backup(backup, home, database=source)
    again = mergestore.backup(backup, home, database=source)
    assert (again.created, again.copied, again.objects) == (False, 0, first.objects)
    with mergestore.open(home, database=source) as store:
        store.register_skill("more", TUNED, base="golden/base", drop_rate=0.125, allow_missing=True)
    more = mergestore.backup(backup, home, database=source)
    assert more.copied >= 1
    assert more.objects == first.objects + more.copied
    objects = [path for path in (backup / "objects").rglob("*") if path.is_file()]
    assert len(objects) == more.objects + 1  # and the registry: that of the backup before is gone
    assert mergestore.restore(backup, tmp_path / "new").audit_head == more.audit_head


def test_what_the_backup_has_is_read_when_that_is_asked_for(home: Path, source: str, tmp_path: Path) -> None:
    backup = tmp_path / "backup"
    mergestore.backup(backup, home, database=source)
    objects = json.loads((backup / "manifest.json").read_text())["objects"]
    damaged, both, only_here = (each["digest"] for each in sorted(objects, key=lambda each: -each["size"])[:3])
    for folder, digest in ((backup, damaged), (backup, both), (home, both)):
        flip(folder, digest)
    gone = path_of(home, only_here)
    gone.chmod(0o644)
    gone.unlink()

    trusting = mergestore.backup(backup, home, database=source)
    assert (trusting.ok, trusting.copied, trusting.mended) == (True, 0, [])
    code, out, _ = Shell(home)("--database", source, "backup", backup, "--read-data")
    assert code == 6
    assert f"was damaged or missing in the backup, and is copied anew: {damaged}" in out
    assert both in out
    again = mergestore.backup(backup, home, database=source, read_data=True)
    assert (again.copied, again.mended, again.lost) == (0, [], [both])
    assert mergestore.restore(backup, check=True).lost == [both]
    assert path_of(backup, only_here).exists()

    path_of(backup, damaged).unlink()
    assert mergestore.backup(backup, home, database=source).mended == [damaged]


def test_a_store_that_went_back_does_not_take_the_place_of_a_newer_backup(
    home: Path, source: str, tmp_path: Path
) -> None:
    """As one that was restored from an older backup, or two that go on from one."""
    backup, older = tmp_path / "backup", tmp_path / "older"
    mergestore.backup(older, home, database=source)
    with mergestore.open(home, database=source) as store:
        store.merge("precious", "golden/base + 0.3*small")
    newest = mergestore.backup(backup, home, database=source)
    mergestore.restore(older, tmp_path / "went-back")
    with pytest.raises(Conflict, match=r"has what this store has not: audit event \d+ is not in its log"):
        mergestore.backup(backup, tmp_path / "went-back")
    mergestore.restore(backup, tmp_path / "goes-on")
    assert mergestore.backup(backup, tmp_path / "goes-on").audit_head == newest.audit_head


def test_of_a_damaged_backup_what_is_whole_is_restored_when_that_is_asked_for(
    home: Path, source: str, target: str | None, tmp_path: Path
) -> None:
    backup = tmp_path / "backup"
    whole = mergestore.backup(backup, home, database=source)
    digest = max(json.loads((backup / "manifest.json").read_text())["objects"], key=lambda each: each["size"])["digest"]
    flip(backup, digest)
    with pytest.raises(IntegrityFailure, match="missing or changed is") as refused:
        mergestore.restore(backup, tmp_path / "new", database=target)
    assert "restore --partial" in str(refused.value.hint)
    with pytest.raises(UsageError):
        mergestore.restore(backup, check=True, partial=True)
    restored = mergestore.restore(backup, tmp_path / "new", database=target, partial=True)
    assert (restored.ok, restored.lost, restored.objects) == (False, [digest], whole.objects - 1)
    with mergestore.open(tmp_path / "new", database=target, create=False) as store:
        assert digest in {problem.get("digest") for problem in store.check_store().problems}


def test_a_policy_that_cannot_be_read_does_not_take_the_place_of_a_good_one(
    home: Path, source: str, tmp_path: Path
) -> None:
    backup, policy = tmp_path / "backup", home / "policy.yaml"
    policy.write_text("policy: 1\n")
    mergestore.backup(backup, home, database=source)
    policy.write_bytes(b"\xff\xfe")
    with pytest.raises(MergestoreError, match="policy"):
        mergestore.backup(backup, home, database=source)
    policy.unlink()
    policy.mkdir()
    with pytest.raises(MergestoreError, match="policy"):
        mergestore.backup(backup, home, database=source)
    mergestore.restore(backup, tmp_path / "new")
    assert (tmp_path / "new" / "policy.yaml").read_text() == "policy: 1\n"


def test_what_a_kill_has_left_beside_the_manifest_is_in_nobodys_way(home: Path, source: str, tmp_path: Path) -> None:
    backup = tmp_path / "backup"
    mergestore.backup(backup, home, database=source)
    dead = subprocess.Popen(["true"])
    dead.wait()
    host = process_name().split(".")[0]
    left = backup / f"manifest.json.{host}.{dead.pid}.{uuid.uuid4().hex}.tmp"
    elsewhere = backup / f"manifest.json.0badcafe.1.{uuid.uuid4().hex}.tmp"
    for path in (left, elsewhere):
        path.write_text("{")
    assert mergestore.backup(backup, home, database=source).ok
    assert (left.exists(), elsewhere.exists()) == (False, True)


def test_a_manifest_that_is_damaged_is_told_with_the_way_out(home: Path, source: str, tmp_path: Path) -> None:
    backup = tmp_path / "backup"
    first = mergestore.backup(backup, home, database=source)
    manifest = backup / "manifest.json"
    manifest.write_text("{")
    with pytest.raises(IntegrityFailure) as refused:
        mergestore.backup(backup, home, database=source)
    assert f"delete {manifest}" in str(refused.value.hint)
    manifest.unlink()
    again = mergestore.backup(backup, home, database=source)
    assert (again.objects, again.copied) == (first.objects, 0)


def path_of(folder: Path, digest: str) -> Path:
    (found,) = (folder / "objects").rglob(digest.partition(":")[2])
    return found


def flip(folder: Path, digest: str) -> None:
    path = path_of(folder, digest)
    path.chmod(0o644)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_others_go_on_writing_meanwhile(home: Path, source: str, tmp_path: Path) -> None:
    done, failed = threading.Event(), list[BaseException]()

    def write() -> None:
        number = 0
        with mergestore.open(home, database=source) as store:
            while not done.is_set():
                number += 1
                try:
                    store.merge("busy", f"golden/base + 0.{number:03}1*small")
                    store.collect_garbage(apply=True)
                except BaseException as error:
                    failed.append(error)
                    return

    writer = threading.Thread(target=write)
    writer.start()
    try:
        answers = [mergestore.backup(tmp_path / "backup", home, database=source) for _ in range(3)]
    finally:
        done.set()
        writer.join()
    assert failed == []
    assert [answer.ok for answer in answers] == [True] * 3
    mergestore.restore(tmp_path / "backup", tmp_path / "new")
    with mergestore.open(tmp_path / "new") as store:
        assert store.verify().problems == []


BACK_UP = """
import os, signal, sys
import mergestore
from storage import files
home, folder, last = sys.argv[1:]
done, real = 0, files.fsync_path

def count(path):
    global done
    done += 1
    if done == int(last):
        os.kill(os.getpid(), signal.SIGKILL)
    real(path)

files.fsync_path = count
mergestore.backup(folder, home)
"""


def test_killed_at_any_point_the_backup_before_is_whole(home: Path, tmp_path: Path) -> None:
    backup = tmp_path / "backup"
    heads, last = [], 1
    while True:
        words = [sys.executable, "-c", BACK_UP, str(home), str(backup), str(last)]
        killed = subprocess.run(words, cwd=ROOT, env={**os.environ}, check=False)
        if (backup / "manifest.json").exists():
            heads.append(mergestore.restore(backup, check=True).audit_head["sequence"])
        if killed.returncode == 0:
            break
        assert killed.returncode == -signal.SIGKILL
        with mergestore.open(home) as store:
            store.merge("between", f"golden/base + 0.{last:03}1*small")
        last += 17
    assert heads == sorted(heads)
    assert last > 17
    assert not list((backup / "tmp").iterdir())


# --- what is refused --------------------------------------------------------------------------------------


def objects_of(folder: Path) -> list[Path]:
    return sorted(path for path in (folder / "objects").rglob("*") if path.is_file())


@pytest.mark.parametrize("damage", ["changed", "cut", "gone"])
def test_a_damaged_backup_is_refused_and_named(home: Path, tmp_path: Path, damage: str) -> None:
    backup = tmp_path / "backup"
    mergestore.backup(backup, home)
    for path in objects_of(backup):
        whole = path.read_bytes()
        if damage == "gone":
            path.unlink()
        else:
            path.write_bytes(whole[:-1] if damage == "cut" else bytes([whole[0] ^ 1]) + whole[1:])
        with pytest.raises(IntegrityFailure, match=path.name):
            mergestore.restore(backup, tmp_path / "new")
        with pytest.raises(IntegrityFailure, match=path.name):
            mergestore.restore(backup, check=True)
        assert not (tmp_path / "new").exists()
        path.write_bytes(whole)
    assert mergestore.restore(backup, tmp_path / "new").ok
    assert sorted(path.name for path in tmp_path.iterdir()) == ["backup", "new", "store"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda document: document["objects"].pop(), "objects that are not in it"),
        (lambda document: document["audit_head"].update(sequence=3), "its manifest says 3"),
        (lambda document: document.update(store_id="0" * 32), "of store 0000"),
        (lambda document: document.update(version=2), "version must be"),
        (lambda document: document.update(registry=document["objects"][0]), "damaged|holds none"),
        (lambda document: document["objects"][0].update(digest="blake3:../../etc"), "a digest"),
        (lambda document: document.update(lost="none"), "lost must be a list"),
    ],
)
def test_a_manifest_that_says_something_else_is_refused(
    home: Path, tmp_path: Path, change: Callable[[Any], Any], told: str
) -> None:
    mergestore.backup(tmp_path / "backup", home)
    path = tmp_path / "backup" / "manifest.json"
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))
    with pytest.raises(IntegrityFailure, match=told):
        mergestore.restore(tmp_path / "backup", tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_it_is_restored_only_where_nothing_is(
    home: Path, tmp_path: Path, postgres_url: str, connect: Callable[[str], Engine]
) -> None:
    backup = tmp_path / "backup"
    mergestore.backup(backup, home)
    before = listing(home)
    with pytest.raises(Conflict, match="not empty"):
        mergestore.restore(backup, home)
    assert listing(home) == before
    (tmp_path / "new").mkdir()  # an empty folder is as good as none
    mergestore.restore(backup, tmp_path / "new", database=postgres_url)
    with pytest.raises(Conflict, match="there is a registry already"):
        mergestore.restore(backup, tmp_path / "other", database=postgres_url)
    assert not (tmp_path / "other").exists()
    with pytest.raises(NotFound, match="no backup"):
        mergestore.restore(home, tmp_path / "other")


def test_it_is_written_only_where_backups_are(home: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="in one another"):
        mergestore.backup(home / "backup", home)
    with pytest.raises(UsageError, match="in one another"):
        mergestore.backup(tmp_path, home)
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "a").touch()
    with pytest.raises(Conflict, match="something else: a"):
        mergestore.backup(tmp_path / "letters", home)
    mergestore.backup(tmp_path / "backup", home)
    mergestore.init(tmp_path / "another")
    before = listing(tmp_path / "backup")
    with pytest.raises(Conflict, match="another store"):
        mergestore.backup(tmp_path / "backup", tmp_path / "another")
    assert listing(tmp_path / "backup") == before


def test_what_is_lost_in_the_store_is_named_and_the_rest_is_backed_up(home: Path, tmp_path: Path) -> None:
    gone, changed = objects_of(home)[:2]
    gone.unlink()
    changed.write_bytes(bytes(changed.stat().st_size))
    shell = Shell(home)
    answer = shell.json("backup", tmp_path / "backup", code=6)
    lost = sorted(f"blake3:{path.name}" for path in (gone, changed))
    assert sorted(answer["lost"]) == lost
    new = Shell(tmp_path / "new")
    assert sorted(new.json("restore", tmp_path / "backup", code=6)["lost"]) == lost
    assert {problem["digest"] for problem in new.json("check", code=6)["problems"]} == set(lost)


def test_a_backup_keeps_what_the_store_loses_later(home: Path, tmp_path: Path) -> None:
    mergestore.backup(tmp_path / "backup", home)
    objects_of(home)[0].unlink()
    assert mergestore.backup(tmp_path / "backup", home).ok
    shell = Shell(home)
    assert shell.json("check", code=6)["problems"]
    assert shell.json("repair", "--apply", "--from", tmp_path / "backup")["ok"]
    assert shell.json("verify")["ok"]


def test_damaged_records_are_not_backed_up_and_the_backup_before_stays(
    home: Path, tmp_path: Path, connect: Callable[[str], Engine]
) -> None:
    mergestore.backup(tmp_path / "backup", home)
    before = listing(tmp_path / "backup")
    with connect(sqlite_url(home / "registry.db").render_as_string()).connect() as connection:
        connection.exec_driver_sql("PRAGMA query_only = OFF")
        connection.exec_driver_sql("UPDATE model_version SET licence = 'MIT' WHERE licence IS NULL")
        connection.commit()
    with pytest.raises(IntegrityFailure, match="whose records are damaged"):
        mergestore.backup(tmp_path / "backup", home)
    assert listing(tmp_path / "backup") == before
    assert mergestore.restore(tmp_path / "backup", tmp_path / "new").ok


# --- a registry alone -------------------------------------------------------------------------------------


def test_a_lost_registry_is_put_back_out_of_its_snapshot(
    everything: Everything, home: Path, tmp_path: Path, target: str | None
) -> None:
    del everything
    schema = mergestore.init(home)["schema"]
    kept = Path(mergestore.init(home, downgrade="0003")["backup"])
    shell = Shell(home)
    code, _, err = shell("restore", kept)
    assert (code, "there is a registry already" in err) == (4, True)
    for file in home.glob("registry.db*"):
        file.unlink()
    database = ["--database", target] if target else []
    answer = shell.json(*database, "restore", kept)
    assert (answer["ok"], answer["lost"]) == (True, [])
    assert shell.json(*database, "verify")["ok"]
    assert shell.json(*database, "init")["schema"] == schema


def test_a_snapshot_that_is_none_is_refused(home: Path, tmp_path: Path) -> None:
    for file in home.glob("registry.db*"):
        file.unlink()
    (tmp_path / "noise").write_bytes(b"noise" * 1000)
    (tmp_path / "empty").touch()
    for name, kind in (("noise", IntegrityFailure), ("empty", IntegrityFailure), ("absent", NotFound)):
        with pytest.raises(kind):
            mergestore.restore(tmp_path / name, home)
    assert not (home / "registry.db").exists()
    assert not list((home / "tmp").iterdir())


def test_what_a_power_cut_left_in_a_backup_is_not_believed(home: Path, tmp_path: Path) -> None:
    """Copies are flushed together, so that one may be there in its size and without its bytes; no manifest names it."""
    mergestore.backup(tmp_path / "backup", home)
    (tmp_path / "backup" / "manifest.json").unlink()
    torn = [path for path in sorted((tmp_path / "backup" / "objects").rglob("*")) if path.is_file()][::2]
    for path in torn:
        path.write_bytes(bytes(path.stat().st_size))
    made = mergestore.backup(tmp_path / "backup", home)
    assert made.ok
    assert mergestore.restore(tmp_path / "backup", tmp_path / "again", check=True).ok
