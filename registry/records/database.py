"""The registry's database: opening it, and the two kinds of transaction on it.

SQLite runs in WAL mode and every writing transaction is ``BEGIN IMMEDIATE``: a deferred one that turns
into a writer fails under load. On PostgreSQL writers take one advisory lock, so on both databases version
numbers and the audit chain are decided by one writer at a time and nothing needs to be retried.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVarTuple

from sqlalchemy import Connection, Engine, Result, Row, Select, create_engine, event, make_url, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, DBAPIError, NoResultFound, NotSupportedError, ProgrammingError
from sqlalchemy.orm import Session

from registry.records.commits import committing, remember
from registry.records.database_errors import database_failure, refusal, shown_url
from registry.records.read_only import connect, is_read_only_file
from registry.records.schema import changed_meanwhile
from storage.errors import EnvironmentFailure, IntegrityFailure, UsageError
from storage.journal import note

WAIT_SECONDS = 30
"""How long a writer waits for the one before it, and whoever asks a server for a table that another holds."""
CONNECT_SECONDS = 5
"""How long to wait for a database server that does not answer."""
WRITERS_LOCK = 0x6D65726765  # "merge"; PostgreSQL advisory locks are numbers, scoped to one database

for _talker in ("psycopg", "sqlalchemy.pool"):
    # What they say of broken connections is told by errors too; without a handler Python prints it.
    logging.getLogger(_talker).addHandler(logging.NullHandler())

Columns = TypeVarTuple("Columns")

_LONG = 0.1  # seconds of waiting that are told
_MODE = "mergestore_mode"
_STREAMS = "mergestore_streams"
# A replica; a server or user that is set so, to which connections that are used again no longer keep by themselves; or
# one without the right to write.
_ONLY_READS = (
    "pg_is_in_recovery() OR current_setting('default_transaction_read_only')::boolean "
    "OR CASE WHEN to_regclass('lease') IS NOT NULL THEN NOT has_table_privilege('lease', 'INSERT') ELSE false END"
)
_URLS = "write sqlite:///FILE or postgresql://USER@HOST/DATABASE"
_POSTGRES = ("postgresql", "postgres", "postgresql+psycopg")


def sqlite_url(path: Path) -> URL:
    """The URL of a SQLite file, whatever characters its path holds."""
    return URL.create("sqlite", database=str(path))


def open_engine(url: str | URL) -> Engine:
    """Connect to the registry database at ``url``: ``sqlite:///FILE`` or ``postgresql://…``.

    A SQLite file that does not exist is created, empty; one that cannot be written is read. Raises UsageError for a
    malformed or unsupported URL and EnvironmentFailure when the driver, the file or the server cannot be had, or the
    database is not in UTF8.
    """
    parsed = parse_url(url)
    engine = _sqlite_engine(parsed) if parsed.drivername == "sqlite" else _postgres_engine(parsed)
    try:
        with failures(engine), engine.connect():
            return engine
    except ProgrammingError as error:  # from the driver itself, before there is a server to complain
        engine.dispose()
        raise UsageError(f"the database URL {shown_url(parsed)} is refused: {error.orig}", hint=_URLS) from error
    except BaseException:
        engine.dispose()
        raise


def is_read_only(engine: Engine) -> bool:
    """Whether this process can read the registry and not change it: a file without the right to, a replica."""
    if engine.dialect.name == "sqlite":
        return is_read_only_file(engine.url)
    with reading(engine) as session:
        return bool(session.scalar(text(f"SELECT {_ONLY_READS}")))


def require_writable(engine: Engine) -> None:
    """Raise EnvironmentFailure for a registry that can only be read; worth asking before long work begins."""
    if is_read_only(engine):
        raise refusal(engine.url)


@contextlib.contextmanager
def reading(engine: Engine) -> Iterator[Session]:
    """A session that sees one consistent state of the database and cannot write."""
    with _transaction(engine, "read") as session:
        yield session


@contextlib.contextmanager
def writing(engine: Engine) -> Iterator[Session]:
    """A session that is the only writer: commits when the block ends, rolls back when it raises."""
    with _transaction(engine, "write") as session:
        yield session


def streamed(session: Session, query: Select[*Columns], at_once: int) -> Iterator[Row[*Columns]]:
    """The rows of a query of which only so many are in memory at once.

    PostgreSQL keeps the others for whoever asks it so; what is only gone through in parts has been fetched whole.
    """
    under_way: set[Result[*Columns]] = session.info.setdefault(_STREAMS, set())
    with session.execute(query, execution_options={"yield_per": at_once}) as rows:  # also where one cannot be read
        under_way.add(rows)
        yield from rows
    under_way.discard(rows)


@contextlib.contextmanager
def migrating(engine: Engine) -> Iterator[Connection]:
    """The only writer's connection, for changing the schema.

    SQLite's foreign keys are off inside, because a table is altered by replacing it; the caller checks them.
    """
    with failures(engine), engine.connect() as connection:
        connection.execution_options(**{_MODE: "migrate"})
        with connection.begin() as transaction:
            yield connection
            with committing(connection):
                transaction.commit()


@contextlib.contextmanager
def _transaction(engine: Engine, mode: str) -> Iterator[Session]:
    options: dict[str, Any] = {_MODE: mode}
    if mode == "read" and engine.dialect.name == "postgresql":
        options |= {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
    with failures(engine), Session(engine, expire_on_commit=False) as session, session.begin():
        clock = time.monotonic()
        session.connection(execution_options=options)
        if (waited := time.monotonic() - clock) > _LONG:
            note("lock.waited", seconds=round(waited, 3))
        try:
            yield session
        finally:  # whoever met an error goes through the rest no more, and the driver complains of what is left open
            for rows in session.info.pop(_STREAMS, ()):
                rows.close()
        if mode == "write":
            session.flush()
            with committing(session.connection()):
                session.commit()


@contextlib.contextmanager
def failures(engine: Engine) -> Iterator[None]:
    """What the block meets in this database told as ours; of two databases each is named only by a block of its own."""
    try:
        yield
    except UnicodeDecodeError as error:  # sqlite3, reading text that mergestore never wrote
        message = f"the registry database {shown_url(engine.url)} is damaged: it holds text that is none"
        raise IntegrityFailure(
            message, hint="restore it from a backup (`mergestore restore`), or choose another store"
        ) from error
    except NoResultFound as error:  # asked for by a key that another record holds, which the schema keeps
        message = f"the registry {shown_url(engine.url)} is damaged: a record leads to one that does not exist"
        raise IntegrityFailure(message, hint="run `mergestore verify`, which tells what was changed") from error
    except DBAPIError as error:
        failure = database_failure(engine.url, error)
        if isinstance(failure, IntegrityFailure):
            failure = changed_meanwhile(engine) or failure
        if failure is None:
            raise
        raise failure from error


def parse_url(url: str | URL) -> URL:
    """The URL of a registry. Raises UsageError for one that is malformed or of no supported kind."""
    hint = _URLS
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:
        # The text may hold a password and cannot be taken apart, so none of it is repeated.
        raise UsageError("the database URL is malformed", hint=hint) from error
    if parsed.drivername in _POSTGRES:
        return parsed.set(drivername="postgresql+psycopg")
    if parsed.drivername != "sqlite":
        raise UsageError(f"databases of the kind {parsed.drivername!r} are not supported", hint=hint)
    if parsed.host or parsed.query or parsed.database in (None, "", ":memory:"):
        raise UsageError(
            f"the database URL {shown_url(parsed)} does not name a file",
            hint="write sqlite:///relative/path or sqlite:////absolute/path, and nothing after it",
        )
    return parsed


def _sqlite_engine(url: URL) -> Engine:
    file = Path(url.database or "")
    if file.exists() and not file.is_file():  # SQLite would wait for a pipe's other side, or tell of a broken disk
        hint = "move it away and restore a backup (`mergestore restore`), or name another store"
        raise EnvironmentFailure(f"the registry {file} is not a file", hint=hint)
    if is_read_only_file(url):
        return _read_only_engine(url)
    engine = create_engine(url, connect_args={"timeout": WAIT_SECONDS})
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _read_only_engine(url: URL) -> Engine:
    file = Path(url.database or "")
    engine = create_engine(url, creator=lambda: connect(file, WAIT_SECONDS))
    event.listen(engine, "connect", _prepare_reading)
    event.listen(engine, "begin", _begin_reading)
    return engine


def _prepare_reading(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None
    connection.execute("PRAGMA query_only = ON")


def _begin_reading(connection: Connection) -> None:
    if connection.get_execution_options().get(_MODE, "read") != "read":
        raise refusal(connection.engine.url)
    connection.exec_driver_sql("BEGIN")


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # sqlite3 would begin transactions of its own; _begin_sqlite does
    connection.execute(f"PRAGMA busy_timeout = {WAIT_SECONDS * 1000}")
    connection.execute("PRAGMA synchronous = FULL")
    _enter_wal(connection)


def _enter_wal(connection: sqlite3.Connection) -> None:
    # Entering WAL needs the file for itself and does not wait on the busy timeout, so the wait is here.
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
            break
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
    if mode != "wal":
        raise EnvironmentFailure(
            f"SQLite cannot use write-ahead logging on this filesystem (journal mode is {mode!r})",
            hint="keep the registry on a local disk, or use PostgreSQL",
        )


_SQLITE_BEGIN = {
    "read": ("PRAGMA foreign_keys = ON", "PRAGMA query_only = ON", "BEGIN"),
    "write": ("PRAGMA foreign_keys = ON", "PRAGMA query_only = OFF", "BEGIN IMMEDIATE"),
    "migrate": ("PRAGMA foreign_keys = OFF", "PRAGMA query_only = OFF", "BEGIN IMMEDIATE"),
}


def _begin_sqlite(connection: Connection) -> None:
    for statement in _SQLITE_BEGIN[connection.get_execution_options().get(_MODE, "read")]:
        connection.exec_driver_sql(statement)


def _postgres_engine(url: URL) -> Engine:
    try:
        import psycopg  # noqa: F401
    except ImportError as error:
        raise EnvironmentFailure(
            "the driver for PostgreSQL, psycopg, is not installed",
            hint="pip install 'mergestore[postgres]'",
        ) from error
    arguments: dict[str, Any] = {"application_name": "mergestore", "connect_timeout": CONNECT_SECONDS}
    arguments = {key: value for key, value in arguments.items() if key not in url.query}
    engine = create_engine(
        url,
        connect_args=arguments | {"client_encoding": "utf8"},  # whatever URL, environment and server say
        pool_pre_ping=True,
        json_deserializer=bytes.decode,  # JsonDocument reads the text: of a null the driver would tell nothing
    )
    event.listen(engine, "connect", _require_utf8)
    event.listen(engine, "begin", _begin_postgres)
    return engine


def _require_utf8(connection: Any, _record: object) -> None:
    encoding, name = connection.info.parameter_status("server_encoding"), connection.info.dbname
    if encoding != "UTF8":
        connection.close()
        raise EnvironmentFailure(
            f"the database {name} has the encoding {encoding}, in which not every text can be kept",
            hint="create one in UTF8 (createdb -E UTF8 -T template0 NAME); pg_dump and psql bring over what is in this",
        )


def _begin_postgres(connection: Connection) -> None:
    if connection.get_execution_options().get(_MODE, "read") == "read":
        # Recursions through lineage are overestimated a thousandfold: compiling them took longer than running them.
        # And what is streamed is read to its end: plans that are quick at the beginning only are none.
        wait = f"SET LOCAL lock_timeout = '{WAIT_SECONDS}s'"
        connection.exec_driver_sql(f"{wait}; SET LOCAL jit = off; SET LOCAL cursor_tuple_fraction = 1")
        return
    query = f"SELECT {_ONLY_READS}, set_config('lock_timeout', '{WAIT_SECONDS}s', true)"
    try:
        only_reads = connection.exec_driver_sql(query).one()[0]
    except NotSupportedError:  # a replica begins no transaction that may write
        only_reads = True
    if only_reads:
        raise refusal(connection.engine.url)
    # Read committed: every statement after the lock sees what the writer before committed.
    query = f"SELECT pg_advisory_xact_lock({WRITERS_LOCK}), CAST(pg_current_xact_id() AS text)"
    remember(connection, connection.exec_driver_sql(query).one()[1])
