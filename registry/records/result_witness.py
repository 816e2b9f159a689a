"""Whether recipes, and what came of them, are on record and told elsewhere as the audit chain saw it.

The chain is followed, so many events at a time, and the records are held against it; what it never told of is found
where there are more of them. Where a result stands elsewhere is what the last event says of it: those that differ from
what was said so far wait for a later one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Row, func, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from registry.records.events import fingerprint
from registry.records.origins import other_moment
from registry.records.outbox import MATERIALIZATION, message_fingerprint
from registry.records.parts import each_inputs
from registry.records.recipes import materialization_row
from registry.records.tables import Materialization, Outbox, Recipe
from registry.records.told import Event, Finding, Told

_RECIPE, _MADE, _DELIVERED = "recipe.record", "materialization.record", "provenance.deliver"
_NOTHING = fingerprint([])


def changed_recipes(session: Session, told: Told) -> Iterator[Finding]:
    """Recipes that are gone, were never recorded, or have another method, moment or other inputs."""
    met = 0
    for part in told.parts(_RECIPE):
        digests = [event.subject for event in part]
        query = select(Recipe.digest, Recipe.method, Recipe.created_at).where(Recipe.digest.in_(digests))
        there = {row.digest: row for row in session.execute(query)}
        inputs = {digest: fingerprint(rows) for digest, rows in each_inputs(session, digests)}
        met += len(there)
        for event in part:
            digest, seen = event.subject, event.details
            if (recipe := there.get(digest)) is None:
                yield f"recipe {digest} was recorded, but has no record any more", str(digest)
                continue
            if inputs.get(digest, _NOTHING) != seen.get("inputs"):
                yield f"the record of the inputs of recipe {digest} was changed", digest
            if recipe.method != seen.get("method"):
                yield f"the method of recipe {digest} is {recipe.method}, but was {seen.get('method')}", digest
            yield from other_moment(digest, recipe.created_at, seen)
    if met != session.scalar(select(func.count()).select_from(Recipe)):
        for digest in _more(session, Recipe.digest, {event.subject for event in told.all(_RECIPE)}):
            yield f"the record of recipe {digest} was changed", digest


def changed_results(session: Session, told: Told) -> Iterator[Finding]:
    """Materializations that are gone, were never recorded, were changed or stand elsewhere than said; their messages.

    What was delivered is not sent again, so the text of such a message does not matter any more.
    """
    met = messages = 0
    elsewhere, unsettled = set[str](), set[str]()
    for part in told.parts(_MADE, _DELIVERED):
        ids = sorted({_id(event) for event in part})
        columns = Materialization.__table__.c  # as records they take long
        there = {made.id: made for made in session.execute(select(*columns).where(columns.id.in_(ids)))}
        waiting = _messages(session, ids)
        for event in part:
            id_, run = _id(event), event.details.get("mlflow_run_id")
            made, version = there.get(id_), event.details.get("mlflow_version")
            _note(elsewhere, id_, made is not None and (made.mlflow_run_id, made.mlflow_version) != (run, version))
            if id_ in waiting and (event.action == _DELIVERED or event.details.get("message") is not None):
                _note(unsettled, id_, (waiting[id_] is None) != (event.action == _DELIVERED))
            if event.action == _MADE:
                met, messages = met + (id_ in there), messages + (id_ in waiting)
                yield from _changed_result(event, id_, made)
                yield from _changed_message(event, id_, waiting)
    for id_ in sorted(elsewhere):
        yield f"the record of where materialization {id_} stands in MLflow was changed", id_
    for id_ in sorted(unsettled):
        yield f"what is told of materialization {id_} is wrongly said to be delivered, or not to be", id_
    yield from _never_recorded(session, told, met, messages)


def _id(event: Event) -> str:
    return str(event.details.get("materialization"))


def _note(noted: set[str], id_: str, wrong: bool) -> None:
    (noted.add if wrong else noted.discard)(id_)


def _messages(session: Session, ids: Sequence[str]) -> dict[str, str | None]:
    """The messages about these materializations: what the chain keeps of those that wait, None for what was sent."""
    these = (Outbox.kind == MATERIALIZATION, Outbox.key.in_(ids))
    found: dict[str, str | None] = dict.fromkeys(session.scalars(select(Outbox.key).where(*these)))
    pending = session.scalars(select(Outbox).where(*these, Outbox.delivered_at.is_(None)))
    return found | {message.key: message_fingerprint(message) for message in pending}


def _changed_result(event: Event, id_: str, made: Row[Any] | None) -> Iterator[Finding]:
    if made is None:
        yield f"materialization {id_} was recorded, but has no record any more", id_
        return
    if fingerprint([materialization_row(made)]) != event.details.get("row"):
        yield f"the record of materialization {id_} was changed", id_
    yield from other_moment(f"materialization {id_}", made.created_at, event.details)


def _changed_message(event: Event, id_: str, waiting: dict[str, str | None]) -> Iterator[Finding]:
    seen = event.details.get("message")
    if seen is not None and id_ not in waiting:
        yield f"what is to be told of materialization {id_} is gone", id_
    elif seen is not None and waiting[id_] not in (None, seen):
        yield f"what is to be told of materialization {id_} was changed", id_


def _never_recorded(session: Session, told: Told, met: int, messages: int) -> Iterator[Finding]:
    key = Outbox.key
    about = select(func.count()).where(Outbox.kind == MATERIALIZATION)
    if met == session.scalar(select(func.count()).select_from(Materialization)) and messages == session.scalar(about):
        return
    recorded = {_id(event) for event in told.all(_MADE)}
    for id_ in _more(session, Materialization.id, recorded):
        yield f"the record of materialization {id_} was changed", id_
    for id_ in sorted({*session.scalars(select(key).where(Outbox.kind == MATERIALIZATION))} - recorded):
        yield f"a message tells of materialization {id_}, which was never recorded", id_


def _more(session: Session, column: InstrumentedAttribute[str], told: set[str]) -> list[str]:
    """Of the keys of all records of a kind those that the chain never told of."""
    return sorted({*session.scalars(select(column))} - told)
