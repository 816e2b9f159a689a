"""Which rows hold what cannot be read at all: no moment in a column of moments, no number in one of numbers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Column, String, Table, select, type_coerce
from sqlalchemy.orm import Session

from registry.records.columns import Flag, JsonDocument, Real, Record, UtcDateTime, Whole, Words
from registry.records.database import streamed
from registry.records.told import Finding
from storage.errors import IntegrityFailure


def unreadable(session: Session) -> Iterator[Finding]:
    """Every such value, with its table, column and key. Reads all of it: for a store that is known to be damaged."""
    for table in Record.metadata.sorted_tables:
        for column in table.columns:
            if isinstance(column.type, (UtcDateTime, JsonDocument, Flag, Whole, Real, Words)):
                yield from _in_column(session, table, column)


def _in_column(session: Session, table: Table, column: Column[Any]) -> Iterator[Finding]:
    keys = list(table.primary_key)
    dialect = session.connection().dialect
    read = column.type.dialect_impl(dialect).result_processor(dialect, None)
    if read is None:  # the server holds nothing else
        return
    raw = (type_coerce(each, String) for each in (column, *keys))  # keys may be damaged as well
    query = select(*raw).where(column.is_not(None))
    for value, *key in streamed(session, query, 1000):
        try:
            read(value)
        except IntegrityFailure:
            place = ", ".join(f"{each.name} {word}" for each, word in zip(keys, key, strict=True))
            yield f"{table.name}: {column.name} of the row with {place} cannot be read: {value!r:.80}", table.name
