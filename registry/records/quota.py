"""How many bytes of objects a store may have on record."""

from __future__ import annotations

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from registry.records import events
from registry.records.tables import Blob, StoreMeta
from registry.records.told import Finding, Told

QUOTA_KEY = "quota"
_SET = "store.quota"


def used(session: Session) -> int:
    """The bytes of all objects on record."""
    return int(session.scalar(select(func.sum(Blob.size))) or 0)


def limit(session: Session) -> int | None:
    """The bytes that the store allows itself; None where it has no quota."""
    meta = session.get(StoreMeta, QUOTA_KEY)
    return int(meta.value) if meta is not None and meta.value.isdigit() else None


def set_limit(session: Session, size: int | None, *, actor: str) -> None:
    """Give the store a quota, or take it away."""
    meta = session.get(StoreMeta, QUOTA_KEY)
    if size is None:
        if meta is not None:
            session.delete(meta)
    elif meta is None:
        session.add(StoreMeta(key=QUOTA_KEY, value=str(size)))
    else:
        meta.value = str(size)
    events.append(session, actor=actor, action=_SET, subject="store", details={"bytes": size})


def changed_quota(session: Session, told: Told) -> list[Finding]:
    """Whether the quota is what it was last set to."""
    meta = session.get(StoreMeta, QUOTA_KEY)
    said = None
    for event in told.all(_SET):
        said = event.details.get("bytes")
    found = meta.value if meta is not None else None
    if found == (str(said) if said is not None else None):
        return []
    return [(f"the store's quota is said to be {found}, but was set to {said}", "store_meta")]
