"""The audit chain: every event holds the hash of the one before, so no history can be rewritten unseen.

An event's hash is the SHA-256 of the canonical JSON of its sequence number, moment, actor, action, subject,
details (as text) and predecessor's hash. The head of the chain is kept apart, in ``store_meta``, so that events cut
off at the end are missed too. Whoever can write the whole database can write a whole new chain: a head that
was noted elsewhere (``head``) is what proves more.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import String, func, select, type_coerce
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from registry.records.columns import batches, now
from registry.records.database import streamed
from registry.records.tables import AuditEvent, StoreMeta
from storage.digests import canonical_json, parse_json, sha256_digest
from storage.errors import InputRefused, IntegrityFailure

GENESIS = "sha256:" + "0" * 64
"""What the first event holds as its predecessor's hash."""
HEAD_KEY = "audit_head"

_AT_ONCE = 1000
_HINT = "the audit chain was changed by something other than mergestore: compare it with a backup"


@dataclass(frozen=True)
class Head:
    """The last link of the chain: its number (0 for none) and its hash."""

    sequence: int
    hash: str


def append(
    session: Session, *, actor: str, action: str, subject: str, details: dict[str, Any] | None = None
) -> AuditEvent:
    """Add an event to the chain, in the caller's writing transaction.

    ``details`` must be expressible as canonical JSON; raises IntegrityFailure when the chain's head is
    lost, because an event added then would hide that.
    """
    meta = session.get(StoreMeta, HEAD_KEY)
    last = _read_head(meta)
    if last is None or (meta is None and session.scalar(select(AuditEvent.sequence).limit(1))):
        raise IntegrityFailure("the head of the audit chain is lost", hint=_HINT)
    event = _link(last, now(), actor, action, subject, details or {})
    session.flush()
    session.add(event)
    try:
        session.flush()
    except IntegrityError as error:
        raise IntegrityFailure(f"the audit chain goes on behind its head, event {last.sequence}", hint=_HINT) from error
    value = canonical_json({"sequence": event.sequence, "hash": event.hash}).decode()
    if meta is None:
        session.add(StoreMeta(key=HEAD_KEY, value=value))
    else:
        meta.value = value
    session.flush()
    return event


def head(session: Session) -> Head | None:
    """The head of the chain as it was last written; None when what is there cannot be read."""
    return _read_head(session.get(StoreMeta, HEAD_KEY))


def hash_of(session: Session, sequence: int) -> str | None:
    """The hash of an event; None where there is no such event."""
    return session.scalar(select(AuditEvent.hash).where(AuditEvent.sequence == sequence))


def of(session: Session, subjects: Iterable[str], newest: int | None = None) -> list[dict[str, Any]]:
    """The events about any of these subjects as JSON-ready values, oldest first: all, or so many of the newest."""
    found: list[AuditEvent] = []
    for batch in batches(sorted(set(subjects))):
        query = select(AuditEvent).where(AuditEvent.subject.in_(batch)).order_by(AuditEvent.sequence.desc())
        found += session.scalars(query.limit(newest))
    found.sort(key=lambda event: event.sequence, reverse=True)
    return [event_facts(event) for event in reversed(found[:newest])]


def count(session: Session, subjects: Iterable[str]) -> int:
    """How many events there are about any of these subjects."""
    counts = (
        session.scalar(select(func.count()).where(AuditEvent.subject.in_(batch)))
        for batch in batches(sorted(set(subjects)))
    )
    return sum(count or 0 for count in counts)


def fingerprint(rows: Iterable[Mapping[str, Any]]) -> str:
    """What an event keeps of rows that are too many to list: a digest of their values, in whatever order."""
    return sha256_digest("\n".join(sorted(_spelled(dict(row)) for row in rows)).encode())


def verify_chain(session: Session) -> list[dict[str, Any]]:
    """Every break of the chain as a problem naming the event; none when history is as it was written."""
    return list(_breaks(session))


def event_hash(sequence: int, at: datetime, actor: str, action: str, subject: str, details: str, previous: str) -> str:
    """The hash that names an event.

    Moments are hashed as UTC text with microseconds, ``details`` as their canonical JSON text.
    """
    return _hash(sequence, _moment(at), actor, action, subject, details, previous)


def _hash(sequence: int, at: str, actor: str, action: str, subject: str, details: str, previous: str) -> str:
    # Canonical JSON of words and a whole number, in an eighth of the time: chains have millions of events.
    text = (
        f'{{"action":{_quoted(action)},"actor":{_quoted(actor)},"at":"{at}","details":{_quoted(details)},'
        f'"previous":{_quoted(previous)},"sequence":{sequence:d},"subject":{_quoted(subject)}}}'
    )
    try:
        return sha256_digest(text.encode())
    except UnicodeEncodeError as error:  # half a character
        raise InputRefused(f"not expressible as canonical JSON: {error}") from error


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="microseconds")


