"""The schema of the registry database and its history, run from code: no ini file, from any folder.

To change the schema: change the records, write the next file in ``versions/`` by hand (with its CHECKs and
triggers), and add its number to ``REVISIONS``. The tests compare both on SQLite and PostgreSQL, and the triggers
with ``registry.records.guards``; a table that SQLite replaces loses its own. Shipped revisions never change.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, text

from migrations.revisions import ONE_AT_A_TIME, config, require_free_names
from registry.records.database import migrating, reading
from registry.records.database_errors import shown_url
from registry.records.identity import WRITTEN_BY_KEY
from registry.records.location import LOCATION_KEY
from registry.records.schema import VERSION_TABLE, revision_of
from storage.errors import Conflict, EnvironmentFailure, IntegrityFailure, UsageError
from storage.journal import note

REVISIONS = ("0001", "0002", "0003", "0004")
"""Every revision this code knows, oldest first. Kept here so that the usual start needs no Alembic."""
_KNOWS_OBJECT_STORAGE = "0004"

__all__ = [
    "REVISIONS",
    "VERSION_TABLE",
    "Migrated",
    "config",
    "current",
    "downgrade",
    "head",
    "migrate",
    "require_current",
    "upgrade",
]


@dataclass(frozen=True)
class Migrated:
    """What became of a schema: from which revision (None: there was none) to which, and the backup from before."""

    before: str | None
    after: str
    backup: Path | None = None


def head() -> str:
    """The revision that this code works with."""
    return REVISIONS[-1]


def current(engine: Engine) -> str | None:
    """The revision the database is at; None when it holds no registry. Imports no Alembic."""
    with reading(engine) as session:
        return revision_of(session.connection())


def upgrade(engine: Engine) -> bool:
    """``migrate`` without a backup; whether anything was done."""
    return migrate(engine).before != head()


def migrate(engine: Engine, backups: Path | None = None, *, software: str | None = None) -> Migrated:
    """Bring the schema to ``head()``, making it when there is none. A registry is first backed up to ``backups``.

    All in one transaction; of several processes that start at once, one does it and the others wait. ``software``, who
    does it, is noted. Raises EnvironmentFailure when the schema is newer than this code, or there is no room.
    """
    found = current(engine)
    if found == head():
        return Migrated(found, found)
    with migrating(engine) as connection:
        found = revision_of(connection)
        if not _outdated(connection, found, backups):
            return Migrated(head(), head())  # another process was faster
        if found is None:
            require_free_names(connection)
        from alembic import command

        step = partial(command.upgrade, config(connection), "head")
        return _change(connection, Migrated(found, head()), backups, step, software)


def downgrade(engine: Engine, revision: str, backups: Path) -> Migrated:
    """Take the schema back to ``revision``, for the mergestore that works with that. Backed up before, as ``migrate``.

    What only newer schemas keep is forgotten. Raises UsageError for a revision that is none, or newer than what is
    there, Conflict where the objects lie in a storage that it does not know, EnvironmentFailure where there is no
    registry or a newer one.
    """
    if revision not in REVISIONS:
        raise UsageError(f"there is no schema {revision!r}", hint=f"choose one of {', '.join(REVISIONS)}")
    with migrating(engine) as connection:
        found = revision_of(connection)
        _outdated(connection, found, backups)
        if found is None:
            raise _no_registry(engine)
        if found < revision:
            raise UsageError(
                f"the registry has schema {found}, which is older", hint="run `mergestore init` to upgrade it"
            )
        if found == revision:
            return Migrated(found, found)
        if revision < _KNOWS_OBJECT_STORAGE:
            _require_own_objects(connection, revision)
        from alembic import command

        step = partial(command.downgrade, config(connection), revision)
        return _change(connection, Migrated(found, revision), backups, step, None)


def _require_own_objects(connection: Connection, revision: str) -> None:
    where = connection.scalar(text("SELECT value FROM store_meta WHERE key = :key"), {"key": LOCATION_KEY})
    if where is not None:
        raise Conflict(
            f"the objects of this store are in {where}, where a mergestore of schema {revision} does not look",
            hint="keep this mergestore for it; `mergestore export` writes bundles that older ones import",
        )


def require_current(engine: Engine, backups: Path | None = None) -> None:
    """Raise EnvironmentFailure unless the schema is exactly the one this code works with."""
    with reading(engine) as session:
        found = revision_of(session.connection())
        if not _outdated(session.connection(), found, backups):
            return
    if found is None:
        raise _no_registry(engine)
    raise EnvironmentFailure(
        f"the registry in {shown_url(engine.url)} has schema {found}, this mergestore needs {head()}",
        hint="run `mergestore init` to upgrade it; it is backed up before",
    )


def _change(
    connection: Connection, change: Migrated, backups: Path | None, step: Callable[[], None], software: str | None
) -> Migrated:
    kept = None
    if change.before is not None and backups is not None:
        from migrations.snapshots import keep

        kept = keep(connection, backups)
    with ONE_AT_A_TIME:
        step()
    connection.execute(text("DELETE FROM store_meta WHERE key = :key"), {"key": WRITTEN_BY_KEY})
    if software is not None:
        values = {"key": WRITTEN_BY_KEY, "value": software}
        connection.execute(text("INSERT INTO store_meta (key, value) VALUES (:key, :value)"), values)
    _check_foreign_keys(connection)
    note("schema.changed", before=change.before, after=change.after, backup=str(kept) if kept else None)
    return replace(change, backup=kept)


def _outdated(connection: Connection, found: str | None, backups: Path | None) -> bool:
    if found is not None and found not in REVISIONS:
        where = shown_url(connection.engine.url)
        raise EnvironmentFailure(
            f"the registry in {where} has schema {found}; this mergestore knows schemas up to {head()}",
            hint=_way_out(connection, backups),
        )
    return found != head()


def _way_out(connection: Connection, backups: Path | None) -> str:
    """What to do with a schema of the future: its writer, the command that goes back, what was before."""
    from migrations.snapshots import kept

    by = None
    if inspect(connection).has_table("store_meta"):
        by = connection.scalar(text("SELECT value FROM store_meta WHERE key = :key"), {"key": WRITTEN_BY_KEY})
    hint = f"{by or 'a newer mergestore'} wrote it: upgrade mergestore, or take it back with that one: "
    hint += f"mergestore init --downgrade {head()}"
    older = kept(backups, REVISIONS) if backups is not None else []
    return f"{hint}; as it was before it was upgraded: {older[-1]}" if older else hint


def _no_registry(engine: Engine) -> EnvironmentFailure:
    return EnvironmentFailure(
        f"there is no registry in {shown_url(engine.url)}", hint="run `mergestore init` to make one"
    )


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
