"""The quota: what would make a store larger than it may be is refused before it is written."""

from __future__ import annotations

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from registry.home import Home
from registry.records import quota
from registry.records.database import reading
from storage.errors import EnvironmentFailure


def limit(session: Session, home: Home) -> int | None:
    """The bytes of objects that may be on record: the smaller of the store's own quota and that of this process."""
    known = [each for each in (quota.limit(session), home.quota) if each is not None]
    return min(known, default=None)


def require_room(engine: Engine, home: Home, size: int) -> None:
    """Raise EnvironmentFailure when ``size`` more bytes would exceed the quota.

    Writers who come at the same moment do not see each other: it can be exceeded by what is under way.
    """
    with reading(engine) as session:
        most = limit(session, home)
        if most is None:
            return
        used = quota.used(session)
    if used + size > most:
        raise EnvironmentFailure(
            f"the store's quota of {most:,} bytes is used up: {used:,} are on record, {size:,} are to come",
            hint="raise it (`mergestore init --quota SIZE`, $MERGESTORE_QUOTA), or find garbage with `mergestore gc`",
        )
