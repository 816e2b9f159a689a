"""All records of a registry, out of one database into another of whichever kind, at the same schema."""

from __future__ import annotations

from sqlalchemy import Connection, Table, delete, func, insert, inspect, select

from registry.records.columns import Record
from registry.records.tables import StoreMeta

_ROWS = 1000  # in memory at a time


def copy_records(source: Connection, target: Connection) -> int:
    """Copy every row, and tell how many; ``target`` has the schema of ``source`` and was never used.

    Rows go in by their keys, so that the triggers of the audit chain see it grow as it grew. Both connections are in a
    transaction. Raises IntegrityFailure for values that cannot be of their column's type.
    """
    target.execute(delete(StoreMeta))  # the schema comes with an identity of its own
    return sum(_copy(source, target, table) for table in Record.metadata.sorted_tables)


def _copy(source: Connection, target: Connection, table: Table) -> int:
    looked = inspect(source)
    if not looked.has_table(table.name):  # an older schema
        return 0
    known = {column["name"] for column in looked.get_columns(table.name)}
    columns = [column for column in table.columns if column.name in known]
    query = select(*columns).order_by(*table.primary_key.columns)
    count = 0
    with source.execute(query, execution_options={"stream_results": True}) as found:
        for rows in found.mappings().partitions(_ROWS):
            target.execute(insert(table), [dict(row) for row in rows])
            count += len(rows)
    _go_on_counting(target, table)
    return count


def _go_on_counting(target: Connection, table: Table) -> None:
    """Let the next row have the next number: PostgreSQL does not notice numbers that it was told."""
    numbered = table.autoincrement_column
    if target.dialect.name != "postgresql" or numbered is None:
        return
    last = target.scalar(select(func.max(numbered)))
    if last is not None:
        target.execute(select(func.setval(func.pg_get_serial_sequence(table.name, numbered.name), last)))
