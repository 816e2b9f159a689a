"""Whether the file of a registry has code in its schema that is not ours: it would run as the file is read.

A view may never come to an end, and a trigger would write to the store for ever after. So this is looked at before
anything else in a file from elsewhere. How tables are spelled is not: that differs from one SQLAlchemy to the next, and
what they hold is checked later. Plain tables and indexes of others may be there: MLflow may share the database.
"""

from __future__ import annotations

import contextlib
import re
import sqlite3
from collections.abc import Collection, Iterator
from pathlib import Path

from sqlalchemy import create_engine

from migrations import REVISIONS
from migrations.revisions import config
from registry.records.database import sqlite_url
from registry.records.database_errors import sqlite_failure
from registry.records.schema import VERSION_TABLE
from storage.errors import EnvironmentFailure, IntegrityFailure
from storage.files import disk_errors

_COMPUTED = re.compile(r"\bGENERATED\b|\bAS\s*\(", re.IGNORECASE)
_PLAIN = re.compile(r"CREATE TABLE |CREATE (UNIQUE )?INDEX ")  # as SQLite itself begins what it keeps
_SPELLING = re.compile(r'[\s"]+')
_SCHEMA = "SELECT type, name, tbl_name, sql FROM sqlite_master"

_Part = tuple[str, str, str, str]


def require_own_schema(file: Path) -> None:
    """Raise IntegrityFailure for a SQLite file that is damaged, or whose schema has code that no revision of ours has.

    What is missing in it is not looked for. Raises EnvironmentFailure for one that a newer mergestore wrote, whose code
    nobody here knows: nothing else of it is read.
    """
    _refuse_unwritable(file)
    parts = _parts(file)
    if (revision := _unknown_revision(file, parts)) is not None:
        raise EnvironmentFailure(
            f"the registry in {file} has schema {revision[:20]!r}; this mergestore knows schemas up to {REVISIONS[-1]}",
            hint="upgrade mergestore, and restore it with that one",
        )
    known = _known()
    tables = {table for _, _, table, _ in known}
    for part in parts:
        kind, name, table, sql = part
        if not _is_harmless(part, tables) and (kind, name, table, _SPELLING.sub("", sql)) not in known:
            raise IntegrityFailure(
                f"the registry in {file} has a {kind} {name!r} that is not mergestore's",
                hint="use another backup: this one was changed",
            )


def _refuse_unwritable(file: Path) -> None:
    """Refuse a file of a version that SQLite reads and cannot write: https://www.sqlite.org/fileformat.html, 1.3.3."""
    with disk_errors(f"cannot read {file}"), file.open("rb") as opened:
        versions = opened.read(20)[18:]
    if not set(versions) <= {1, 2}:
        told = f"the registry in {file} is damaged: its header is not SQLite's"
        raise IntegrityFailure(told, hint="use another backup")


def _is_harmless(part: _Part, tables: Collection[str]) -> bool:
    """Whether this holds rows and computes nothing; an index that SQLite makes by itself has no text."""
    kind, _, table, sql = part
    if kind == "table":
        return bool(_PLAIN.match(sql)) and not (table in tables and _COMPUTED.search(sql))
    return kind == "index" and (not sql or (bool(_PLAIN.match(sql)) and table not in tables))


def _unknown_revision(file: Path, parts: Collection[_Part]) -> str | None:
    """What a plain table says; rows of such a table are read without anything running."""
    said = [part for part in parts if part[1] == VERSION_TABLE]
    if not said or said[0][0] != "table" or not _is_harmless(said[0], (VERSION_TABLE,)):
        return None
    with _opened(file) as opened:
        found = opened.execute(f"SELECT version_num FROM {VERSION_TABLE} LIMIT 2").fetchall()
    one = found[0][0] if len(found) == 1 else None
    return one if isinstance(one, str) and one not in REVISIONS else None


def _parts(file: Path) -> list[_Part]:
    with _opened(file) as opened:
        return [(str(kind), str(name), str(on), str(sql or "")) for kind, name, on, sql in opened.execute(_SCHEMA)]


@contextlib.contextmanager
def _opened(file: Path) -> Iterator[sqlite3.Connection]:
    try:
        # Immutable: what lies beside it is no part of it, and nothing is written there.
        uri = f"{file.absolute().as_uri()}?mode=ro&immutable=1"
        with contextlib.closing(sqlite3.connect(uri, uri=True)) as opened:
            opened.execute("PRAGMA trusted_schema = OFF")
            yield opened
    except sqlite3.Error as error:
        failure = sqlite_failure(sqlite_url(file), error)
        if failure is None:  # a schema that SQLite cannot make sense of
            failure = IntegrityFailure(f"the registry in {file} is damaged: {error}", hint="use another backup")
        raise failure from error


def _known() -> set[_Part]:
    """Everything that the schema has had at any of its revisions."""
    from alembic import command
    from alembic.script import ScriptDirectory

    known = set[_Part]()
    engine = create_engine("sqlite://")
    try:
        with engine.connect() as connection:
            settings = config(connection)
            for script in reversed(list(ScriptDirectory.from_config(settings).walk_revisions())):
                command.upgrade(settings, script.revision)
                for kind, name, table, sql in connection.exec_driver_sql(_SCHEMA):
                    known.add((kind, name, table, _SPELLING.sub("", sql or "")))
    finally:
        engine.dispose()
    return known
