"""Aliases: movable names for one version of a model (``math@prod``), and the history of their moves."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session, aliased

from registry.records import events
from registry.records.catalog import find_model
from registry.records.columns import now
from registry.records.names import validate_alias, validate_name
from registry.records.readiness import refuse_unready
from registry.records.tables import Alias, AliasEvent, ModelVersion
from registry.records.told import moment
from storage.errors import NotFound


def set_alias(session: Session, version: ModelVersion, alias: str, *, actor: str) -> Alias:
    """Let ``alias`` mean this version, whatever it meant before; the move is kept.

    Setting it to what it means already changes nothing. Raises Conflict for a version that is not ready.
    """
    validate_alias(alias)
    refuse_unready(session, version)
    record = session.get(Alias, (version.model_id, alias))
    if record is not None and record.version_id == version.id:
        return record
    previous = record.version_id if record else None
    if record is None:
        record = Alias(model_id=version.model_id, alias=alias, version_id=version.id, updated_by=actor)
        session.add(record)
    at = now()
    record.version_id, record.updated_at, record.updated_by = version.id, at, actor
    _remember(session, version.model_id, alias, version.id, previous, actor, at)
    details = {"alias": alias, "previous": _number(session, previous), "at": moment(at)}
    events.append(session, actor=actor, action="alias.set", subject=version.reference, details=details)
    return record


def remove_alias(session: Session, name: str, alias: str, *, actor: str) -> None:
    """Take an alias away; NotFound when there is no such alias."""
    validate_name(name)
    validate_alias(alias)
    model = find_model(session, name)
    record = session.get(Alias, (model.id, alias)) if model else None
    if model is None or record is None:
        raise NotFound(f"{name} has no alias {alias!r}", hint=f"`mergestore show {name}` lists its aliases")
    version = session.get_one(ModelVersion, record.version_id)
    session.delete(record)
    at = now()
    _remember(session, model.id, alias, None, version.id, actor, at)
    details = {"alias": alias, "at": moment(at)}
    events.append(session, actor=actor, action="alias.remove", subject=version.reference, details=details)


def aliases(session: Session, model_id: int | None = None) -> list[tuple[int, str]]:
    """(version id, alias) of one model or of all, sorted by alias."""
    query = select(Alias.version_id, Alias.alias)
    if model_id is not None:
        query = query.where(Alias.model_id == model_id)
    return sorted(((row[0], row[1]) for row in session.execute(query)), key=lambda pair: pair[1])


def alias_history(session: Session, model_id: int) -> list[dict[str, object]]:
    """Every move of a model's aliases, oldest first; ``version`` None means that it was removed."""
    after, before = aliased(ModelVersion), aliased(ModelVersion)
    query = (
        select(AliasEvent.alias, after.version, before.version, AliasEvent.at, AliasEvent.actor)
        .outerjoin(after, after.id == AliasEvent.version_id)
        .outerjoin(before, before.id == AliasEvent.previous_version_id)
        .where(AliasEvent.model_id == model_id)
        .order_by(AliasEvent.id)
    )
    return [
        {"alias": alias, "version": version, "previous": previous, "at": at.isoformat(), "actor": actor}
        for alias, version, previous, at, actor in session.execute(query)
    ]


def _number(session: Session, version_id: int | None) -> int | None:
    return None if version_id is None else session.get_one(ModelVersion, version_id).version


def _remember(
    session: Session, model_id: int, alias: str, version_id: int | None, previous: int | None, actor: str, at: datetime
) -> None:
    session.add(
        AliasEvent(
            model_id=model_id, alias=alias, version_id=version_id, previous_version_id=previous, actor=actor, at=at
        )
    )
