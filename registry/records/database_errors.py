"""What a database's own errors mean to a user. Passwords never appear in the messages."""

from __future__ import annotations

import os
import re
import sqlite3
from pathlib import Path

from sqlalchemy.engine import URL
from sqlalchemy.exc import DatabaseError, DBAPIError, IntegrityError, OperationalError

from registry.records.read_only import on_read_only_filesystem
from storage.errors import EnvironmentFailure, IntegrityFailure, MergestoreError
from storage.files import is_full

_WORKS = "what only looks works here (list, show, audit, find, diff, check, verify, backup)"
_SQLITE = {
    sqlite3.SQLITE_BUSY: "another process kept it locked for too long: try again when that one is done",
    sqlite3.SQLITE_LOCKED: "another process kept it locked for too long: try again when that one is done",
    sqlite3.SQLITE_FULL: "the disk is full: free some space, then run the same command again",
    sqlite3.SQLITE_READONLY: "check the permissions of the file and of its folder",
    sqlite3.SQLITE_CANTOPEN: "check that its folder exists and may be written",
    sqlite3.SQLITE_PERM: "check the permissions of the file and of its folder",
    sqlite3.SQLITE_IOERR: "the disk reported an error: check its health and its free space",
}
_READ_ONLY = (
    "its filesystem is read-only: find out why (the system's log tells), and mount it again so that it can be written"
)
_FULL = (
    "the disk is full: free some space, then run the same command again; results in the store's folder cache may be "
    "deleted by hand"
)
_SQLITE_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_GONE = re.compile("no such (table|column)|table .* has no column named")
_GONE_IN_POSTGRES = ("42703", "42P01")
# Which schema it is was compared before: what that has and the database lacks was taken from it, or its text damaged.

_POSTGRES = {
    "08": "check that the server runs and that host and port are right",
    "28": "check user and password of the database URL",
    "3D": "create this database first (createdb), or name another one",
    "53": "the server is out of connections, memory or disk",
    "55": "another process kept it locked for too long: try again when that one is done",
    "57": "the server is shutting down or starting: try again",
}
_NEVER_MADE = (
    "check that the server runs, that host, port, user and password are right, and that there is such a database "
    "(createdb)"
)
_INSUFFICIENT_PRIVILEGE = "42501"
_CANCELLED = "57014"
_LIFT = (
    "the server cancelled it, by its statement_timeout or by somebody's command: long work needs more time, so "
    "lift that for this user (ALTER ROLE {user} SET statement_timeout = 0), then run the same command again"
)
_NO_SCHEMA = re.compile('permission denied for schema "?([^"\\s]+)"?')
_MAKE = "let the owner of the database run: GRANT USAGE, CREATE ON SCHEMA {schema} TO {user}"
_RIGHTS = (
    "give this user the right to use the registry's tables; to read them is enough for what only looks: "
    "GRANT SELECT ON ALL TABLES IN SCHEMA public TO {user}"
)


def shown_url(url: URL) -> str:
    """The URL as a message may show it: no password, no options."""
    return url.set(query={}).render_as_string(hide_password=True)


def refusal(url: URL) -> EnvironmentFailure:
    """What a verb is told that would change a registry which can only be read."""
    what = str(url.database) if url.drivername == "sqlite" else shown_url(url)
    if url.drivername != "sqlite":
        why, hint = "its server only lets this user read", f"name a user who may write, or the primary server; {_WORKS}"
    elif on_read_only_filesystem(Path(what)):
        why, hint = "its filesystem is read-only", f"mount it so that it can be written; {_WORKS}"
    else:
        why, hint = "this user has no right to write the file or its folder", f"ask who owns it; {_WORKS}"
    return EnvironmentFailure(f"the registry {what} cannot be changed: {why}", hint=hint)


def database_failure(url: URL, error: DBAPIError) -> MergestoreError | None:
    """The failure of the environment behind a driver's error; None when it is a fault of our own."""
    if isinstance(error.orig, sqlite3.Error):
        return sqlite_failure(url, error.orig)
    return _postgres_failure(url, error)


def sqlite_failure(url: URL, error: sqlite3.Error) -> MergestoreError | None:
    """The same of an error of SQLite's own driver."""
    if isinstance(error, sqlite3.OperationalError) and not hasattr(error, "sqlite_errorcode"):
        # Not from SQLite but from Python's own part: a column's text is not UTF-8.
        return _damaged(url, error)
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the low byte of an extended code is its family
    if code in _SQLITE_DAMAGE or (code == sqlite3.SQLITE_ERROR and _GONE.match(str(error))):
        return _damaged(url, error)
    if code in _SQLITE:
        file = Path(url.database or "")
        hint = _READ_ONLY if on_read_only_filesystem(file) else _SQLITE[code]
        if code in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN) and is_full(file.absolute()):
            hint = _FULL
        if code == sqlite3.SQLITE_CANTOPEN and (closed := _closed(file)) is not None:
            hint = f"this user has no right to read {closed}: check its permissions, and whose it is"
        return EnvironmentFailure(f"cannot use the database {url.database}: {error}", hint=hint)
    return None


def _closed(file: Path) -> Path | None:
    """Which part of a database is there, and this process may not read."""
    parts = (file.with_name(file.name + ending) for ending in ("", "-wal", "-shm"))
    return next((each for each in parts if os.access(each, os.F_OK) and not os.access(each, os.R_OK)), None)


def _damaged(url: URL, error: object) -> IntegrityFailure:
    return IntegrityFailure(
        f"the registry database {shown_url(url) if url.host else url.database} is damaged: {error}",
        hint="restore it from a backup (`mergestore restore`), or choose another store",
    )


def _postgres_failure(url: URL, error: DBAPIError) -> MergestoreError | None:
    state = getattr(error.orig, "sqlstate", None) or ""
    if state in _GONE_IN_POSTGRES:
        return _damaged(url, _reason(url, error))
    ours = not isinstance(error, DatabaseError) or isinstance(error, IntegrityError)
    if ours or not (isinstance(error, OperationalError) or state == _INSUFFICIENT_PRIVILEGE):
        return None
    # A connection that was never made has no state; its message is libpq's own account, in the server's language.
    hint = _POSTGRES.get(state[:2]) if state else _NEVER_MADE
    if state == _CANCELLED:
        hint = _LIFT.format(user=url.username or "this user")
    if state == _INSUFFICIENT_PRIVILEGE:
        schema = _NO_SCHEMA.search(str(error.orig))
        hint = (_MAKE if schema else _RIGHTS).format(user=url.username or "this user", schema=schema and schema[1])
    return EnvironmentFailure(f"cannot use the database {shown_url(url)}: {_reason(url, error)}", hint=hint)


def _reason(url: URL, error: DBAPIError) -> str:
    reason = " ".join(str(error.orig).split())
    return reason.replace(str(url.password), "***") if url.password else reason
