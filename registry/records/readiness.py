"""Which versions may be used for something new: it, and everything that it came from, must be ready; yanking."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from registry.records import events
from registry.records.lineage import Lineage, ancestors, origins_of
from registry.records.names import check_line
from registry.records.tables import AuditEvent, ModelVersion
from storage.errors import Conflict, UsageError

YANK, UNYANK = "version.yank", "version.unyank"
"""What the log calls it that a version was taken out of use, and that this was taken back."""


def yank(session: Session, version: ModelVersion, reason: str, *, actor: str) -> ModelVersion:
    """Take a version out of use; it stays on record. Raises Conflict when it is yanked already."""
    _require_reason(reason)
    if version.state == "yanked":
        raise Conflict(f"{version.reference} is yanked already: {version.reason}")
    version.state, version.reason = "yanked", reason
    details = {"reason": reason}
    events.append(session, actor=actor, action=YANK, subject=version.reference, details=details)
    return version


def unyank(session: Session, version: ModelVersion, reason: str, *, actor: str) -> ModelVersion:
    """Take a yank back; the log keeps both, with their reasons. Raises Conflict when the version is not yanked."""
    _require_reason(reason)
    if version.state != "yanked":
        raise Conflict(f"{version.reference} is not yanked: it is {version.state}")
    details = {"reason": reason, "was": version.reason}
    version.state, version.reason = "ready", None
    events.append(session, actor=actor, action=UNYANK, subject=version.reference, details=details)
    return version


def refuse_unready(session: Session, *versions: ModelVersion) -> None:
    """Raise Conflict, naming the way, where a version or anything it came from was yanked or quarantined."""
    for version in versions:
        if version.state != "ready":
            raise _unready(version, [version.reference])
    ids = [version.id for version in versions]
    query = select(ModelVersion).where(ModelVersion.id.in_(origins_of(ids)), ModelVersion.state != "ready")
    found = session.scalar(query.order_by(ModelVersion.id).limit(1))
    if found is not None:
        raise _unready(found, _way(ancestors(session, *ids), [each.reference for each in versions], found.reference))


def yank_facts(session: Session, version: ModelVersion) -> dict[str, Any] | None:
    """Why, by whom and since when a version is out of use, as JSON-ready values; None for one that is ready."""
    if version.state != "yanked":
        return None
    told = select(AuditEvent).where(AuditEvent.subject == version.reference, AuditEvent.action == YANK)
    event = session.scalar(told.order_by(AuditEvent.sequence.desc()).limit(1))
    by, at = (event.actor, event.at.isoformat()) if event is not None else (None, None)
    return {"reason": version.reason, "by": by, "at": at}


def _require_reason(reason: str) -> None:
    if not reason.strip():
        raise UsageError("a yank needs a reason", hint="people who depend on it will read it")
    check_line("reason", reason)


def _unready(version: ModelVersion, way: list[str]) -> Conflict:
    through = f" through {' and '.join(way[1:-1])}" if len(way) > 2 else ""
    came = f"; {way[0]} came from it{through}" if len(way) > 1 else ""
    return Conflict(
        f"{version.reference} is {version.state}: {version.reason}{came}",
        hint="use another version, or ask those who took it out of use",
        details={"version": version.reference, "state": version.state, "reason": version.reason, "path": way},
    )


def _way(lineage: Lineage, starts: list[str], end: str) -> list[str]:
    """The shortest way up from one of the starts."""
    above: dict[str, list[str]] = {}
    for edge in lineage.edges:
        above.setdefault(edge.child, []).append(edge.parent)
    reached: dict[str, str | None] = dict.fromkeys(starts)
    pending = list(starts)
    for node in pending:
        for parent in above.get(node, ()):
            if parent not in reached:
                reached[parent] = node
                pending.append(parent)
    way, at = [end], reached[end]
    while at is not None:
        way.append(at)
        at = reached[at]
    return way[::-1]
