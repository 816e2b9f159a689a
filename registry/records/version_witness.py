"""Whether each version, with all that it is made of, is as the audit chain saw it; so many of them at a time.

The chain is asked about the versions that there are. One that is gone is missed because then it has told of more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Row, select
from sqlalchemy.orm import Session

from registry.records.events import fingerprint
from registry.records.origins import changed_identity, other_moment, other_origin
from registry.records.parts import Rows, Span, each_delta, each_files, each_statistics, each_tensors
from registry.records.pins import pin_row, pins
from registry.records.readiness import UNYANK, YANK
from registry.records.tables import LineageEdge, Model, ModelVersion, Statistics
from registry.records.told import Event, Finding, Told, newest

_CREATE = "version.create"
_AT_ONCE = 500  # that one statement may name
_NOTHING = fingerprint([])

Versions = Sequence[Row[Any]]
About = Mapping[str, Sequence[Event]]
"""What the chain tells of each version, by its reference."""


def changed_versions(session: Session, told: Told) -> Iterator[Finding]:
    """Every version that is not as it was made and left, or is gone; and whether the store is theirs."""
    met, stores = 0, set[str]()
    for versions in _each(session):
        about = told.about(_reference(version) for version in versions)
        span = (versions[0].id, versions[-1].id)
        names = {version.id: _reference(version) for version in versions}
        for version in versions:
            yield from _changed_version(version, about[names[version.id]])
        yield from _changed_parts(session, span, names, about)
        yield from _changed_moments(session, span, names, about)
        yield from _changed_edges(session, span, names, about)
        yield from _changed_pins(session, names, about)
        made = [event for name in names.values() for event in about[name] if event.action == _CREATE]
        met += len(made)
        stores |= {str(event.details["store"]) for event in made if event.details.get("store") is not None}
    if met != told.count(_CREATE):
        yield from _gone(session, told)
    yield from changed_identity(session, stores, told)


def _each(session: Session) -> Iterator[Versions]:
    version, model = ModelVersion.__table__.c, Model.__table__.c
    columns = (*version, model.name, model.kind, model.created_by.label("first_by"), model.created_at.label("first_at"))
    query = select(*columns).join_from(ModelVersion.__table__, Model.__table__).order_by(version.id).limit(_AT_ONCE)
    last = None
    while found := session.execute(query if last is None else query.where(version.id > last)).all():
        yield found
        last = found[-1].id


def _reference(version: Row[Any]) -> str:
    return f"{version.name}@{version.version}"


def _changed_version(version: Row[Any], events: Sequence[Event]) -> Iterator[Finding]:
    reference, made = _reference(version), newest(events, _CREATE)
    seen = made.details.get("digest") if made is not None else None
    if seen != version.digest:
        yield f"{reference} has digest {version.digest}, but was made with {seen}", reference
    if made is not None:
        yield from _changed_facts(version, reference, made)
    yield from _changed_state(version, reference, newest(events, YANK, UNYANK))


def _changed_facts(version: Row[Any], reference: str, made: Event) -> Iterator[Finding]:
    for word in ("kind", "licence", "source"):
        value, seen = getattr(version, word), made.details.get(word)
        if value != seen:
            yield f"the {word} of {reference} is {value!r}, but was {seen!r}", reference
    if made.details.get("attributes") != fingerprint([version.attributes]):
        yield f"the attributes of {reference} were changed", reference
    yield from other_origin(reference, version.created_by, version.created_at, made)
    if version.version == 1:  # a name is as old as its first version
        yield from other_origin(version.name, version.first_by, version.first_at, made)


def _changed_state(version: Row[Any], reference: str, left: Event | None) -> Iterator[Finding]:
    state, reason = ("ready", None)
    if left is not None and left.action == YANK:
        state, reason = "yanked", left.details.get("reason")
    if version.state != state:
        yield f"{reference} is {version.state}, but was left {state}", reference
    elif version.reason != reason:
        yield f"{reference} is {state} for {version.reason!r}, but was for {reason!r}", reference


_PARTS: tuple[tuple[str, str, Callable[[Session, Span], Iterator[tuple[int, Rows]]]], ...] = (
    ("files", "files.add", each_files),
    ("tensors", "tensors.add", each_tensors),
    ("delta", "delta.add", each_delta),
    ("statistics", "statistics.add", each_statistics),
)


def _changed_parts(session: Session, span: Span, names: Mapping[int, str], about: About) -> Iterator[Finding]:
    for word, action, each in _PARTS:
        found = {version_id: fingerprint(rows) for version_id, rows in each(session, span)}
        for version_id, reference in names.items():
            event = newest(about[reference], action)
            if found.get(version_id, _NOTHING) != (event.details.get("rows") if event is not None else _NOTHING):
                yield f"the record of the {word} of {reference} was changed", reference


def _changed_moments(session: Session, span: Span, names: Mapping[int, str], about: About) -> Iterator[Finding]:
    query = select(Statistics.version_id, Statistics.digest, Statistics.created_at)
    for version_id, digest, at in session.execute(query.where(Statistics.version_id.between(*span))):
        reference = names.get(version_id, "")  # of a version that is gone
        for event in about.get(reference, ()):
            if event.action == "statistics.add" and event.details.get("statistics") == digest:
                yield from other_moment(f"{reference}: statistics {digest}", at, event.details)


def _changed_edges(session: Session, span: Span, names: Mapping[int, str], about: About) -> Iterator[Finding]:
    query = select(LineageEdge.child_version_id, Model.name, ModelVersion.version, LineageEdge.role)
    query = query.join(ModelVersion, ModelVersion.id == LineageEdge.parent_version_id).join(ModelVersion.model)
    found: dict[int, set[tuple[str, str]]] = {}
    for child, name, number, role in session.execute(query.where(LineageEdge.child_version_id.between(*span))):
        found.setdefault(child, set()).add((f"{name}@{number}", role))
    for version_id, reference in names.items():
        if found.get(version_id, set()) != set(_parents(about[reference])):
            yield f"the lineage of {reference} was changed", reference


def _parents(events: Sequence[Event]) -> Iterator[tuple[str, str]]:
    for event in events:
        if event.action == "lineage.add":
            for each in event.details.get("parents", []):
                yield str(each.get("parent")), str(each.get("role"))


def _changed_pins(session: Session, names: Mapping[int, str], about: About) -> Iterator[Finding]:
    found = {version_id: fingerprint([pin_row(pin)]) for version_id, pin in pins(session, names).items()}
    for version_id, reference in names.items():
        event = newest(about[reference], "pin.set", "pin.remove")
        seen = event.details.get("row") if event is not None and event.action == "pin.set" else None
        if found.get(version_id) != seen:
            yield f"the pin of {reference} was changed", reference


def _gone(session: Session, told: Told) -> Iterator[Finding]:
    query = select(Model.name, ModelVersion.version).join(ModelVersion.model)
    there = {f"{name}@{number}" for name, number in session.execute(query)}
    for subject in sorted({str(event.subject) for event in told.all(_CREATE)} - there):
        yield f"{subject} was made, but has no record any more", subject
