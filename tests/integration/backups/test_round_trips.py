"""A store that is backed up and restored is the same store, from either database into either."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, select

import mergestore
from registry.records.columns import Record
from registry.records.database import reading
from tests.integration.backups.folders import objects_of
from tests.integration.golden_stores import GOLDEN
from tests.integration.shell import Shell
from tests.integration.tampering.conftest import Everything

pytestmark = pytest.mark.usefixtures("surroundings")
ROOT = Path(__file__).parents[3]
TUNED = GOLDEN / "format1" / "models" / "tuned"
RUNNING = {"lease", "garbage"}  # what concerns running processes


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
