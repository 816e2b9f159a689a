"""The quota: what would make a store larger than it may be is refused before it is written."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from registry.home import Home
from registry.records import quota
from registry.records.contents import BlobRow, record_blobs
from registry.records.database import reading
from storage.errors import EnvironmentFailure


def limit(session: Session, home: Home) -> int | None:
    """The bytes of objects that may be on record: the smaller of the store's own quota and that of this process."""
    known = [each for each in (quota.limit(session), home.quota) if each is not None]
    return min(known, default=None)


def require_room(engine: Engine, home: Home, size: int) -> None:
    """Raise EnvironmentFailure when ``size`` more bytes would exceed the quota: to be asked before they are written.

    Writers who come at the same moment do not see each other here; ``record_within`` sees them.
    """
    with reading(engine) as session:
        most = limit(session, home)
        if most is not None:
            _refuse_more(most, quota.used(session), size)


def record_within(session: Session, home: Home, blobs: Iterable[BlobRow]) -> None:
    """``record_blobs``; raises EnvironmentFailure when those that are new exceed the quota."""
    most = limit(session, home)
    before = quota.used(session) if most is not None else 0
    record_blobs(session, blobs)
    if most is not None and (more := quota.used(session) - before):
        _refuse_more(most, before, more)


def _refuse_more(most: int, used: int, size: int) -> None:
    if used + size > most:
        raise EnvironmentFailure(
            f"the store's quota of {most:,} bytes is used up: {used:,} are on record, {size:,} are to come",
            hint="raise it (`mergestore init --quota SIZE`, $MERGESTORE_QUOTA), or find garbage with `mergestore gc`",
        )
