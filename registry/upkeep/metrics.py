"""Numbers about a store, for whoever watches it; no object is read for them."""

from __future__ import annotations

from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from registry.home import Home
from registry.publishing import free_space
from registry.quota import limit
from registry.records import events, leases, quota
from registry.records.database import reading
from registry.records.objects import last_read
from registry.records.tables import Blob, Garbage, Model, ModelVersion, Outbox
from registry.upkeep.eviction import cached
from registry.upkeep.leftovers import measured
from registry.upkeep.writers import at_work
from registry.wish import Context


def metrics(context: Context) -> dict[str, Any]:
    """Each number by its name; ``versions`` by kind and state. Ages are in seconds, None where there is nothing."""
    with reading(context.engine) as session:
        head = events.head(session)
        return _of_records(session, context.home) | {
            "audit_events": head.sequence if head is not None else None,
            "writers": len(at_work(session)),
            "cache_bytes": sum(each.bytes for each in cached(context.home.cache)),
            "quarantine_bytes": measured(context.home.quarantine).bytes,
            "free_bytes": free_space(context.home.root),
        }


def _of_records(session: Session, home: Home) -> dict[str, Any]:
    counts = select(Model.kind, ModelVersion.state, func.count()).join(Model, Model.id == ModelVersion.model_id)
    grouped = counts.group_by(Model.kind, ModelVersion.state).order_by(Model.kind, ModelVersion.state)
    garbage = select(func.count(), func.sum(Blob.size)).select_from(Garbage)
    found, bytes_ = session.execute(garbage.outerjoin(Blob, Blob.digest == Garbage.digest)).one()
    at = leases.clock(session)
    never_read, read = last_read(session)
    waiting = session.execute(select(func.count(), func.min(Outbox.created_at)).where(Outbox.delivered_at.is_(None)))
    pending, oldest = waiting.one()
    return {
        "versions": [{"kind": kind, "state": state, "count": n} for kind, state, n in session.execute(grouped)],
        "objects": session.scalar(select(func.count()).select_from(Blob)) or 0,
        "object_bytes": quota.used(session),
        "quota_bytes": limit(session, home),
        "objects_never_read": never_read,
        "oldest_read_seconds": (at - read).total_seconds() if read is not None else None,
        "outbox_messages": pending,
        "outbox_oldest_seconds": (at - oldest).total_seconds() if oldest is not None else None,
        "garbage_objects": found,
        "garbage_bytes": int(bytes_ or 0),
    }
