"""Triggers and indexes that a registry lacks, put back as the schema has them.

What they are is never written twice: the revisions make an empty registry, and what that has is taken over.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.orm import Session

from migrations.revisions import config
from registry.records import events
from registry.records.database import migrating, reading
from registry.records.guards import broken_guards, broken_indexes, broken_triggers

GUARDED = "store.guard"
"""What the log calls it that triggers or indexes were put back."""

_SCHEMA = "mergestore_as_it_should_be"
_TRIGGERS = {
    "sqlite": "SELECT name, tbl_name FROM sqlite_master WHERE type = 'trigger'",
    "postgresql": "SELECT tgname, tgrelid::regclass::text FROM pg_trigger "
    "JOIN pg_class ON pg_class.oid = tgrelid WHERE NOT tgisinternal AND pg_table_is_visible(tgrelid)",
}


def put_back(engine: Engine, actor: str) -> dict[str, str]:
    """Make every trigger and index that is missing, changed or switched off anew: by name, what was with each.

    One transaction, which the audit log tells of: records could be changed while a trigger was away.
    """
    with reading(engine) as session:
        if not list(broken_guards(session)):
            return {}
    with migrating(engine) as connection, Session(connection) as session:
        triggers, indexes = broken_triggers(session), list(broken_indexes(connection))
        _make_triggers(connection, triggers)
        for index, state in indexes:
            if state != "is missing":
                index.drop(connection)
            index.create(connection)
        done = triggers | {str(index.name): state for index, state in indexes}
        if done:
            events.append(session, actor=actor, action=GUARDED, subject="database", details={"put_back": done})
            session.flush()
    return done


def _make_triggers(connection: Connection, names: Iterable[str]) -> None:
    kind = connection.dialect.name
    wanted = dict(_on_sqlite() if kind == "sqlite" else _on_postgresql(connection)) if names else {}
    there = connection.execute(text(_TRIGGERS[kind])).all()
    for name in names:
        for found, table in there:
            if found == name:
                connection.exec_driver_sql(f"DROP TRIGGER {name}" + (f" ON {table}" if kind != "sqlite" else ""))
        for statement in wanted[name]:
            connection.exec_driver_sql(statement)


def _on_sqlite() -> Iterator[tuple[str, tuple[str, ...]]]:
    from alembic import command

    engine = create_engine("sqlite://")
    try:
        with engine.connect() as connection:
            command.upgrade(config(connection), "head")
            rows = connection.execute(text("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"))
            yield from ((name, (sql,)) for name, sql in rows)
    finally:
        engine.dispose()


def _on_postgresql(connection: Connection) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Each trigger after its function, out of a schema that is made for that and taken away."""
    from alembic import command

    path = connection.scalar(text("SELECT current_setting('search_path')"))
    connection.exec_driver_sql(f"CREATE SCHEMA {_SCHEMA}")
    connection.exec_driver_sql(f"SET LOCAL search_path TO {_SCHEMA}")
    command.upgrade(config(connection), "head")
    connection.execute(text("SELECT set_config('search_path', :path, true)"), {"path": path})
    query = (
        "SELECT tgname, pg_get_functiondef(tgfoid), pg_get_triggerdef(pg_trigger.oid) FROM pg_trigger "
        "JOIN pg_class ON pg_class.oid = tgrelid "
        f"WHERE NOT tgisinternal AND relnamespace = '{_SCHEMA}'::regnamespace"
    )
    found = connection.execute(text(query)).all()
    connection.exec_driver_sql(f"DROP SCHEMA {_SCHEMA} CASCADE")
    for name, *statements in found:
        yield name, tuple(each.replace(f"{_SCHEMA}.", "").replace("%", "%%") for each in statements)
