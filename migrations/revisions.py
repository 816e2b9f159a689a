"""Alembic's configuration for a database, and whether one is free to become a registry."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, inspect

from registry.records.database_errors import shown_url
from registry.records.schema import VERSION_TABLE
from storage.errors import Conflict

if TYPE_CHECKING:
    from alembic.config import Config

ONE_AT_A_TIME = threading.Lock()
"""Held while Alembic works: what its migrations work on is one for the whole process."""


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
