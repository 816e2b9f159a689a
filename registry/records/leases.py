"""Leases: which process does a job that only one at a time should do. A dead one's lease runs out."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from registry.records.columns import UtcDateTime, now
from registry.records.tables import Lease
from storage.errors import Conflict
from storage.processes import is_dead, process_name

_RELIED: ContextVar[tuple[str, str] | None] = ContextVar("relied", default=None)
"""Name and holder of the lease that what is recorded in this block stands on."""


def new_holder(number: int | None = None) -> str:
    """A name for who takes a lease: this process, or another one of this host, by its number."""
    return f"{process_name(number)}.{uuid.uuid4().hex}"


def acquire(session: Session, name: str, holder: str, seconds: float) -> bool:
    """Take or prolong the lease ``name``; False while another holder has it.

    ``holder`` names one process, not one machine (``new_holder``); a lease of a process of this host that was killed is
    free. The caller commits before it begins the job.
    """
    at = clock(session)
    lease = session.get(Lease, name)
    if lease is None:
        lease = Lease(name=name, holder=holder)
        session.add(lease)
    elif lease.holder != holder and lease.expires_at > at and not is_dead(lease.holder):
        return False
    lease.holder, lease.acquired_at, lease.expires_at = holder, at, at + timedelta(seconds=seconds)
    return True


def prolong(session: Session, name: str, holder: str, seconds: float) -> None:
    """Let a lease last so long from now on, and be as old as it is; one that is not held any more stays so.

    One that has run out does: what it kept from happening may have happened since.
    """
    if (lease := _current(session, name, holder)) is not None:
        lease.expires_at = clock(session) + timedelta(seconds=seconds)


def _current(session: Session, name: str, holder: str) -> Lease | None:
    lease = session.get(Lease, name)
    return lease if lease is not None and lease.holder == holder and lease.expires_at > clock(session) else None


@contextmanager
def relying(name: str, holder: str) -> Iterator[None]:
    """A block whose records are true for as long as this lease is held."""
    token = _RELIED.set((name, holder))
    try:
        yield
    finally:
        _RELIED.reset(token)


def require_relied(session: Session) -> None:
    """Raise Conflict where the lease that the work under way relies on has run out: it stood still for too long."""
    relied = _RELIED.get()
    if relied is not None and _current(session, *relied) is None:
        raise Conflict(
            "this process stood still for so long that what it has stored may have been deleted as garbage",
            hint="nothing of it was recorded: run the same command again",
        )


def release(session: Session, name: str, holder: str) -> None:
    """Give a lease back; one that has gone to another holder stays there."""
    lease = session.get(Lease, name)
    if lease is not None and lease.holder == holder:
        session.delete(lease)


def held(session: Session, prefix: str) -> list[Lease]:
    """The leases whose names begin so and that have not run out, the oldest first."""
    query = select(Lease).where(Lease.name.startswith(prefix, autoescape=True), Lease.expires_at > clock(session))
    return list(session.scalars(query.order_by(Lease.acquired_at)))


def clock(session: Session) -> datetime:
    """One clock for all holders: the server's, where there is one."""
    if session.get_bind().dialect.name != "postgresql":
        return now()
    clock: datetime = session.scalars(select(func.clock_timestamp(type_=UtcDateTime()))).one()
    return clock
