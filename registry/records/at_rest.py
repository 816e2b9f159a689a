"""A SQLite file that nobody has open: one plain file, with nothing of it beside it."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

from sqlalchemy.engine import URL

from registry.records.database_errors import sqlite_failure
from storage.errors import EnvironmentFailure
from storage.files import disk_errors

_BESIDE = ("-journal", "-wal", "-shm")


def parts(file: Path) -> list[Path]:
    """What there is of a SQLite file: itself, and what SQLite keeps beside it, which belongs to it or spoils it."""
    with disk_errors(f"cannot look at {file}"):
        return [path for ending in ("", *_BESIDE) if (path := file.with_name(file.name + ending)).exists()]


def discard(file: Path) -> None:
    """Delete a SQLite file that nobody has open, and what SQLite keeps beside one; absent is fine."""
    for ending in (*_BESIDE, ""):
        file.with_name(file.name + ending).unlink(missing_ok=True)


def settle(file: Path) -> None:
    """Bring what is in the write-ahead log into the file, before that is copied, moved or named by its digest.

    SQLite does so when the last connection closes, and says nothing where the disk does not let it. Raises
    EnvironmentFailure then.
    """
    try:
        with contextlib.closing(sqlite3.connect(file)) as opened:
            (mode,) = opened.execute("PRAGMA journal_mode = DELETE").fetchone()
    except sqlite3.Error as error:
        failure = sqlite_failure(URL.create("sqlite", database=str(file)), error)
        if failure is None:
            raise
        raise failure from error
    if mode != "delete":
        raise EnvironmentFailure(f"cannot write {file}: SQLite keeps a part of it in a log (journal mode {mode!r})")
