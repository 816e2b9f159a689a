"""Objects that nothing needs: which they are, since when that is known, and what saves one that is needed again.

Garbage is found in one transaction and deleted in a later one, after a while of grace. Whoever stores bytes holds a
writer's lease from before it looks at what is there until its records are committed, and spares what it finds there
and relies on. What was found to be garbage after the lease began stays until the lease ends, and where it has run out
nothing is committed. So nothing that a committed record names is ever deleted, and no clock but the database's matters.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import Engine, delete, insert, select, union
from sqlalchemy.orm import Session

from registry.records import leases
from registry.records.columns import batches
from registry.records.database import reading, writing
from registry.records.objects import NAMED
from registry.records.tables import Blob, Garbage


def needed(session: Session, among: Sequence[str] | None = None) -> set[str]:
    """The digests of all objects that a record names; of these alone, which are a batch at most."""
    queries = [select(column) if among is None else select(column).where(column.in_(among)) for column in NAMED]
    return {digest for digest in session.scalars(union(*queries)) if digest is not None}


def known(session: Session, among: Sequence[str] | None = None) -> dict[str, datetime]:
    """What was found to be garbage, and when; of these alone, which are a batch at most."""
    query = select(Garbage.digest, Garbage.found_at)
    rows = session.execute(query if among is None else query.where(Garbage.digest.in_(among)))
    return {row.digest: row.found_at for row in rows}


def condemn(session: Session, digests: Sequence[str], at: datetime | None = None) -> None:
    """Note these objects, a batch at most, as garbage from now on, or from a moment that is said.

    What is needed by now, or is noted already, stays as it is.
    """
    at = at or leases.clock(session)
    spared = needed(session, digests) | known(session, digests).keys()
    rows = [{"digest": digest, "found_at": at} for digest in sorted(set(digests) - spared)]
    if rows:
        session.execute(insert(Garbage), rows)


def forget(session: Session, digests: Iterable[str], *, deleted: bool = False) -> None:
    """Take objects out of the garbage: they are needed again, or ``deleted``, and then their rows go too."""
    for batch in batches(sorted(set(digests))):
        session.execute(delete(Garbage).where(Garbage.digest.in_(batch)))
        if deleted:
            session.execute(delete(Blob).where(Blob.digest.in_(batch)))


def spare(engine: Engine, digest: str) -> None:
    """Save an object from being deleted, because a record that is under way relies on it."""
    with reading(engine) as session:
        if session.get(Garbage, digest) is None:
            return
    with writing(engine) as session:
        forget(session, [digest])
