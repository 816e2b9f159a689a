"""A store's own tracking database, after the store was moved, copied or renamed.

MLflow keeps in it where artifacts lie: absolute, from when each thing was made, and changed by none of its calls. So
new artifacts would go on to the old place, which may be another store's by now, or a disk that is gone.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from registry.provenance.mlflow import EXPERIMENT
from registry.provenance.mlflow_session import ARTIFACTS, artifact_location, failure, is_database, sqlite_file

_PLACES = (
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),  # of what older versions of mergestore registered
    ("model_versions", "storage_location"),
)
"""Where MLflow keeps the places of what is delivered to it, beside the experiment's."""


def bring_here(tracking_uri: str, own: Path, timeout: float) -> None:
    """Have MLflow look for artifacts in the folder that a store has now, and put them there.

    ``own`` is the store's own database; does nothing where the URI is of any other, or that is at its place. Artifacts
    that did not come along, and lie in the old place only, are looked for there. May be repeated, by several at once.
    Raises EnvironmentFailure where the database cannot be read or changed.
    """
    own = own.absolute()
    if not is_database(tracking_uri) or sqlite_file(tracking_uri) != own or not own.exists():
        return
    try:
        with closing(_connect(own, timeout)) as connection:
            if _other_place(connection, own.parent) is not None:
                connection.execute("BEGIN IMMEDIATE")
                _bring(connection, own.parent, str(artifact_location(tracking_uri, None)))
                connection.execute("COMMIT")
    except sqlite3.Error as error:
        raise failure(tracking_uri, error) from error


def _connect(database: Path, timeout: float) -> sqlite3.Connection:
    return sqlite3.connect(f"{database.as_uri()}?mode=rw", uri=True, timeout=timeout, isolation_level=None)


def _other_place(connection: sqlite3.Connection, home: Path) -> str | None:
    """The URI of another folder, in which artifacts of this database were; None where they are here, or chosen."""
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'experiments'").fetchone():
        return None
    query = "SELECT artifact_location FROM experiments WHERE name = ? AND artifact_location GLOB ?"
    found = connection.execute(query, [EXPERIMENT, f"file:*/{ARTIFACTS}"]).fetchone()
    return str(found[0]) if found and not _is(_path(found[0]).parent, home) else None


def _bring(connection: sqlite3.Connection, home: Path, here: str) -> None:
    there = _other_place(connection, home)
    if there is None:  # another process has done it
        return
    connection.execute("UPDATE experiments SET artifact_location = ? WHERE artifact_location = ?", [here, there])
    for table, column in _PLACES:
        query = f"SELECT rowid, {column} FROM {table} WHERE substr({column}, 1, ?) = ?"
        found = connection.execute(query, [len(there) + 1, f"{there}/"]).fetchall()
        brought = ((here + place[len(there) :], place, row) for row, place in found)
        change = f"UPDATE {table} SET {column} = ? WHERE rowid = ?"
        connection.executemany(change, ((new, row) for new, old, row in brought if _came_along(new, old)))


def _came_along(new: str, old: str) -> bool:
    return _is_there(new) or not _is_there(old)


def _is_there(uri: str) -> bool:
    """Whether artifacts are there; not, where nobody may look, as in another user's folder."""
    try:
        _path(uri).stat()
    except OSError:
        return False
    return True


def _path(uri: str) -> Path:
    return Path(url2pathname(urlsplit(uri).path))


def _is(folder: Path, home: Path) -> bool:
    """Whether a path leads to a store's folder, by whatever way."""
    try:
        return folder.samefile(home)
    except OSError:
        return False
