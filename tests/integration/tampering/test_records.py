"""Every column of every table: changed, emptied, swapped, deleted, copied behind all guards' backs. All of it is found.

The tables are those of the metadata: a column that is added is tampered with here, and fails unless the chain, or
another record, vouches for it.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from itertools import combinations
from typing import Any, NamedTuple

import pytest
from sqlalchemy import Column, Connection, Engine, Table, UniqueConstraint, null, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from registry.records.columns import JsonDocument, Real, UtcDateTime, Whole, Words
from registry.records.database import migrating, reading
from registry.records.identity import WRITTEN_BY_KEY
from registry.records.integrity import verify_records
from registry.records.outbox import MATERIALIZATION
from registry.records.tables import Record

pytestmark = pytest.mark.usefixtures("surroundings")

FREE = {
    "lease": "who works just now; it runs out by itself, and nothing is told of it",
    "alias_event.id": "numbers rows, and nothing refers to it; the order of one alias's moves is compared",
    "statistics.id": "numbers rows, and nothing refers to it",
    "outbox.id": "numbers rows, and nothing refers to it: messages may be sent in any order",
    "outbox.attempts": "how delivering went so far, for whoever wonders",
    "outbox.last_error": "how delivering went so far, for whoever wonders",
    "outbox.created_at": "told to nobody; what the message says holds its own times",
    "blob.created_at": "told to nobody; when content came is told by the versions that use it",
    "blob.verified_at": "when bytes were last read, for whoever decides what is read next",
    "garbage": "what nothing needs; it is looked at again before anything is deleted",
    "blob.sha256": "compared with the bytes: test_blobs",
}
"""What may be changed unseen by the records alone, each with its reason."""
ONLY: dict[str, Callable[[Any], bool]] = {
    "outbox": lambda row: row["kind"] == MATERIALIZATION,
    "store_meta": lambda row: row["key"] != WRITTEN_BY_KEY,
}
"""Rows that are tampered with, of tables where not all are: other messages only say of what MLflow is to be told, and
what it is told is then read from the records; who gave the schema is told to whoever does not know that, no more."""
SAMPLE = 3  # rows of a table that are deleted, copied and swapped
TABLES = [table for table in Record.metadata.sorted_tables if table.name not in FREE]
Row = dict[str, Any]


class Undo(Exception):
    """Ends a transaction that must leave nothing."""


class Change(NamedTuple):
    """One tampering: what is done, and the words of which one must be in what is found."""

    what: str
    do: Callable[[Connection], Any]
    words: set[str]


def test_every_exception_is_of_something_that_there_is() -> None:
    known = {table.name for table in Record.metadata.sorted_tables}
    known |= {f"{table.name}.{column.name}" for table in Record.metadata.sorted_tables for column in table.columns}
    assert FREE.keys() | ONLY.keys() <= known


def test_a_store_that_nobody_touched(books: Engine) -> None:
    assert found(books, lambda connection: None) == []


@pytest.mark.parametrize("table", [table.name for table in TABLES])
def test_every_tampering_is_found_and_named(books: Engine, table: str) -> None:
    tried = list(changes(books, Record.metadata.tables[table]))
    assert tried
    missed, refused = [], 0
    for change in tried:
        problems = found(books, change.do)
        refused += problems is None
        told = " ".join(f"{problem['what']} {problem['where']}" for problem in problems or ())
        if problems is not None and not any(word in told for word in change.words):
            missed.append((change.what, told))
    assert not missed
    assert refused < len(tried) / 4  # what a database refuses proves nothing here


def found(engine: Engine, change: Callable[[Connection], Any]) -> list[dict[str, Any]] | None:
    """What is found after a change that is taken back; None where the database itself does not hold such."""
    try:
        with migrating(engine) as connection:
            if engine.dialect.name == "sqlite":
                connection.execute(text("PRAGMA ignore_check_constraints = ON"))
            change(connection)
            with Session(connection) as session:
                problems = verify_records(session)
            raise Undo
    except Undo:
        return problems
    except IntegrityError:
        return None


def test_the_moves_of_an_alias_in_another_order(books: Engine) -> None:
    def swap(connection: Connection) -> None:
        for old, new in ((1, 99), (2, 1), (99, 2)):
            connection.execute(text(f"UPDATE alias_event SET id = {new} WHERE id = {old}"))

    assert [problem["what"] for problem in found(books, swap) or ()] == ["the history of alias math@prod was changed"]


# --- what is done -----------------------------------------------------------------------------------------


def changes(engine: Engine, table: Table) -> Iterator[Change]:
    with reading(engine) as session:
        rows: list[Row] = [dict(row._mapping) for row in session.connection().execute(table.select())]
        names = _names(session)
    rows = sorted(filter(ONLY.get(table.name), rows), key=repr)
    chosen = rows[:: -(-len(rows) // SAMPLE)]
    assert chosen, f"the store holds no {table.name}"
    for place, column in enumerate(table.columns):
        if f"{table.name}.{column.name}" not in FREE:
            filled = [row for row in rows if row[column.name] is not None]
            empty = [row for row in rows if row[column.name] is None]
            for some in filter(None, (filled, empty)):
                row = some[5 * place % len(some)]  # another row for each column
                yield from _edited(engine, table, column, row, _words(table, row, names))
    for row in chosen:
        words = _words(table, row, names)
        yield Change(
            f"delete {_key(table, row)}", lambda c, row=row: c.execute(table.delete().where(*_is(table, row))), words
        )
        yield from _copied(table, row, rows, names)
    for one, other in combinations(chosen, 2):
        yield from _swapped(table, one, other, _words(table, one, names) | _words(table, other, names))


def _edited(engine: Engine, table: Table, column: Column[Any], row: Row, words: set[str]) -> Iterator[Change]:
    for value in _other_values(table, column, row[column.name]):
        more = {str(value)} if isinstance(value, str) else set()
        what = f"{_key(table, row)}: {column.name} {row[column.name]!r} -> {value!r}"
        change = update(table).where(*_is(table, row)).values({column.name: null() if value is None else value})
        yield Change(what, lambda c, change=change: c.execute(change), words | more)
    if engine.dialect.name == "sqlite":
        nonsense = b"\x00\xff" if isinstance(column.type, Words) else "no such thing"
        junk = text(f'UPDATE {table.name} SET "{column.name}" = :junk WHERE {_where(table)}')
        given = {"junk": nonsense, **{f"k_{key.name}": row[key.name] for key in table.primary_key}}
        yield Change(
            f"{_key(table, row)}: {column.name} -> junk", lambda c: c.execute(junk, given), words | {"damaged"}
        )


def _where(table: Table) -> str:
    return " AND ".join(f'"{key.name}" = :k_{key.name}' for key in table.primary_key)


def _copied(table: Table, row: Row, rows: list[Row], names: dict[int, str]) -> Iterator[Change]:
    """The same again under another key; each part of the key in its turn."""
    unique = [
        [*constraint.columns.keys()] for constraint in table.constraints if isinstance(constraint, UniqueConstraint)
    ]
    for key in table.primary_key:
        new = dict(row)
        for name in {key.name, *(names[-1] for names in unique)}:
            new[name] = _unused(new[name], {each[name] for each in rows})
        yield Change(
            f"copy {_key(table, new)}",
            lambda c, new=new: c.execute(table.insert(), new),
            _words(table, row, names) | _words(table, new, names),
        )


def _swapped(table: Table, one: Row, other: Row, words: set[str]) -> Iterator[Change]:
    """Two rows under each other's key."""
    keys = table.primary_key.columns.keys()
    own = [column.name for column in table.columns if column.name not in keys]
    watched = [name for name in own if f"{table.name}.{name}" not in FREE]
    numbered = all(f"{table.name}.{key}" in FREE for key in keys)  # then who has which key means nothing
    if numbered or all(one[name] == other[name] for name in watched):
        return
    unique = {name for each in table.constraints if isinstance(each, UniqueConstraint) for name in each.columns.keys()}  # noqa: SIM118

    def swap(connection: Connection) -> None:
        # A unique value can stand but once: it is put aside for a moment.
        aside = {name: _unused(one[name], {one[name], other[name]}) for name in unique & set(own)}
        for row, values in ((one, aside), (other, one), (one, other)):
            new = {name: values[name] for name in own if name in values}
            if new:
                connection.execute(update(table).where(*_is(table, row)).values(_with_nulls(new)))

    yield Change(f"swap {_key(table, one)} and {_key(table, other)}", swap, words)


