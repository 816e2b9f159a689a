"""The golden stores, loaded from what their databases wrote: tests/golden/make_store.py."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

from sqlalchemy import Engine

GOLDEN = Path(__file__).parents[1] / "golden"
SCHEMAS = {"store2": "0002"}
"""The folders, and the schema that wrote each."""


def copy_objects(name: str, home: Path) -> Path:
    """The objects of a golden store, in a new home."""
    shutil.copytree(GOLDEN / name / "objects", home / "objects")
    return home


def load_sqlite(name: str, file: Path) -> Path:
    """A new SQLite file with what was in the store's."""
    with sqlite3.connect(file) as connection:
        connection.executescript((GOLDEN / name / "sqlite.sql").read_text())
    connection.close()
    return file


def load_postgresql(name: str, engine: Engine) -> None:
    """The same in an empty PostgreSQL database."""
    with engine.connect() as connection:
        raw = connection.connection.dbapi_connection
        assert raw is not None
        raw.execute((GOLDEN / name / "postgresql.sql").read_text())  # type: ignore[attr-defined]
        connection.connection.commit()
