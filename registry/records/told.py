"""The audit chain by what it tells: the events of one kind or several, read as often as somebody asks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from registry.records.tables import AuditEvent

Finding = tuple[str, str]
"""What contradicts the chain, and where."""


class Event(NamedTuple):
    """What an event says of a subject, and who said it."""

    action: str
    subject: str
    actor: str
    details: dict[str, Any]


class Told:
    """The events of a store, as many in memory as are asked for; the chain itself is checked apart."""

    def __init__(self, session: Session):
        self._session = session

    def all(self, *actions: str) -> Iterator[Event]:
        """The events of some kinds, oldest first; one whose details cannot be read has none."""
        columns = (AuditEvent.action, AuditEvent.subject, AuditEvent.actor, AuditEvent.details)
        query = select(*columns).where(AuditEvent.action.in_(actions)).order_by(AuditEvent.sequence)
        for action, subject, actor, details in self._session.execute(query).yield_per(1000):
            yield Event(action, subject, actor, _document(details))

    def last(self, *actions: str) -> dict[str, Event]:
        """The newest event of some kinds about each subject."""
        return {event.subject: event for event in self.all(*actions)}


def moment(at: datetime) -> str:
    """A moment as the details of an event keep it: UTC, as ISO text."""
    return at.astimezone(UTC).isoformat()


def _document(details: str) -> dict[str, Any]:
    try:
        document = json.loads(details)
    except (ValueError, TypeError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}
