"""A store that can be read and not written, as a reviewer has it: without permission, or on a read-only mount."""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from storage import locks
from tests.integration.shell import listing, rows

ROOT = Path(__file__).parents[3]
LOCKS = Path("/proc/locks")
READING: tuple[tuple[str, ...], ...] = (
    *(("list",), ("show", "math"), ("audit", "assistant"), ("find", "events"), ("impact", "math"), ("metrics",)),
    *(("verify",), ("check", "assistant@1"), ("diff", "math", "math"), ("gc",), ("stats", "list"), ("anchor",)),
)
WRITING: tuple[tuple[str, ...], ...] = (
    *(("alias", "math@1", "new"), ("merge", "new", "golden/base + math"), ("materialize", "assistant@1"), ("sync",)),
    *(("yank", "math@1", "--reason", "x"), ("export", "math", "-o", "out"), ("audit", "assistant@1", "--rebuild")),
    *(("init", "--quota", "5GB"), ("repair",), ("gc", "--apply")),
)
CHILD = """
import json, sys
from pathlib import Path
import mergestore
from tests.integration.shell import Shell
shell = Shell(Path(sys.argv[1]))
told = [shell(*words) for words in json.loads(sys.argv[2])]
for expression in sys.argv[3:]:
    with mergestore.open(sys.argv[1]) as store:
        assert store.load(expression)
print(json.dumps(told))
"""


@pytest.fixture
def locked(place: Path) -> Iterator[Path]:
    """The store, its files and folders without the right to write."""
    home = place / "store"
    modes = {path: path.stat().st_mode for path in (home, *home.rglob("*"))}
    yield home
    for path, mode in modes.items():
        if path.exists():
            path.chmod(mode)


def lock(home: Path) -> None:
    for path in (*home.rglob("*"), home):
        path.chmod(path.stat().st_mode & ~0o222)


def ask(home: Path, *words: tuple[str, ...], load: tuple[str, ...] = ()) -> list[tuple[int, str, str]]:
    """Exit code, stdout and stderr of commands, by a user whom permissions bind: root is, without these powers.

    Then these expressions are loaded in Python.
    """
    bound = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
    command = [*bound, sys.executable, "-c", CHILD, str(home), json.dumps(words), *load]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=home.parent, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return [tuple(each) for each in json.loads(done.stdout)]


@pytest.mark.slow
def test_without_permission_what_looks_works_and_what_changes_is_refused(locked: Path) -> None:
    lock(locked)
    before = listing(locked.parent), rows_of(locked)
    told = ask(locked, *READING, ("doctor",), *WRITING, load=("golden/base + math@1",))
    for words, (code, _, err) in zip(READING, told, strict=False):
        assert code == 0, (words, err)
    code, out, _ = told[len(READING)]
    assert (code, "error    home:" in out, "ok       database: sqlite answers" in out) == (7, True, True)
    for words, (code, out, err) in zip(WRITING, told[len(READING) + 1 :], strict=True):
        if words == ("sync",):
            assert code in (0, 7), words
            continue
        assert (code, out) == (7, ""), (words, err)
        assert "cannot be changed: this user has no right to write the file or its folder" in err, words
    assert (listing(locked.parent), rows_of(locked)) == before


def test_the_doctor_names_each_folder_that_cannot_be_written(locked: Path) -> None:
    refused = {"tmp": 0o555, "objects": 0o555, "objects/blake3": 0o555, "cache": 0o666}
    for name, mode in refused.items():
        (locked / name).chmod(mode)
    ((code, out, _),) = ask(locked, ("doctor",))
    told = ", ".join(str(locked / name) for name in refused)
    assert (code, f"error    home: {told} cannot be written\n" in out) == (7, True), out


def test_it_is_backed_up(locked: Path) -> None:
    """As a snapshot of a disk is, that is mounted read-only."""
    lock(locked)
    before = listing(locked), rows_of(locked)
    told = ask(locked, *[("backup", "copy")] * 2, ("backup", "copy", "--read-data"), ("restore", "copy", "--check"))
    assert [code for code, _, _ in told] == [0] * 4, told
    assert "new: 0 objects" in told[1][1]
    assert (listing(locked), rows_of(locked)) == before


def test_its_backup_waits_for_the_owners_into_the_same_folder(locked: Path) -> None:
    """Who cannot put on record that it is at it waits by a lock on the folder."""
    lock(locked)
    folder = locked.parent / "copy"
    folder.mkdir()
    with ThreadPoolExecutor() as pool:
        with locks.locked(folder):
            done = pool.submit(ask, locked, ("backup", "copy"))
            while not re.search(f"-> FLOCK .*:{folder.stat().st_ino} ", LOCKS.read_text()):
                assert not done.done(), done.result()
                time.sleep(0.01)
            assert list(folder.iterdir()) == []
        ((code, _, err),) = done.result()
    assert code == 0, err


def rows_of(home: Path) -> Any:
    """The database's content, read from a copy: this process may write."""
    copy = home.parent / "looked-at.db"
    shutil.copy(home / "registry.db", copy)
    copy.chmod(0o600)
    try:
        return rows(copy)
    finally:
        copy.unlink()


def test_changes_that_are_still_in_the_wal_are_read_or_asked_for(locked: Path) -> None:
    """A process that was killed leaves its last changes there."""
    connection = sqlite3.connect(locked / "registry.db", isolation_level=None)
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    connection.execute("INSERT INTO store_meta (key, value) VALUES ('kept', 'in the WAL')")
    lock(locked)
    for beside in ("", "-wal", "-shm"):
        (locked / f"registry.db{beside}").chmod(0o444)
    (code, out, err), (changed, _, refusal) = ask(locked, ("list",), ("alias", "math@1", "new"))
    assert code == 0, err
    assert "math" in out
    assert changed == 7
    assert "cannot be changed: this user has no right to write" in refusal
    locked.chmod(0o755)
    aside = (locked / "registry.db-shm").rename(locked.parent / "shm")
    locked.chmod(0o555)
    ((code, _, err),) = ask(locked, ("list",))
    assert code == 7
    assert "its newest changes are in registry.db-wal" in err
    assert "copy the store" in err
    locked.chmod(0o755)
    aside.rename(locked / "registry.db-shm")
    connection.close()


def test_a_registry_that_may_not_be_read_is_told_so(locked: Path) -> None:
    for name in ("registry.db", "registry.db-wal"):
        (locked / "registry.db-wal").touch()
        (locked / "registry.db-shm").touch()
        (locked / name).chmod(0)
        ((code, _, err),) = ask(locked, ("list",))
        (locked / name).chmod(0o644)
        assert (code, f"no right to read {locked / name}: check its permissions" in err) == (7, True), err
