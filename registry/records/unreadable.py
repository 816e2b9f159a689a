"""Which rows hold what cannot be read at all: no moment in a column of moments, no number in one of numbers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import Column, String, Table, select, type_coerce
from sqlalchemy.orm import Session

from registry.records.columns import Flag, JsonDocument, Real, Record, UtcDateTime, Whole, Words
from registry.records.database import streamed
from registry.records.told import Finding


def unreadable(session: Session) -> Iterator[Finding]:
    """Every such value, with its table, column and key. Reads all of it: for a store that is known to be damaged."""
    for table in Record.metadata.sorted_tables:
        for column in table.columns:
            if isinstance(column.type, (UtcDateTime, JsonDocument, Flag, Whole, Real, Words)):
                yield from _in_column(session, table, column)


def _in_column(session: Session, table: Table, column: Column[Any]) -> Iterator[Finding]:
    keys = list(table.primary_key)
    raw = (type_coerce(each, String) for each in (column, *keys))  # keys may be damaged as well
    query = select(*raw).where(column.is_not(None))
    for value, *key in streamed(session, query, 1000):
        if not _is_read(column, value):
            place = ", ".join(f"{each.name} {word}" for each, word in zip(keys, key, strict=True))
            yield f"{table.name}: {column.name} of the row with {place} cannot be read: {value!r:.80}", table.name


def _is_read(column: Column[Any], value: Any) -> bool:
    """What a server's driver has read already is no text any more."""
    if isinstance(value, (datetime, dict, list)):
        return True
    if isinstance(column.type, Words):
        return isinstance(value, str)
    if isinstance(column.type, Flag):
        return value in (0, 1)
    if isinstance(column.type, (Whole, Real)):
        return isinstance(value, int) or (isinstance(value, float) and isinstance(column.type, Real))
    try:
        datetime.fromisoformat(value) if isinstance(column.type, UtcDateTime) else json.loads(value)
    except (ValueError, TypeError, RecursionError):
        return False
    return True
