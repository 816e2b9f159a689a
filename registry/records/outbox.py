"""The outbox: provenance that is committed with what it tells of, and delivered when somebody listens.

Delivery is slow and happens outside every transaction, so one process at a time should do it (take the
lease ``outbox``), and a crash between delivery and ``mark_delivered`` must be found out by the row's key.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from registry.records.columns import now
from registry.records.events import fingerprint
from registry.records.tables import Outbox

LEASE = "outbox"
MATERIALIZATION = "materialization"
"""The kind of message that tells of a materialization; its key is the materialization's id."""
_LONGEST_ERROR = 2000


def add(session: Session, *, kind: str, key: str, payload: dict[str, Any]) -> Outbox:
    """Put a message in; the same kind and key again is the same message, and stays as it was."""
    known = find(session, kind, key)
    if known is not None:
        return known
    message = Outbox(kind=kind, key=key, payload=payload)
    session.add(message)
    session.flush()
    return message


def pending(session: Session, limit: int | None = 100, after: int = 0) -> list[Outbox]:
    """Messages that were not delivered, oldest first: so many, or all; ``after`` an id, for the next ones."""
    query = select(Outbox).where(Outbox.delivered_at.is_(None), Outbox.id > after).order_by(Outbox.id).limit(limit)
    return list(session.scalars(query))


def count_pending(session: Session) -> int:
    """How many messages were not delivered."""
    return session.scalar(select(func.count()).where(Outbox.delivered_at.is_(None))) or 0


def mark_delivered(session: Session, message_id: int) -> None:
    """A message has arrived; saying so twice changes nothing."""
    message = session.get_one(Outbox, message_id)
    message.delivered_at = message.delivered_at or now()
    message.last_error = None


def mark_failed(session: Session, message_id: int, error: str) -> None:
    """An attempt to deliver failed; the message stays pending."""
    message = session.get_one(Outbox, message_id)
    message.attempts += 1
    message.last_error = error[:_LONGEST_ERROR]


def beginning(session: Session, kind: str, key: str) -> list[Outbox]:
    """The messages of this kind whose keys begin so, delivered or not, oldest first."""
    begins = func.substr(Outbox.key, 1, len(key)) == key  # LIKE would not tell A from a on SQLite
    query = select(Outbox).where(Outbox.kind == kind, begins)
    return list(session.scalars(query.order_by(Outbox.id)))


def settle(session: Session, kind: str, key: str, refused: str | None = None) -> None:
    """Messages of this kind whose keys begin so need no delivery any more; ``refused``: why none is possible."""
    for message in beginning(session, kind, key):
        if message.delivered_at is None:
            message.delivered_at, message.last_error = now(), refused[:_LONGEST_ERROR] if refused else None


def find(session: Session, kind: str, key: str) -> Outbox | None:
    """The message of this kind and key, delivered or not."""
    return session.scalar(select(Outbox).where(Outbox.kind == kind, Outbox.key == key))


def message_fingerprint(message: Outbox) -> str:
    """What the event keeps of a message that is put in with it."""
    return fingerprint([{"kind": message.kind, "key": message.key, "payload": message.payload}])
