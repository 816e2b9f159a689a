"""The objects that records name: how large each should be, and when it was last read whole."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from registry.records import leases
from registry.records.columns import batches
from registry.records.tables import Blob, ModelVersion, Statistics


class Stored(NamedTuple):
    """An object on record. ``verified_at``: when it was last read whole and was sound; None: never since it came."""

    digest: str
    size: int
    sha256: str | None
    verified_at: datetime | None


def stored(session: Session) -> list[Stored]:
    """Every object on record, those first that were not read for longest."""
    query = select(Blob.digest, Blob.size, Blob.sha256, Blob.verified_at)
    found = [Stored(*row) for row in session.execute(query)]
    return sorted(found, key=lambda each: (each.verified_at is not None, each.verified_at, each.digest))


def statistics_of(session: Session) -> list[tuple[Statistics, ModelVersion]]:
    """What was collected, each with the skill that it is of."""
    query = select(Statistics, ModelVersion).join(ModelVersion, ModelVersion.id == Statistics.version_id)
    return [(record, version) for record, version in session.execute(query.order_by(Statistics.id))]


def remember_verified(session: Session, sound: Iterable[str], damaged: Iterable[str] = ()) -> None:
    """Note what was just read whole. No event of the log: it is no claim that anybody relies on."""
    for digests, at in ((sound, leases.clock(session)), (damaged, None)):
        for batch in batches(sorted(set(digests))):
            session.execute(update(Blob).where(Blob.digest.in_(batch)).values(verified_at=at))
