"""What was collected of skills: statistics, the files that hold them, the model and data that they are of."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from registry.records import events
from registry.records.columns import batches
from registry.records.tables import ModelVersion, Statistics
from registry.records.told import moment
from storage.errors import NotFound, UsageError

_SHORTEST = 4  # digits of a digest that are taken for one


@dataclass(frozen=True)
class StatisticsRow:
    """Statistics of a skill: kind (gram or fisher), identity, blob, digests of the model and the data, settings."""

    kind: str
    digest: str
    blob_digest: str
    model_digest: str
    data_digest: str
    examples: int
    settings: dict[str, Any]
    created_by: str


def add_statistics(session: Session, version: ModelVersion, row: StatisticsRow) -> Statistics:
    """Record statistics of a skill; their blob must be recorded before. ``row.created_by`` is the actor."""
    record = Statistics(version_id=version.id, **asdict(row))
    session.add(record)
    session.flush()
    details = {
        "statistics": row.digest,
        "kind": row.kind,
        "blob": row.blob_digest,
        "model": row.model_digest,
        "data": row.data_digest,
        "examples": row.examples,
        "created_at": moment(record.created_at),
        # Of all that the skill has by now: what is taken away later is missed.
        "rows": events.fingerprint(statistics_row(each) for each in load_statistics(session, [version.id])),
    }
    events.append(session, actor=row.created_by, action="statistics.add", subject=version.reference, details=details)
    return record


def statistics_row(record: Statistics) -> dict[str, Any]:
    """What is recorded of statistics and stays as it is, as plain values."""
    return {field.name: getattr(record, field.name) for field in fields(StatisticsRow)}


def load_statistics(session: Session, version_ids: Iterable[int]) -> list[Statistics]:
    """The statistics of these versions, oldest first."""
    found: list[Statistics] = []
    for batch in batches(sorted(set(version_ids))):
        found += session.scalars(select(Statistics).where(Statistics.version_id.in_(batch)))
    return sorted(found, key=lambda record: record.id)


def statistics_of_content(session: Session, skill: str, kind: str) -> list[Statistics]:
    """The statistics of one kind of every version that has this skill digest, oldest first."""
    query = select(Statistics).join(ModelVersion, ModelVersion.id == Statistics.version_id)
    return list(
        session.scalars(query.where(ModelVersion.digest == skill, Statistics.kind == kind).order_by(Statistics.id))
    )


def all_statistics(session: Session) -> list[Statistics]:
    """All that was ever collected, oldest first."""
    return list(session.scalars(select(Statistics).order_by(Statistics.id)))


def find_statistics(session: Session, digest: str) -> Statistics:
    """The statistics of this digest, or whose digest begins so. Raises NotFound, or UsageError where several do."""
    text = digest if digest.startswith("blake3:") else f"blake3:{digest}"
    digits = text.removeprefix("blake3:")
    if len(digits) < _SHORTEST or set(digits) - set("0123456789abcdef"):
        raise UsageError(
            f"{digest!r} is no digest of statistics", hint="give blake3:… or its first digits, as `stats list` shows"
        )
    query = select(Statistics).where(Statistics.digest.startswith(text)).order_by(Statistics.id)
    found = list(session.scalars(query))
    if not found:
        raise NotFound(f"there are no statistics {digest}", hint="`mergestore stats list` shows what there is")
    if len({record.digest for record in found}) > 1:
        raise UsageError(f"{len(found)} statistics begin with {digest}", hint="give more digits")
    return found[0]