def _with_nulls(row: Row) -> Row:
    return {name: null() if value is None else value for name, value in row.items()}


def _is(table: Table, row: Row) -> list[Any]:
    return [column == row[column.name] for column in table.primary_key]


def _key(table: Table, row: Row) -> str:
    return f"{table.name} {[row[key.name] for key in table.primary_key]}"


# --- other values of a type ---------------------------------------------------------------------------------


def _other_values(table: Table, column: Column[Any], value: Any) -> Iterator[Any]:
    if value is not None and column.nullable:
        yield None
    if isinstance(value, bool):
        yield not value
    elif isinstance(value, int):
        yield from (value + 1, value + 1_000_000)
    elif isinstance(value, float):
        yield from (value + 1e-9, value / 2 if value else 0.5)
    elif isinstance(value, str):
        yield from _other_texts(table, column, value)
    elif isinstance(value, datetime):
        yield from (value + timedelta(microseconds=1), value - timedelta(days=1))
    elif isinstance(value, (dict, list)):
        yield from _other_documents(value)
    else:
        assert value is None
        yield {int: 7, float: 0.25, str: "x" * 71, dict: {"x": 1}, datetime: datetime.now().astimezone()}[
            _python(column)
        ]


def _python(column: Column[Any]) -> type:
    for kind, python in ((Whole, int), (Real, float), (Words, str)):
        if isinstance(column.type, kind):
            return python
    if isinstance(column.type, JsonDocument):
        return dict
    return datetime if isinstance(column.type, UtcDateTime) else column.type.python_type


