"""Whether aliases, and the history of their moves, are as the audit chain saw them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from registry.records.lookup import versions_by_id
from registry.records.tables import Alias, AliasEvent, Model
from registry.records.told import Event, Finding, Told, moment


class _Move(NamedTuple):
    """One move of an alias: what it means after it and meant before, by whom, when; None for a version: none."""

    version: str | None
    previous: str | None
    by: str
    at: str | None

    def is_as(self, seen: _Move) -> bool:
        """Whether this is what the chain saw; events of stores older than schema 0003 tell no moment."""
        return self[:3] == seen[:3] and seen.at in (None, self.at)


Moves = dict[str, list[_Move]]


def changed_aliases(session: Session, told: Told) -> Iterator[Finding]:
    """Every alias that means another version than it was left at, or has another history."""
    seen = _seen(told)
    yield from _astray(session, seen)
    found = _found(session)
    for alias in sorted(found.keys() | seen.keys()):
        mine, theirs = found.get(alias, []), seen.get(alias, [])
        if len(mine) != len(theirs) or not all(each.is_as(other) for each, other in zip(mine, theirs, strict=True)):
            yield f"the history of alias {alias} was changed", alias


def _astray(session: Session, seen: Moves) -> Iterator[Finding]:
    query = select(Model.name, Alias).join(Model, Model.id == Alias.model_id)
    found = {f"{name}@{alias.alias}": alias for name, alias in session.execute(query)}
    names = _names(session, {record.version_id for record in found.values()})
    for alias in sorted(found.keys() | seen.keys()):
        record, left = found.get(alias), seen[alias][-1] if alias in seen else None
        means = names.get(record.version_id) if record is not None else None
        if means != (left.version if left is not None else None):
            yield f"alias {alias} means {means}, but was left at {left.version if left else None}", alias
        elif record is not None and left is not None:
            mine = _Move(means, left.previous, record.updated_by, moment(record.updated_at))
            if not mine.is_as(left):
                yield f"alias {alias} is said to be set by {mine.by} at {mine.at}, but was not", alias


def _found(session: Session) -> Moves:
    columns = (AliasEvent.alias, AliasEvent.version_id, AliasEvent.previous_version_id, AliasEvent.actor, AliasEvent.at)
    query = select(Model.name, *columns).join(Model, Model.id == AliasEvent.model_id).order_by(AliasEvent.id)
    moves: Moves = {}
    names = _names(session, _versions(session))
    for name, alias, version, previous, by, at in session.execute(query):
        move = _Move(_named(names, version), _named(names, previous), by, moment(at))
        moves.setdefault(f"{name}@{alias}", []).append(move)
    return moves


def _versions(session: Session) -> set[int]:
    """What aliases have ever meant."""
    query = select(AliasEvent.version_id).union(select(AliasEvent.previous_version_id))
    return {version_id for version_id in session.scalars(query) if version_id is not None}


def _names(session: Session, version_ids: Iterable[int]) -> dict[int, str]:
    return {id_: version.reference for id_, version in versions_by_id(session, version_ids).items()}


def _named(names: Mapping[int, str], version_id: int | None) -> str | None:
    return None if version_id is None else names.get(version_id, f"version {version_id}")


def _seen(told: Told) -> Moves:
    moves: Moves = {}
    for event in told.all("alias.set", "alias.remove"):
        name = event.subject.partition("@")[0]
        moves.setdefault(f"{name}@{event.details.get('alias')}", []).append(_told_move(name, event))
    return moves


def _told_move(name: str, event: Event) -> _Move:
    if event.action == "alias.remove":
        return _Move(None, event.subject, event.actor, event.details.get("at"))
    previous = event.details.get("previous")
    before = f"{name}@{previous}" if previous is not None else None
    return _Move(event.subject, before, event.actor, event.details.get("at"))
