"""The audit chain by what it tells: the events of one kind or several, or those about some subjects."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from operator import itemgetter
from typing import Any, NamedTuple

from sqlalchemy import String, func, select, type_coerce
from sqlalchemy.orm import Session

from registry.records.columns import read_json
from registry.records.database import streamed
from registry.records.tables import AuditEvent

Finding = tuple[str, str]
"""What contradicts the chain, and where."""

_AT_ONCE = 500


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
        return (event for part in self.parts(*actions) for event in part)

    def parts(self, *actions: str) -> Iterator[Sequence[Event]]:
        """The same, so many at once that one statement may name what they tell of."""
        query = select(*_COLUMNS).where(_LOG.action.in_(actions)).order_by(_LOG.sequence)
        rows = streamed(self._session, query, _AT_ONCE)
        while part := [_event(row) for row in islice(rows, _AT_ONCE)]:
            yield part

    def about(self, subjects: Iterable[str]) -> dict[str, list[Event]]:
        """The events about each of some subjects, a batch at most, oldest first."""
        # In whatever order: told to sort by it, SQLite would go through the whole log.
        query = select(_LOG.sequence, *_COLUMNS).where(_LOG.subject.in_(list(subjects)))
        found: dict[str, list[Event]] = defaultdict(list)
        for row in sorted(self._session.execute(query), key=itemgetter(0)):
            found[row[2]].append(_event(row[1:]))
        return found

    def last(self, *actions: str) -> dict[str, Event]:
        """The newest event of some kinds about each subject."""
        return {event.subject: event for event in self.all(*actions)}

    def count(self, action: str) -> int:
        """How many events of a kind there are."""
        return self._session.scalar(select(func.count()).where(_LOG.action == action)) or 0


def newest(events: Sequence[Event], *actions: str) -> Event | None:
    """The last of these events, which are oldest first, that is of some kinds."""
    for event in events[::-1]:
        if event.action in actions:
            return event
    return None


def moment(at: datetime) -> str:
    """A moment as the details of an event keep it: UTC, as ISO text."""
    return at.astimezone(UTC).isoformat()


_LOG = AuditEvent.__table__.c
# As they are stored: the chain tells what is damaged of them.
_COLUMNS = [type_coerce(column, String) for column in (_LOG.action, _LOG.subject, _LOG.actor, _LOG.details)]


def _event(row: Any) -> Event:
    action, subject, actor, details = row
    try:
        document = read_json(details)
    except (ValueError, TypeError, RecursionError):
        document = {}
    return Event(action, subject, actor, document if isinstance(document, dict) else {})
