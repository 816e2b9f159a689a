"""Whether the records still say what the audit chain saw when they were made.

An event keeps what matters of a record as it is, and of many rows their fingerprint (``events.fingerprint``). The
chain itself is checked apart: whoever changes records and wants to stay unseen has to rewrite all that follows.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from registry.records.attestations import attestation_row
from registry.records.evaluations import evaluation_row
from registry.records.events import fingerprint
from registry.records.parts import Rows, each_delta, each_files, each_inputs, each_statistics, each_tensors
from registry.records.pins import pin_row, pins
from registry.records.recipes import materialization_row
from registry.records.tables import (
    Alias,
    Attestation,
    AuditEvent,
    Evaluation,
    LineageEdge,
    Materialization,
    Model,
    ModelVersion,
    Recipe,
)

Finding = tuple[str, str]
"""What contradicts the chain, and where."""


def contradictions(session: Session) -> Iterator[Finding]:
    """Every record that is not as the chain tells, changed or gone."""
    told = _told(session)
    names: dict[int, str] = {}
    for version in session.scalars(select(ModelVersion).order_by(ModelVersion.id)):
        names[version.id] = version.reference
        yield from _changed_facts(version, told)
    yield from _changed_parts(session, names, told)
    yield from _changed_edges(session, names, told)
    yield from _changed_aliases(session, names, told)
    yield from _changed_pins(session, names, told)
    yield from _changed_recipes(session, told)
    yield from _changed_materializations(session, told)
    yield from _changed_evaluations(session, told)
    yield from _changed_attestations(session, told)
    yield from _changed_deliveries(session, told)


class _Event(NamedTuple):
    action: str
    subject: str
    details: dict[str, Any]


class _Told:
    """The events, oldest first; one whose details cannot be read is left to the check of the chain."""

    def __init__(self, events: Iterable[_Event]):
        self._events = list(events)
        self._by_subject: dict[tuple[str, str], list[dict[str, Any]]] = {}
        for event in self._events:
            self._by_subject.setdefault((event.action, event.subject), []).append(event.details)

    def about(self, action: str, subject: str) -> list[dict[str, Any]]:
        """What the events of one kind said of a subject."""
        return self._by_subject.get((action, subject), [])

    def all(self, *actions: str) -> Iterator[_Event]:
        """The events of some kinds."""
        return (event for event in self._events if event.action in actions)


def _told(session: Session) -> _Told:
    query = select(AuditEvent.action, AuditEvent.subject, AuditEvent.details).order_by(AuditEvent.sequence)
    rows = session.execute(query).yield_per(1000)
    return _Told(_Event(action, subject, _document(details)) for action, subject, details in rows)


def _document(details: str) -> dict[str, Any]:
    try:
        document = json.loads(details)
    except (ValueError, TypeError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _changed_facts(version: ModelVersion, told: _Told) -> Iterator[Finding]:
    for made in told.about("version.create", version.reference)[:1]:
        facts = {"kind": version.kind, "licence": version.licence, "source": version.source}
        for word, value in facts.items():
            if made.get(word) != value:
                yield f"the {word} of {version.reference} is {value!r}, but was {made.get(word)!r}", version.reference
        if made.get("attributes") != fingerprint([version.attributes]):
            yield f"the attributes of {version.reference} were changed", version.reference
    expected = "yanked" if told.about("version.yank", version.reference) else "ready"
    if version.state in ("ready", "yanked") and version.state != expected:
        yield f"{version.reference} is {version.state}, but was left {expected}", version.reference


_PARTS: tuple[tuple[str, str, Callable[[Session], Iterator[tuple[int, Rows]]]], ...] = (
    ("files", "files.add", each_files),
    ("tensors", "tensors.add", each_tensors),
    ("delta", "delta.add", each_delta),
    ("statistics", "statistics.add", each_statistics),
)


def _changed_parts(session: Session, names: Mapping[int, str], told: _Told) -> Iterator[Finding]:
    for word, action, each in _PARTS:
        found = {version_id: fingerprint(rows) for version_id, rows in each(session)}
        nothing = fingerprint([])
        for version_id, reference in names.items():
            seen = told.about(action, reference)
            recorded = seen[-1].get("rows") if seen else nothing
            if found.get(version_id, nothing) != recorded:
                yield f"the record of the {word} of {reference} was changed", reference


def _changed_edges(session: Session, names: Mapping[int, str], told: _Told) -> Iterator[Finding]:
    found: dict[str, set[tuple[str, str]]] = {}
    for edge in session.scalars(select(LineageEdge)):
        child, parent = (names.get(id_, f"version {id_}") for id_ in (edge.child_version_id, edge.parent_version_id))
        found.setdefault(child, set()).add((parent, edge.role))
    seen: dict[str, set[tuple[str, str]]] = {}
    for event in told.all("lineage.add"):
        parents = event.details.get("parents", [])
        seen.setdefault(event.subject, set()).update((each.get("parent"), each.get("role")) for each in parents)
    for child in sorted(found.keys() | seen.keys()):
        if found.get(child, set()) != seen.get(child, set()):
            yield f"the lineage of {child} was changed", child


def _changed_aliases(session: Session, names: Mapping[int, str], told: _Told) -> Iterator[Finding]:
    query = select(Model.name, Alias.alias, Alias.version_id).join(Model, Model.id == Alias.model_id)
    found = {f"{name}@{alias}": names.get(id_) for name, alias, id_ in session.execute(query)}
    seen: dict[str, str | None] = {}
    for event in told.all("alias.set", "alias.remove"):
        alias = f"{event.subject.partition('@')[0]}@{event.details.get('alias')}"
        seen[alias] = event.subject if event.action == "alias.set" else None
    for alias in sorted(found.keys() | seen.keys()):
        if found.get(alias) != seen.get(alias):
            yield f"alias {alias} means {found.get(alias)}, but was left at {seen.get(alias)}", alias


def _changed_pins(session: Session, names: Mapping[int, str], told: _Told) -> Iterator[Finding]:
    found = {names.get(id_, f"version {id_}"): fingerprint([pin_row(pin)]) for id_, pin in pins(session).items()}
    seen: dict[str, Any] = {}
    for event in told.all("pin.set", "pin.remove"):
        seen[event.subject] = event.details.get("row") if event.action == "pin.set" else None
    for reference in sorted(found.keys() | seen.keys()):
        if found.get(reference) != seen.get(reference):
            yield f"the pin of {reference} was changed", reference


def _changed_recipes(session: Session, told: _Told) -> Iterator[Finding]:
    found = dict.fromkeys(session.scalars(select(Recipe.digest)), fingerprint([]))
    found |= {digest: fingerprint(rows) for digest, rows in each_inputs(session) if digest in found}
    seen = {event.subject: event.details.get("inputs") for event in told.all("recipe.record")}
    for digest in sorted(found.keys() | seen.keys()):
        if digest not in found:
            yield f"recipe {digest} was recorded, but has no record any more", digest
        elif found[digest] != seen.get(digest):
            yield f"the record of the inputs of recipe {digest} was changed", digest


def _changed_materializations(session: Session, told: _Told) -> Iterator[Finding]:
    found = {made.id: fingerprint([materialization_row(made)]) for made in session.scalars(select(Materialization))}
    seen = {
        str(event.details.get("materialization")): event.details.get("row")
        for event in told.all("materialization.record")
    }
    for id_ in sorted(found.keys() | seen.keys()):
        if id_ not in found:
            yield f"materialization {id_} was recorded, but has no record any more", id_
        elif found[id_] != seen.get(id_):
            yield f"the record of materialization {id_} was changed", id_


def _changed_evaluations(session: Session, told: _Told) -> Iterator[Finding]:
    found = {record.id: fingerprint([evaluation_row(record)]) for record in session.scalars(select(Evaluation))}
    seen = {event.details.get("evaluation"): event for event in told.all("evaluation.add")}
    for id_ in sorted({*found, *(id_ for id_ in seen if isinstance(id_, int))}):
        event = seen.get(id_)
        where = event.subject if event is not None else f"evaluation {id_}"
        if id_ not in found:
            yield f"evaluation {id_} of {where} was recorded, but has no record any more", where
        elif event is None or found[id_] != event.details.get("row"):
            yield f"the record of evaluation {id_} was changed", where


def _changed_attestations(session: Session, told: _Told) -> Iterator[Finding]:
    found = {row.id: fingerprint([attestation_row(row)]) for row in session.scalars(select(Attestation))}
    events = {event.details.get("attestation"): event for event in told.all("attestation.add")}
    seen = {id_: event for id_, event in events.items() if isinstance(id_, int)}
    for id_ in sorted(found.keys() | seen.keys()):
        if id_ not in found:
            yield f"attestation {id_} was recorded, but has no record any more", seen[id_].subject
        elif id_ not in seen or found[id_] != seen[id_].details.get("row"):
            yield f"the record of attestation {id_} was changed", f"attestation {id_}"


def _changed_deliveries(session: Session, told: _Told) -> Iterator[Finding]:
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