def _other_texts(table: Table, column: Column[Any], value: str) -> Iterator[str]:
    if re.search("[0-9a-f]{12}$", value):
        yield value[:-1] + ("1" if value[-1] != "1" else "2")
        return
    yield value + "x"
    if value.swapcase() != value:
        yield value.swapcase()
    for rule in table.constraints:  # another of the few words that a column may hold
        spelled = str(getattr(rule, "sqltext", ""))
        if spelled.startswith(f'"{column.name}" IN'):
            yield from (word for word in re.findall("'(.*?)'", spelled) if word != value)


def _other_documents(value: Any) -> Iterator[Any]:
    """Each leaf changed, each key gone, one more."""
    for path in list(_leaves(value))[:3]:
        for change in (_changed_leaf, _removed_leaf):
            other = copy.deepcopy(value)
            holder = other
            for step in path[:-1]:
                holder = holder[step]
            change(holder, path[-1])
            yield other
    yield {**value, "more": 1} if isinstance(value, dict) else [*value, 1]


def _leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        if isinstance(inner, (dict, list)) and inner:
            yield from _leaves(inner, (*path, key))
        else:
            yield (*path, key)


def _changed_leaf(holder: Any, key: Any) -> None:
    holder[key] = holder[key] + 1 if isinstance(holder[key], (int, float)) else f"{holder[key]}x"


def _removed_leaf(holder: Any, key: Any) -> None:
    del holder[key]


def _unused(value: Any, taken: set[Any]) -> Any:
    if isinstance(value, int):
        return max(each for each in taken if each is not None) + 1
    if isinstance(value, str) and re.search("[0-9a-f]{12}$", value):
        return value[:-4] + ("0000" if not value.endswith("0000") else "1111")
    return f"{value}x"


# --- what a finding may say ---------------------------------------------------------------------------------


def _names(session: Session) -> dict[int, str]:
    query = "SELECT v.id, m.name || '@' || v.version FROM model_version v JOIN model m ON m.id = v.model_id"
    return {row[0]: row[1] for row in session.execute(text(query))}


def _words(table: Table, row: Row, names: dict[int, str]) -> set[str]:
    """The table, and what the row is about: versions by reference, anything else by its texts."""
    ids = ("version_id", "child_version_id", "parent_version_id", "merge_version_id")
    mentioned = {names[row[key]] for key in ids if row.get(key) in names}
    mentioned |= {names.get(row["id"], table.name)} if table.name == "model_version" else set()
    mentioned |= {"audit event", "audit_event", "audit chain"} if table.name in ("audit_event", "store_meta") else set()
    return mentioned | {table.name} | _texts(row)


def _texts(row: Row) -> set[str]:
    return {value for value in row.values() if isinstance(value, str) and len(value) > 2}
