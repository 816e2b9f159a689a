"""A SQLite registry changed behind its triggers, which stand there again afterwards: whoever does so is thorough."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def behind_guards(file: Path) -> Iterator[sqlite3.Connection]:
    """A connection to the database without triggers and foreign keys; committed, and guarded again, at the end."""
    with contextlib.closing(sqlite3.connect(file)) as database:
        triggers = database.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for name, _ in triggers:
            database.execute(f"DROP TRIGGER {name}")
        yield database
        for _, definition in triggers:
            database.execute(definition)
        database.commit()
