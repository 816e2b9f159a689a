"""A registry as one SQLite file, as it is at one moment, whichever database it is in; and back into a database.

The file has the schema that the database has. Of SQLite it is a copy, page by page; of PostgreSQL every row, in a
schema that our own migrations make: so no tool of the server is needed, and it can be restored into either.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from migrations.revisions import ONE_AT_A_TIME, config
from registry.records.at_rest import discard, settle
from registry.records.database import WAIT_SECONDS, failures, migrating, open_engine, reading, sqlite_url
from registry.records.database_errors import sqlite_failure
from registry.records.read_only import connect, is_read_only_file
from registry.records.schema import VERSION_TABLE, revision_of
from registry.records.transfer import copy_records
from storage.errors import IntegrityFailure
from storage.files import disk_errors, publish_file, sweep, temporary_path


def keep(connection: Connection, folder: Path) -> Path:
    """A snapshot in ``folder``, named by its schema and the moment; it is there whole, or not at all.

    Raises EnvironmentFailure where it cannot be written, IntegrityFailure where the database is damaged.
    """
    with disk_errors(f"cannot back the registry up to {folder}"):
        folder.mkdir(parents=True, exist_ok=True)
        sweep(folder)
    final = folder / f"registry-{revision_of(connection)}-{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}.db"
    temporary = temporary_path(folder, "registry")
    try:
        snapshot(connection, temporary)
        publish_file(temporary, final)
    finally:
        discard(temporary)
    return final


def snapshot(connection: Connection, file: Path) -> None:
    """Write what ``connection`` sees of a registry into a new SQLite file, and check it by opening it."""
    revision = revision_of(connection)
    try:
        if connection.dialect.name == "sqlite":
            _copy_pages(connection, file)
        else:
            _copy_rows(connection, file)
        settle(file)
        _check(file, revision)
    except sqlite3.Error as error:
        failure = sqlite_failure(sqlite_url(file), error)
        if failure is None:
            raise
        raise failure from error


def kept(folder: Path, revisions: tuple[str, ...]) -> list[Path]:
    """The snapshots in a folder that have one of these schemas, the newest last."""
    found = [path for path in folder.glob("registry-*-*.db") if path.name.split("-")[1] in revisions]
    return sorted(found, key=lambda path: path.name.split("-", 2)[2])


def fill(file: Path, connection: Connection) -> None:
    """Make a snapshot's schema in an empty database and put all its rows in, in the transaction of ``connection``."""
    source = open_engine(sqlite_url(file))
    try:
        with reading(source) as session:
            _make(connection, str(revision_of(session.connection())))
            with _fitting():
                copy_records(session.connection(), connection)
    finally:
        source.dispose()


@contextlib.contextmanager
def _fitting() -> Iterator[None]:
    """A block that copies records, which keep to the rules of their schema unless they were changed around them."""
    try:
        yield
    except IntegrityError as error:
        message = f"the records of the registry are damaged: {error.orig}"
        raise IntegrityFailure(message, hint="run `mergestore verify`, which tells what was changed") from error


def _copy_pages(connection: Connection, file: Path) -> None:
    with contextlib.closing(_opened(connection)) as source, contextlib.closing(sqlite3.connect(file)) as target:
        source.backup(target)


def _opened(connection: Connection) -> sqlite3.Connection:
    url = connection.engine.url
    file = Path(str(url.database))
    return connect(file, WAIT_SECONDS) if is_read_only_file(url) else sqlite3.connect(file)


def _copy_rows(connection: Connection, file: Path) -> None:
    engine = open_engine(sqlite_url(file))
    try:
        with migrating(engine) as target:
            _make(target, str(revision_of(connection)))
            with _fitting():
                copy_records(connection, target)
    finally:
        engine.dispose()


def _make(connection: Connection, revision: str) -> None:
    from alembic import command

    with failures(connection.engine), ONE_AT_A_TIME:
        command.upgrade(config(connection), revision)


def _check(file: Path, revision: str | None) -> None:
    with contextlib.closing(sqlite3.connect(file)) as opened:
        said = opened.execute("PRAGMA integrity_check(1)").fetchone()[0]
        found = opened.execute(f"SELECT version_num FROM {VERSION_TABLE}").fetchone()[0]
    if said != "ok" or found != revision:
        said = said if said != "ok" else f"it has schema {found} instead of {revision}"
        raise IntegrityFailure(
            f"the copy of the registry is damaged: {said}", hint="restore the registry from a backup"
        )
