"""What many versions and recipes are made of, read in one go each: as many rows in memory as one of them has.

The rows are plain values, with the names and in the spelling of ``contents`` and ``recipes``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields
from itertools import groupby
from operator import itemgetter
from typing import Any

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from registry.records.columns import Record
from registry.records.contents import DeltaRow, FileRow, TensorRow
from registry.records.database import streamed
from registry.records.recipes import InputRow
from registry.records.statistics import StatisticsRow
from registry.records.tables import Delta, RecipeInput, Statistics, Tensor, VersionFile

Rows = list[dict[str, Any]]
Span = tuple[int, int]
"""The first and the last of the ids of some versions."""

_AT_ONCE = 1000


def each_files(session: Session, versions: Span) -> Iterator[tuple[int, Rows]]:
    """The files of every version that has some, by version."""
    return _of_versions(session, VersionFile, FileRow, versions)


def each_tensors(session: Session, versions: Span) -> Iterator[tuple[int, Rows]]:
    """The tensors of every version that has some, by version."""
    return _of_versions(session, Tensor, TensorRow, versions)


def each_delta(session: Session, versions: Span) -> Iterator[tuple[int, Rows]]:
    """The delta of every skill, by version."""
    return _of_versions(session, Delta, DeltaRow, versions)


def each_statistics(session: Session, versions: Span) -> Iterator[tuple[int, Rows]]:
    """The statistics of every skill that has some, by version."""
    return _of_versions(session, Statistics, StatisticsRow, versions)


def each_inputs(session: Session, recipes: Sequence[str]) -> Iterator[tuple[str, Rows]]:
    """The inputs of every one of these recipes, a batch at most, that has some."""
    owner = RecipeInput.__table__.c.recipe_digest
    return _grouped(session, owner, owner.in_(recipes), ["position", *_names(InputRow)])


def _of_versions(session: Session, record: type[Record], row: type, versions: Span) -> Iterator[tuple[int, Rows]]:
    owner = record.__table__.c.version_id
    return _grouped(session, owner, owner.between(*versions), _names(row))


def _names(row: type) -> list[str]:
    return [field.name for field in fields(row)]


def _grouped(
    session: Session, owner: Any, which: ColumnElement[bool], names: Sequence[str]
) -> Iterator[tuple[Any, Rows]]:
    # Of tables, not of records: the rows of those take twice as long.
    query = select(owner, *(owner.table.c[name] for name in names)).where(which).order_by(owner)
    found = streamed(session, query, _AT_ONCE)
    for owned, rows in groupby(found, key=itemgetter(0)):
        yield owned, [dict(zip(names, row[1:], strict=True)) for row in rows]
