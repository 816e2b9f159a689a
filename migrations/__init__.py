"""The schema of the registry database and its history, run from code: no ini file, from any folder.

To change the schema: change the records, write the next file in ``versions/`` by hand (with its CHECKs and
triggers), and add its number to ``REVISIONS``. The tests compare both on SQLite and PostgreSQL, and the triggers
with ``registry.records.guards``; a table that SQLite replaces loses its own. Shipped revisions never change.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine, inspect, text

from registry.records.database import migrating, reading
from registry.records.database_errors import shown_url
from storage.errors import EnvironmentFailure, IntegrityFailure

if TYPE_CHECKING:
    from alembic.config import Config

REVISIONS = ("0001", "0002", "0003", "0004")
"""Every revision this code knows, oldest first. Kept here so that the usual start needs no Alembic."""

VERSION_TABLE = "mergestore_version"
"""Not Alembic's default: the database may be shared with MLflow, which uses that name."""

__all__ = ["REVISIONS", "VERSION_TABLE", "config", "current", "head", "require_current", "upgrade"]


def head() -> str:
    """The revision that this code works with."""
    return REVISIONS[-1]


def current(engine: Engine) -> str | None:
    """The revision the database is at; None when it holds no registry. Imports no Alembic."""
    with reading(engine) as session:
        return _revision(session.connection())


def upgrade(engine: Engine) -> bool:
    """Bring the schema to ``head()``, making it when there is none; whether anything was done.

    All in one transaction; of several processes that start at once, one does it and the others wait.
    Raises EnvironmentFailure when the schema is newer than this code.
    """
    if current(engine) == head():
        return False
    with migrating(engine) as connection:
        if not _outdated(engine, _revision(connection)):
            return False  # another process was faster
        from alembic import command

        command.upgrade(config(connection), "head")
        _check_foreign_keys(connection)
    return True


def require_current(engine: Engine) -> None:
    """Raise EnvironmentFailure unless the schema is exactly the one this code works with."""
    found = current(engine)
    if not _outdated(engine, found):
        return
    where = shown_url(engine.url)
    if found is None:
        raise EnvironmentFailure(f"there is no registry in {where}", hint="run `mergestore init` to make one")
    raise EnvironmentFailure(
        f"the registry in {where} has schema {found}, this mergestore needs {head()}",
        hint="run `mergestore init` to upgrade it",
    )


def config(connection: Connection) -> Config:
    """Alembic's configuration for one open connection."""
    from alembic.config import Config

    settings = Config(attributes={"connection": connection, "version_table": VERSION_TABLE})
    folder = str(Path(__file__).parent)
    settings.set_main_option("script_location", folder.replace("%", "%%"))
    settings.set_main_option("path_separator", "os")
    return settings


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    found: str | None = connection.scalar(text(f"SELECT version_num FROM {VERSION_TABLE}"))
    return found


def _outdated(engine: Engine, found: str | None) -> bool:
    if found is not None and found not in REVISIONS:
        raise EnvironmentFailure(
            f"the registry in {shown_url(engine.url)} has schema {found}; this mergestore knows schemas up to {head()}",
            hint="a newer mergestore wrote it: upgrade mergestore",
        )
    return found != head()


def _check_foreign_keys(connection: Connection) -> None:
    if connection.dialect.name != "sqlite":
        return
    broken = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
    if broken:
        tables = ", ".join(sorted({row[0] for row in broken}))
        raise IntegrityFailure(
            f"the registry cannot be upgraded: rows of {tables} refer to rows that do not exist",
            hint="nothing was changed: run `mergestore verify` with the version that wrote it",
        )
