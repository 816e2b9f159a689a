"""Who is storing bytes just now: a lease that garbage collection waits for."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from registry.home import Home
from registry.records import leases
from registry.records.alone import repeating
from registry.records.database import writing
from registry.records.location import object_storage
from registry.records.tables import Lease
from storage.errors import Conflict, MergestoreError
from storage.processes import is_dead, process_name

PREFIX = "writer:"
SECONDS = 24 * 3600
"""How long a writer that was killed on another host holds garbage back; one that lives prolongs its lease."""
_PROLONG = 3600.0


@contextlib.contextmanager
def storing(engine: Engine, home: Home) -> Iterator[None]:
    """A block that stores objects and then commits records that name them: Conflict there, where the lease ran out.

    Raises Conflict where another process has just chosen another place for objects than ``home`` has.
    """
    name = f"{PREFIX}{uuid.uuid4().hex}"
    holder = process_name()
    with writing(engine) as session:
        leases.acquire(session, name, holder, SECONDS)
        if (storage := object_storage(session)) != home.storage:
            raise Conflict(f"objects of this store belong in {storage} since just now", hint="do the same again")

    def prolong() -> None:
        with writing(engine) as session:
            leases.prolong(session, name, holder, SECONDS)

    try:
        with leases.relying(name, holder), repeating("keeps a writer's lease", _PROLONG, prolong):
            yield
    finally:
        # What is committed is done, also where the database is away by now: then the lease runs out.
        with contextlib.suppress(MergestoreError), writing(engine) as session:
            leases.release(session, name, holder)


def refuse_writers(session: Session, doing: str) -> None:
    """Raise Conflict while somebody stores bytes."""
    if writers := at_work(session):
        since = writers[0].acquired_at.isoformat(timespec="seconds")
        raise Conflict(f"{doing} while a registration is under way, since {since}", hint="try again when it is done")


def at_work(session: Session) -> list[Lease]:
    """The leases of writers that may still be alive, the oldest first: a dead process of this host stores nothing."""
    return [lease for lease in leases.held(session, PREFIX) if not is_dead(lease.holder)]
