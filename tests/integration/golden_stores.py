"""The golden stores, loaded from what their databases wrote: tests/golden/make_store.py."""

from __future__ import annotations

import gzip
import json
import shutil
import sqlite3
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

GOLDEN = Path(__file__).parents[1] / "golden"
SCHEMAS = {"store2": "0002", "store3": "0003", "store4": "0004"}
"""The folders, and the schema that wrote each."""


def copy_objects(name: str, home: Path) -> Path:
    """The objects of a golden store, in a new home."""
    shutil.copytree(GOLDEN / name / "objects", home / "objects")
    return home


def expected(name: str) -> dict[str, Any]:
    """What the code that wrote a golden store read in it."""
    found: dict[str, Any] = json.loads((GOLDEN / name / "expected.json").read_text())
    return found


def copy_backup(name: str, folder: Path) -> Path:
    """The backup that was made of a golden store, whose objects are the store's."""
    shutil.copytree(GOLDEN / name / "objects", folder / "objects")
    manifest = json.loads((GOLDEN / name / "backup" / "manifest.json").read_text())
    digest = manifest["registry"]["digest"].partition(":")[2]
    place = folder / "objects" / "blake3" / digest[:2] / digest
    place.parent.mkdir(exist_ok=True)
    place.write_bytes(gzip.decompress((GOLDEN / name / "backup" / "registry.db.gz").read_bytes()))
    shutil.copy(GOLDEN / name / "backup" / "manifest.json", folder)
    return folder


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