_quoted = json.JSONEncoder(ensure_ascii=False).encode
_spelled = json.JSONEncoder(sort_keys=True).encode


def _link(last: Head, at: datetime, actor: str, action: str, subject: str, details: dict[str, Any]) -> AuditEvent:
    sequence, written = last.sequence + 1, canonical_json(details).decode()
    return AuditEvent(
        sequence=sequence,
        at=at,
        actor=actor,
        action=action,
        subject=subject,
        details=written,
        previous_hash=last.hash,
        hash=event_hash(sequence, at, actor, action, subject, written, last.hash),
    )


def event_facts(event: AuditEvent) -> dict[str, Any]:
    """An event as JSON-ready values. Raises IntegrityFailure where what it tells cannot be read."""
    return {
        "sequence": event.sequence,
        "at": event.at.isoformat(),
        "actor": event.actor,
        "action": event.action,
        "subject": event.subject,
        "details": read_details(event.sequence, event.details),
        "hash": event.hash,
    }


def read_details(sequence: int, details: str) -> Any:
    """What an event tells, from its text. Raises IntegrityFailure for what is no JSON."""
    try:
        return parse_json(details)
    except (ValueError, RecursionError) as error:
        raise IntegrityFailure(f"audit event {sequence} is damaged: {error}", hint=_HINT) from error


def _read_head(meta: StoreMeta | None) -> Head | None:
    if meta is None:
        return Head(0, GENESIS)
    try:
        document = json.loads(meta.value)
        return Head(int(document["sequence"]), str(document["hash"]))
    except (ValueError, TypeError, KeyError):
        return None


_LOG = AuditEvent.__table__.c
# As they are stored: what is damaged must become a finding, not an exception.
_TEXTS = (_LOG.at, _LOG.actor, _LOG.action, _LOG.subject, _LOG.details, _LOG.previous_hash, _LOG.hash)
_ROWS = select(_LOG.sequence, *(type_coerce(column, String) for column in _TEXTS)).order_by(_LOG.sequence)


def _breaks(session: Session) -> Iterator[dict[str, Any]]:
    # After a break the walk goes on from what is stored, so that one change is one finding.
    last, hashed = 0, GENESIS
    rows: Iterable[Any] = streamed(session, _ROWS, _AT_ONCE)
    for sequence, at, actor, action, subject, details, previous, stored in rows:
        if sequence > last + 1:
            yield _missing(last + 1, sequence - 1)
        elif previous != hashed:
            yield _problem(sequence, f"does not follow event {last}: one of them was moved or replaced")
        elif _recomputed(sequence, at, actor, action, subject, details, previous) != stored:
            yield _problem(sequence, "does not match its hash: it was edited")
        last, hashed = sequence, stored
    yield from _head_breaks(head(session), Head(last, hashed))


def _recomputed(sequence: int, at: Any, *texts: Any) -> str | None:
    try:
        return _hash(sequence, _stored_moment(at), *texts)
    except (ValueError, TypeError):
        return None


def _stored_moment(at: Any) -> str:
    if type(at) is str and len(at) == 26 and at[10] == " ":  # as SQLite keeps it; no date if it was damaged
        return f"{at[:10]}T{at[11:]}+00:00"
    return _moment(at if isinstance(at, datetime) else datetime.fromisoformat(at).replace(tzinfo=UTC))


def _head_breaks(recorded: Head | None, last: Head) -> Iterator[dict[str, Any]]:
    if recorded is None:
        yield _problem(last.sequence, "is the last, but the record of the chain's head cannot be read")
    elif recorded.sequence > last.sequence:
        yield _missing(last.sequence + 1, recorded.sequence)
    elif recorded != last:
        yield _problem(last.sequence, f"is the last, but the chain's head is event {recorded.sequence}")


def _missing(first: int, last: int) -> dict[str, Any]:
    events = f"event {first} is" if first == last else f"events {first} to {last} are"
    return {"what": f"audit {events} missing", "where": f"audit_event {first}", "kind": "integrity", "hint": _HINT}


def _problem(sequence: int, what: str) -> dict[str, Any]:
    return {
        "what": f"audit event {sequence} {what}",
        "where": f"audit_event {sequence}",
        "kind": "integrity",
        "hint": _HINT,
    }
