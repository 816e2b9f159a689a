"""The objects that records name: how large each should be, and when it was last read whole."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from datetime import UTC, datetime
from typing import NamedTuple

from sqlalchemy import ColumnElement, exists, false, func, or_, select, update
from sqlalchemy.orm import Session

from registry.records import leases
from registry.records.columns import batches
from registry.records.database import streamed
from registry.records.tables import Blob, Delta, Model, ModelVersion, Statistics, VersionFile

NAMED = (VersionFile.blob_digest, Delta.blob_digest, Statistics.blob_digest)
"""Where records name objects."""
LOOKED_AT = 500
"""How many objects tell whether a place and the records are of one store."""
_AT_ONCE = 1000
_DAMAGED = datetime(1970, 1, 1, tzinfo=UTC)
"""What stands instead of when an object was last read, where it was damaged then: no object is as old."""


class Stored(NamedTuple):
    """An object on record."""

    digest: str
    size: int
    sha256: str | None
    damaged: bool = False
    """Whether it was when it was last read."""


def stored(session: Session) -> list[Stored]:
    """Every object on record, those first that were not read for longest."""
    at = Blob.verified_at
    query = select(Blob.digest, Blob.size, Blob.sha256, func.coalesce(at == _DAMAGED, false()))
    query = query.order_by(at.is_not(None), at, Blob.digest)
    return [Stored(*row) for row in streamed(session, query, _AT_ONCE)]


def sizes(session: Session) -> Iterator[tuple[str, int]]:
    """Every object on record, in order of digests, and its bytes."""
    rows = streamed(session, select(Blob.digest, Blob.size).order_by(Blob.digest), _AT_ONCE)
    return ((digest, size) for digest, size in rows)


def last_read(session: Session) -> tuple[int, datetime | None]:
    """How many objects were never read whole and sound; of the others, when that was which was not for longest."""
    at = Blob.verified_at
    never = session.scalar(select(func.count()).where(or_(at.is_(None), at == _DAMAGED))) or 0
    return never, session.scalar(select(func.min(at)).where(at != _DAMAGED))


def mostly_known(session: Session, digests: Collection[str]) -> bool:
    """Whether most of some objects are on record, so that they seem to be of this store; they do where there is none.

    One is not enough, as stores may share a base; nor must all be, as some may be garbage.
    """
    known = session.scalar(select(func.count()).where(Blob.digest.in_(digests))) or 0
    return not digests or 2 * known > len(digests)


def some(session: Session) -> list[str]:
    """The first objects on record, as many as are looked at where looking at all would take long."""
    return list(session.scalars(select(Blob.digest).order_by(Blob.digest).limit(LOOKED_AT)))


def used() -> ColumnElement[bool]:
    """Whether a record names a blob, in a query for blobs."""
    return or_(*(exists().where(column == Blob.digest) for column in NAMED))


def uses(session: Session, digests: Iterable[str]) -> dict[str, list[tuple[str, str]]]:
    """What these objects are of: (reference, path in that version), oldest version first."""
    found: dict[str, list[tuple[str, str]]] = {}
    for batch in batches(sorted(set(digests))):
        files = select(VersionFile.blob_digest, Model.name, ModelVersion.version, VersionFile.path)
        files = files.join(ModelVersion, ModelVersion.id == VersionFile.version_id).join(ModelVersion.model)
        files = files.where(VersionFile.blob_digest.in_(batch)).order_by(ModelVersion.id)
        for digest, name, number, path in session.execute(files):
            found.setdefault(str(digest), []).append((f"{name}@{number}", path))
        collected = select(Statistics, ModelVersion).join(ModelVersion, ModelVersion.id == Statistics.version_id)
        collected = collected.where(Statistics.blob_digest.in_(batch)).order_by(Statistics.id)
        for record, version in session.execute(collected):
            found.setdefault(record.blob_digest, []).append((version.reference, f"{record.kind} statistics"))
    return found


def remember_verified(session: Session, sound: Iterable[str], damaged: Iterable[str] = ()) -> None:
    """Note what was just read whole. No event of the log: it is no claim that anybody relies on."""
    for digests, at in ((sound, leases.clock(session)), (damaged, _DAMAGED)):
        for batch in batches(sorted(set(digests))):
            session.execute(update(Blob).where(Blob.digest.in_(batch)).values(verified_at=at))
