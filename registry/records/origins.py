"""Whether the records still say who made what, and when, as the audit chain has it.

Events of stores older than schema 0003 tell no moments but their own, and so vouch for none of a record's.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from registry.records.events import HEAD_KEY
from registry.records.identity import STORE_ID_KEY, WRITTEN_BY_KEY
from registry.records.location import FOLDER_KEY, LOCATED, LOCATION_KEY
from registry.records.quota import QUOTA_KEY
from registry.records.tables import StoreMeta
from registry.records.told import Event, Finding, Told, moment


def other_origin(where: str, by: str, at: datetime, event: Event) -> Iterator[Finding]:
    """Whether a record is said to be by somebody else, or of another moment, than an event tells."""
    if by != event.actor:
        yield f"{where} is said to be by {by}, but was made by {event.actor}", where
    yield from other_moment(where, at, event.details)


def other_moment(where: str, at: datetime, details: Mapping[str, Any]) -> Iterator[Finding]:
    """Whether a record is said to be of another moment than an event's details tell."""
    seen = details.get("created_at")
    if seen is not None and moment(at) != seen:
        yield f"{where} is said to be of {moment(at)}, but was made at {seen}", where


def changed_identity(session: Session, seen: Collection[str], told: Told) -> Iterator[Finding]:
    """Whether the store is the one that the events by which its versions were made have ``seen``, in the same place."""
    facts = {record.key: record.value for record in session.scalars(select(StoreMeta))}
    for key in sorted(facts.keys() - {HEAD_KEY, STORE_ID_KEY, WRITTEN_BY_KEY, LOCATION_KEY, FOLDER_KEY, QUOTA_KEY}):
        yield f"the store has a fact {key!r}, which mergestore never wrote", "store_meta"
    found = facts.get(STORE_ID_KEY)
    if found is None:
        yield "the store's own identifier is lost", "store_meta"
    elif {*seen} - {found}:
        yield f"the store is said to be {found}, but was {', '.join(sorted(seen))}", "store_meta"
    yield from _location(session, told)


def _location(session: Session, told: Told) -> Iterator[Finding]:
    record = session.get(StoreMeta, LOCATION_KEY)
    found = record.value if record is not None else None
    event = told.last(LOCATED).get("objects")
    seen = event.details.get("objects") if event is not None else None
    if found != seen:
        own = "the store's own folder"
        yield f"the objects are said to be in {found or own}, but were put in {seen or own}", "store_meta"
