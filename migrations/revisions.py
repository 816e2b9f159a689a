"""Which revision of the schema a database is at, and Alembic's configuration for it."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, inspect, text

from registry.records.database_errors import shown_url
from storage.errors import Conflict, IntegrityFailure

if TYPE_CHECKING:
    from alembic.config import Config

VERSION_TABLE = "mergestore_version"
"""Not Alembic's default: the database may be shared with MLflow, which uses that name."""


ONE_AT_A_TIME = threading.Lock()
"""Held while Alembic works: what its migrations work on is one for the whole process."""


def revision_of(connection: Connection) -> str | None:
    """The revision a database is at; None when it holds no registry. Imports no Alembic.

    Raises IntegrityFailure where it says that it is at several.
    """
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    found: list[str] = list(connection.scalars(text(f"SELECT version_num FROM {VERSION_TABLE}")))
    if len(found) > 1:
        told = f"the registry is damaged: {VERSION_TABLE} has {len(found)} rows, where one says which schema it has"
        raise IntegrityFailure(told, hint="restore it from a backup (`mergestore restore`), or choose another store")
    return found[0] if found else None


def require_free_names(connection: Connection) -> None:
    """Raise Conflict where a database without a registry has tables of the names that one needs."""
    from registry.records.tables import Model

    found = inspect(connection)
    if taken := sorted({*Model.metadata.tables}.intersection([*found.get_table_names(), *found.get_view_names()])):
        where = shown_url(connection.engine.url)
        raise Conflict(
            f"{where} holds no registry, but tables that are called as its own: {', '.join(taken)}",
            hint=f"name another database; or restore a backup into one, if these are of a registry without its "
            f"{VERSION_TABLE}",
        )


def config(connection: Connection) -> Config:
    """Alembic's configuration for one open connection."""
    from alembic.config import Config

    settings = Config(attributes={"connection": connection, "version_table": VERSION_TABLE})
    folder = str(Path(__file__).parent)
    settings.set_main_option("script_location", folder.replace("%", "%%"))
    settings.set_main_option("path_separator", "os")
    return settings
