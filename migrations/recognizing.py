"""Whether the file of a registry has the schema that our revisions make: what else it has could run as it is read.

A view may never come to an end, and a trigger would write to the store for ever after. So this is looked at before
anything else in a file from elsewhere. Plain tables and indexes of others may be there: MLflow may share the database.
"""

from __future__ import annotations

import contextlib
import re
import sqlite3
from pathlib import Path

from sqlalchemy import create_engine

from migrations.revisions import config
from registry.records.database import sqlite_url
from registry.records.database_errors import sqlite_failure
from storage.errors import IntegrityFailure

_PLAIN = re.compile(r"CREATE TABLE |CREATE (UNIQUE )?INDEX ")  # as SQLite itself begins what it keeps
_SPELLING = re.compile(r'[\s"]+')
_SCHEMA = "SELECT type, name, tbl_name, sql FROM sqlite_master"

_Part = tuple[str, str, str, str]


def require_own_schema(file: Path) -> None:
    """Raise IntegrityFailure for a SQLite file that is damaged, or whose schema has what no revision of ours makes.

    What is missing in it is not looked for.
    """
    known = _known()
    tables = {table for _, _, table, _ in known}
    for kind, name, table, sql in _parts(file):
        ours = table in tables or name in tables
        if (ours and (kind, name, table, _spelled(kind, sql)) not in known) or not (ours or _plain(kind, sql)):
            raise IntegrityFailure(
                f"the registry in {file} has a {kind} {name!r} that is not mergestore's",
                hint="use another backup: this one was changed",
            )


def _parts(file: Path) -> list[_Part]:
    try:
        with contextlib.closing(sqlite3.connect(file)) as opened:
            opened.execute("PRAGMA trusted_schema = OFF")
            return [(str(kind), str(name), str(on), str(sql or "")) for kind, name, on, sql in opened.execute(_SCHEMA)]
    except sqlite3.Error as error:
        failure = sqlite_failure(sqlite_url(file), error)
        if failure is None:  # a schema that SQLite cannot make sense of
            failure = IntegrityFailure(f"the registry in {file} is damaged: {error}", hint="use another backup")
        raise failure from error


def _plain(kind: str, sql: str) -> bool:
    """Whether this is a table or index that holds rows; one that SQLite makes by itself has no text."""
    return bool(_PLAIN.match(sql)) or (kind == "index" and not sql)


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
                    known.add((kind, name, table, _spelled(kind, sql or "")))
    finally:
        engine.dispose()
    return known


def _spelled(kind: str, sql: str) -> str:
    """A definition without what differs from one database to the next: where Alembic made a table anew, the order."""
    sql = _SPELLING.sub("", sql)
    return ",".join(sorted(part.rstrip(")") for part in sql.split(","))) if kind == "table" else sql
