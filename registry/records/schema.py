"""Which schema a registry has; and whether somebody has given it another since this process opened it."""

from __future__ import annotations

from sqlalchemy import Connection, Engine, inspect, text
from sqlalchemy.exc import SQLAlchemyError

from registry.records.database_errors import shown_url
from storage.errors import EnvironmentFailure, IntegrityFailure, MergestoreError

VERSION_TABLE = "mergestore_version"
"""Not Alembic's default: the database may be shared with MLflow, which uses that name."""

_OPENED_WITH = "mergestore_schema"
_HIDDEN = (
    "SELECT nspname FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace "
    "WHERE relname = :table AND NOT has_schema_privilege(pg_namespace.oid, 'USAGE')"
)


def revision_of(connection: Connection) -> str | None:
    """The revision a database is at; None when it holds no registry. Imports no Alembic.

    Raises IntegrityFailure where it says that it is at several, EnvironmentFailure where this user may not look.
    """
    if not inspect(connection).has_table(VERSION_TABLE):
        _require_in_sight(connection)
        return None
    found: list[str] = list(connection.scalars(text(f"SELECT version_num FROM {VERSION_TABLE}")))
    if len(found) > 1:
        told = f"the registry is damaged: {VERSION_TABLE} has {len(found)} rows, where one says which schema it has"
        raise IntegrityFailure(told, hint="restore it from a backup (`mergestore restore`), or choose another store")
    return found[0] if found else None


def opened_with(engine: Engine, revision: str) -> None:
    """Note which schema the registry was found to have."""
    engine.update_execution_options(**{_OPENED_WITH: revision})


def changed_meanwhile(engine: Engine) -> EnvironmentFailure | None:
    """Why tables or columns are not there although nothing is damaged, if that is so."""
    try:
        with engine.connect() as connection:
            require_unchanged(connection)
    except EnvironmentFailure as failure:
        return failure
    except (SQLAlchemyError, MergestoreError):  # it is as it was said to be
        pass
    return None


def require_unchanged(connection: Connection) -> None:
    """Raise EnvironmentFailure where the schema is another than the one of ``opened_with``."""
    engine, found = connection.engine, revision_of(connection)
    opened = engine.get_execution_options().get(_OPENED_WITH, found)
    if found not in (None, opened):
        raise EnvironmentFailure(
            f"the schema of the registry in {shown_url(engine.url)} was changed to {found} meanwhile; this command "
            f"began with {opened}",
            hint=f"what it had committed is there: run it again with a mergestore of schema {found}; or upgrade the "
            "registry before (`mergestore init`)",
        )


def _require_in_sight(connection: Connection) -> None:
    """PostgreSQL hides what is in a schema from whoever has no right to use that: it seems not to be there."""
    if connection.dialect.name != "postgresql":
        return
    user, path = connection.execute(text("SELECT current_user, current_setting('search_path')")).one()
    searched = {user if (name := each.strip().strip('"')) == "$user" else name for each in path.split(",")}
    for schema in connection.scalars(text(_HIDDEN), {"table": VERSION_TABLE}):
        if schema in searched:
            quoted = connection.dialect.identifier_preparer.quote
            raise EnvironmentFailure(
                f"the registry in {shown_url(connection.engine.url)} cannot be seen: {user} has no right to use the "
                f"schema {schema}, where it is",
                hint=f"let the owner of that run: GRANT USAGE ON SCHEMA {quoted(schema)} TO {quoted(user)}",
            )
