"""All records of a registry, out of one database into another of whichever kind, at the same schema."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sqlalchemy import Connection, RowMapping, Table, delete, func, insert, inspect, select

from registry.records.columns import Record
from registry.records.database import failures
from registry.records.tables import StoreMeta

_ROWS = 1000  # in memory at a time


def copy_records(source: Connection, target: Connection) -> int:
    """Copy every row, and tell how many; ``target`` has the schema of ``source`` and was never used.

    Rows go in by their keys, so that the triggers of the audit chain see it grow as it grew. Both connections are in a
    transaction. Raises IntegrityFailure for values that cannot be of their column's type.
    """
    with failures(target.engine):
        target.execute(delete(StoreMeta))  # the schema comes with an identity of its own
        return sum(_copy(source, target, table) for table in Record.metadata.sorted_tables)


def _copy(source: Connection, target: Connection, table: Table) -> int:
    count = 0
    for rows in _rows(source, table):
        target.execute(insert(table), [dict(row) for row in rows])
        count += len(rows)
    if count:
        _go_on_counting(target, table)
    return count


def _rows(source: Connection, table: Table) -> Iterator[Sequence[RowMapping]]:
    with failures(source.engine):
        looked = inspect(source)
        if not looked.has_table(table.name):  # an older schema
            return
        known = {column["name"] for column in looked.get_columns(table.name)}
        columns = [column for column in table.columns if column.name in known]
        query = select(*columns).order_by(*table.primary_key.columns)
        with source.execute(query, execution_options={"stream_results": True}) as found:
            yield from found.mappings().partitions(_ROWS)


def _go_on_counting(target: Connection, table: Table) -> None:
    """Let the next row have the next number: PostgreSQL does not notice numbers that it was told."""
    numbered = table.autoincrement_column
    if target.dialect.name != "postgresql" or numbered is None:
        return
    last = target.scalar(select(func.max(numbered)))
    if last is not None:
        target.execute(select(func.setval(func.pg_get_serial_sequence(table.name, numbered.name), last)))
