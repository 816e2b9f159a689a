"""Whether the records still say who made what, and when, as the audit chain has it.

Events of stores older than schema 0003 tell no moments but their own, and so vouch for none of a record's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from registry.records.events import HEAD_KEY
from registry.records.identity import STORE_ID_KEY, WRITTEN_BY_KEY
from registry.records.location import LOCATED, LOCATION_KEY
from registry.records.quota import QUOTA_KEY
from registry.records.tables import Materialization, Model, ModelVersion, Recipe, Statistics, StoreMeta
from registry.records.told import Event, Finding, Told, moment


def changed_origins(
    session: Session, names: Mapping[int, str], told: Told, made: Mapping[str, Event]
) -> Iterator[Finding]:
    """Authors and moments of models, versions, statistics, recipes and materializations; the store's own identity.

    ``made``: the events by which versions were made, which are many.
    """
    yield from _versions(session, names, made)
    yield from _identity(session, made)
    yield from _location(session, told)
    yield from _statistics(session, names, told)
    yield from _recipes(session, told)
    yield from _materializations(session, told)


def _versions(session: Session, names: Mapping[int, str], made: Mapping[str, Event]) -> Iterator[Finding]:
    query = select(ModelVersion.id, ModelVersion.created_by, ModelVersion.created_at)
    for id_, by, at in session.execute(query):
        reference = names.get(id_, "")  # one without a model is told of elsewhere
        if (event := made.get(reference)) is not None:
            yield from _differences(reference, by, at, event)
    for name, by, at in session.execute(select(Model.name, Model.created_by, Model.created_at)):
        if (event := made.get(f"{name}@1")) is not None:  # a name is as old as its first version
            yield from _differences(name, by, at, event)


def _differences(where: str, by: str, at: datetime, event: Event) -> Iterator[Finding]:
    if by != event.actor:
        yield f"{where} is said to be by {by}, but was made by {event.actor}", where
    yield from _other_moment(where, at, event.details)


def _other_moment(where: str, at: datetime, details: Mapping[str, Any]) -> Iterator[Finding]:
    seen = details.get("created_at")
    if seen is not None and moment(at) != seen:
        yield f"{where} is said to be of {moment(at)}, but was made at {seen}", where


def _identity(session: Session, made: Mapping[str, Event]) -> Iterator[Finding]:
    facts = {record.key: record.value for record in session.scalars(select(StoreMeta))}
    for key in sorted(facts.keys() - {HEAD_KEY, STORE_ID_KEY, WRITTEN_BY_KEY, LOCATION_KEY, QUOTA_KEY}):
        yield f"the store has a fact {key!r}, which mergestore never wrote", "store_meta"
    found = facts.get(STORE_ID_KEY)
    seen = {event.details["store"] for event in made.values() if event.details.get("store") is not None}
    if found is None:
        yield "the store's own identifier is lost", "store_meta"
    elif seen - {found}:
        yield f"the store is said to be {found}, but was {', '.join(sorted(seen))}", "store_meta"


def _location(session: Session, told: Told) -> Iterator[Finding]:
    record = session.get(StoreMeta, LOCATION_KEY)
    found = record.value if record is not None else None
    event = told.last(LOCATED).get("objects")
    seen = event.details.get("objects") if event is not None else None
    if found != seen:
        own = "the store's own folder"
        yield f"the objects are said to be in {found or own}, but were put in {seen or own}", "store_meta"


def _statistics(session: Session, names: Mapping[int, str], told: Told) -> Iterator[Finding]:
    query = select(Statistics.version_id, Statistics.digest, Statistics.created_at)
    found = {(names.get(id_), digest): at for id_, digest, at in session.execute(query)}
    for event in told.all("statistics.add"):
        digest = str(event.details.get("statistics"))
        if (at := found.get((event.subject, digest))) is not None:
            yield from _other_moment(f"{event.subject}: statistics {digest}", at, event.details)


def _recipes(session: Session, told: Told) -> Iterator[Finding]:
    recorded = told.last("recipe.record")
    for digest, method, at in session.execute(select(Recipe.digest, Recipe.method, Recipe.created_at)):
        if (event := recorded.get(digest)) is not None:
            if method != event.details.get("method"):
                yield f"the method of recipe {digest} is {method}, but was {event.details.get('method')}", digest
            yield from _other_moment(digest, at, event.details)


def _materializations(session: Session, told: Told) -> Iterator[Finding]:
    query = select(Materialization.id, Materialization.created_at)
    found = {row[0]: row[1] for row in session.execute(query)}
    for event in told.all("materialization.record"):
        id_ = str(event.details.get("materialization"))
        if id_ in found:
            yield from _other_moment(f"materialization {id_}", found[id_], event.details)
