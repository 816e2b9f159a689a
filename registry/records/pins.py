"""Pins: versions that nothing may delete, nor what they came from; who says so, why and since when."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from registry.records import events
from registry.records.columns import batches
from registry.records.names import check_line
from registry.records.tables import ModelVersion, Pin
from storage.errors import Conflict, NotFound, UsageError


def set_pin(session: Session, version: ModelVersion, reason: str, *, actor: str) -> Pin:
    """Keep a version and what it came from, whatever else happens to it. Raises Conflict when it is pinned already.

    The database itself refuses to delete it, or anything that it came from, as long as the pin is there.
    """
    if not reason.strip():
        raise UsageError("a pin needs a reason", hint="whoever wants to make room will read it")
    check_line("reason", reason)
    known = session.get(Pin, version.id)
    if known is not None:
        raise Conflict(
            f"{version.reference} is pinned already, by {known.created_by}: {known.reason}",
            hint=f"take that pin away first: mergestore pin {version.reference} --remove",
        )
    pin = Pin(version_id=version.id, reason=reason, created_by=actor)
    session.add(pin)
    session.flush()
    details = {"reason": reason, "row": events.fingerprint([pin_row(pin)])}
    events.append(session, actor=actor, action="pin.set", subject=version.reference, details=details)
    return pin


def remove_pin(session: Session, version: ModelVersion, *, actor: str) -> Pin:
    """Let a version go again; the log remembers the pin. Raises NotFound where there is none."""
    pin = session.get(Pin, version.id)
    if pin is None:
        raise NotFound(f"{version.reference} is not pinned", hint="`mergestore list` shows what is")
    session.delete(pin)
    details = {"reason": pin.reason}
    events.append(session, actor=actor, action="pin.remove", subject=version.reference, details=details)
    return pin


def pins(session: Session, version_ids: Iterable[int] | None = None) -> dict[int, Pin]:
    """The pins of these versions, or of all, by version."""
    if version_ids is None:
        return {pin.version_id: pin for pin in session.scalars(select(Pin))}
    found: dict[int, Pin] = {}
    for batch in batches(sorted(set(version_ids))):
        found |= {pin.version_id: pin for pin in session.scalars(select(Pin).where(Pin.version_id.in_(batch)))}
    return found


def pin_facts(pin: Pin | None) -> dict[str, Any] | None:
    """Why, by whom and since when a version is pinned; None for none."""
    if pin is None:
        return None
    return {"reason": pin.reason, "by": pin.created_by, "at": pin.created_at.isoformat()}


def pin_row(pin: Pin) -> dict[str, Any]:
    """What is recorded of a pin, as plain values."""
    return {"version_id": pin.version_id, **(pin_facts(pin) or {})}
