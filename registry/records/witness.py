"""Whether the records still say what the audit chain saw when they were made.

An event keeps what matters of a record as it is, and of many rows their fingerprint (``events.fingerprint``). The
chain itself is checked apart: whoever changes records and wants to stay unseen has to rewrite all that follows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from registry.records.alias_moves import changed_aliases
from registry.records.attestations import attestation_row
from registry.records.evaluations import evaluation_row
from registry.records.events import fingerprint
from registry.records.origins import changed_origins
from registry.records.outbox import changed_messages
from registry.records.parts import Rows, each_delta, each_files, each_inputs, each_statistics, each_tensors
from registry.records.pins import pin_row, pins
from registry.records.quota import changed_quota
from registry.records.readiness import UNYANK, YANK
from registry.records.recipes import materialization_row
from registry.records.tables import (
    Attestation,
    Evaluation,
    LineageEdge,
    Materialization,
    ModelVersion,
    Recipe,
)
from registry.records.told import Event, Finding, Told


def contradictions(session: Session) -> Iterator[Finding]:
    """Every record that is not as the chain tells, changed or gone."""
    told = Told(session)
    names: dict[int, str] = {}
    made, left = told.last("version.create"), told.last(YANK, UNYANK)
    for version in session.scalars(select(ModelVersion).order_by(ModelVersion.id)).yield_per(1000):
        names[version.id] = version.reference
        yield from _changed_facts(version, made)
        yield from _changed_state(version, left)
    yield from changed_origins(session, names, told, made)
    del made, left  # the largest of what is held
    yield from _changed_parts(session, names, told)
    yield from _changed_edges(session, names, told)
    yield from changed_aliases(session, names, told)
    yield from _changed_pins(session, names, told)
    yield from _changed_recipes(session, told)
    yield from _changed_materializations(session, told)
    yield from _changed_evaluations(session, told)
    yield from _changed_attestations(session, told)
    yield from _changed_deliveries(session, told)
    yield from changed_messages(session, told)
    yield from changed_quota(session, told)


def _changed_facts(version: ModelVersion, made: Mapping[str, Event]) -> Iterator[Finding]:
    if (event := made.get(version.reference)) is None:
        return
    facts = {"kind": version.kind, "licence": version.licence, "source": version.source}
    for word, value in facts.items():
        if event.details.get(word) != value:
            what = f"the {word} of {version.reference} is {value!r}, but was {event.details.get(word)!r}"
            yield what, version.reference
    if event.details.get("attributes") != fingerprint([version.attributes]):
        yield f"the attributes of {version.reference} were changed", version.reference


def _changed_state(version: ModelVersion, left: Mapping[str, Event]) -> Iterator[Finding]:
    event = left.get(version.reference)
    state, reason = ("ready", None)
    if event is not None and event.action == YANK:
        state, reason = "yanked", event.details.get("reason")
    if version.state != state:
        yield f"{version.reference} is {version.state}, but was left {state}", version.reference
    elif version.reason != reason:
        yield f"{version.reference} is {state} for {version.reason!r}, but was for {reason!r}", version.reference


_PARTS: tuple[tuple[str, str, Callable[[Session], Iterator[tuple[int, Rows]]]], ...] = (
    ("files", "files.add", each_files),
    ("tensors", "tensors.add", each_tensors),
    ("delta", "delta.add", each_delta),
    ("statistics", "statistics.add", each_statistics),
)


def _changed_parts(session: Session, names: Mapping[int, str], told: Told) -> Iterator[Finding]:
    for word, action, each in _PARTS:
        found = {version_id: fingerprint(rows) for version_id, rows in each(session)}
        seen = {event.subject: event.details.get("rows") for event in told.all(action)}
        nothing = fingerprint([])
        for version_id, reference in names.items():
            if found.get(version_id, nothing) != seen.get(reference, nothing):
                yield f"the record of the {word} of {reference} was changed", reference


def _changed_edges(session: Session, names: Mapping[int, str], told: Told) -> Iterator[Finding]:
    found: dict[str, set[tuple[str, str]]] = {}
    edges = select(LineageEdge.child_version_id, LineageEdge.parent_version_id, LineageEdge.role)
    for edge in session.execute(edges).yield_per(1000):
        child, parent = (names.get(id_, f"version {id_}") for id_ in (edge.child_version_id, edge.parent_version_id))
        found.setdefault(child, set()).add((parent, edge.role))
    seen: dict[str, set[tuple[str, str]]] = {}
    for event in told.all("lineage.add"):
        parents = event.details.get("parents", [])
        seen.setdefault(event.subject, set()).update((each.get("parent"), each.get("role")) for each in parents)
    for child in sorted(found.keys() | seen.keys()):
        if found.get(child, set()) != seen.get(child, set()):
            yield f"the lineage of {child} was changed", child


def _changed_pins(session: Session, names: Mapping[int, str], told: Told) -> Iterator[Finding]:
    found = {names.get(id_, f"version {id_}"): fingerprint([pin_row(pin)]) for id_, pin in pins(session).items()}
    seen: dict[str, Any] = {}
    for event in told.all("pin.set", "pin.remove"):
        seen[event.subject] = event.details.get("row") if event.action == "pin.set" else None
    for reference in sorted(found.keys() | seen.keys()):
        if found.get(reference) != seen.get(reference):
            yield f"the pin of {reference} was changed", reference


def _changed_recipes(session: Session, told: Told) -> Iterator[Finding]:
    found = dict.fromkeys(session.scalars(select(Recipe.digest)), fingerprint([]))
    found |= {digest: fingerprint(rows) for digest, rows in each_inputs(session) if digest in found}
    seen = {event.subject: event.details.get("inputs") for event in told.all("recipe.record")}
    for digest in sorted(found.keys() | seen.keys()):
        if digest not in found:
            yield f"recipe {digest} was recorded, but has no record any more", digest
        elif found[digest] != seen.get(digest):
            yield f"the record of the inputs of recipe {digest} was changed", digest


def _changed_materializations(session: Session, told: Told) -> Iterator[Finding]:
    rows = session.execute(select(*Materialization.__table__.columns)).yield_per(1000)  # as records they take long
    found = {made.id: fingerprint([materialization_row(made)]) for made in rows}
    seen = {
        str(event.details.get("materialization")): event.details.get("row")
        for event in told.all("materialization.record")
    }
    for id_ in sorted(found.keys() | seen.keys()):
        if id_ not in found:
            yield f"materialization {id_} was recorded, but has no record any more", id_
        elif found[id_] != seen.get(id_):
            yield f"the record of materialization {id_} was changed", id_


def _changed_evaluations(session: Session, told: Told) -> Iterator[Finding]:
    found = {record.id: fingerprint([evaluation_row(record)]) for record in session.scalars(select(Evaluation))}
    seen = {event.details.get("evaluation"): event for event in told.all("evaluation.add")}
    for id_ in sorted({*found, *(id_ for id_ in seen if isinstance(id_, int))}):
        event = seen.get(id_)
        where = event.subject if event is not None else f"evaluation {id_}"
        if id_ not in found:
            yield f"evaluation {id_} of {where} was recorded, but has no record any more", where
        elif event is None or found[id_] != event.details.get("row"):
            yield f"the record of evaluation {id_} was changed", where


def _changed_attestations(session: Session, told: Told) -> Iterator[Finding]:
    found = {row.id: fingerprint([attestation_row(row)]) for row in session.scalars(select(Attestation))}
    events = {event.details.get("attestation"): event for event in told.all("attestation.add")}
    seen = {id_: event for id_, event in events.items() if isinstance(id_, int)}
    for id_ in sorted(found.keys() | seen.keys()):
        if id_ not in found:
            yield f"attestation {id_} was recorded, but has no record any more", seen[id_].subject
        elif id_ not in seen or found[id_] != seen[id_].details.get("row"):
            yield f"the record of attestation {id_} was changed", f"attestation {id_}"


def _changed_deliveries(session: Session, told: Told) -> Iterator[Finding]:
    query = select(Materialization.id, Materialization.mlflow_run_id, Materialization.mlflow_version)
    seen = {
        str(event.details.get("materialization")): (
            event.details.get("mlflow_run_id"),
            event.details.get("mlflow_version"),
        )
        for event in told.all("provenance.deliver")
    }
    for id_, run, version in session.execute(query):
        if (run, version) != seen.get(id_, (None, None)):
            yield f"the record of where materialization {id_} stands in MLflow was changed", id_
