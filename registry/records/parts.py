"""What all versions and recipes are made of, read in one go each: as many rows in memory as one of them has.

The rows are plain values, with the names and in the spelling of ``contents`` and ``recipes``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from itertools import groupby
from operator import itemgetter
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import InstrumentedAttribute, Session

from registry.records.contents import DeltaRow, FileRow, TensorRow
from registry.records.recipes import InputRow
from registry.records.statistics import StatisticsRow
from registry.records.tables import Delta, RecipeInput, Statistics, Tensor, VersionFile

Rows = list[dict[str, Any]]

_AT_ONCE = 1000


def each_files(session: Session) -> Iterator[tuple[int, Rows]]:
    """The files of every version that has some, by version."""
    return _grouped(session, VersionFile, VersionFile.version_id, FileRow)


def each_tensors(session: Session) -> Iterator[tuple[int, Rows]]:
    """The tensors of every version that has some, by version."""
    return _grouped(session, Tensor, Tensor.version_id, TensorRow)


def each_delta(session: Session) -> Iterator[tuple[int, Rows]]:
    """The delta of every skill, by version."""
    return _grouped(session, Delta, Delta.version_id, DeltaRow)


def each_statistics(session: Session) -> Iterator[tuple[int, Rows]]:
    """The statistics of every skill that has some, by version."""
    return _grouped(session, Statistics, Statistics.version_id, StatisticsRow)


def each_inputs(session: Session) -> Iterator[tuple[str, Rows]]:
    """The inputs of every recipe, by its digest."""
    return _grouped(session, RecipeInput, RecipeInput.recipe_digest, InputRow, "position")


def _grouped(
    session: Session, record: Any, owner: InstrumentedAttribute[Any], row: Any, *more: str
) -> Iterator[tuple[Any, Rows]]:
    names = [*more, *(field.name for field in fields(row))]
    query = select(owner, *(getattr(record, name) for name in names)).order_by(owner)
    found = session.execute(query).yield_per(_AT_ONCE)
    for owned, rows in groupby(found, key=itemgetter(0)):
        yield owned, [dict(zip(names, row[1:], strict=True)) for row in rows]
