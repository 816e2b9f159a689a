"""What exists: models, their versions and aliases. Finding them, making them, retiring them.

Every function takes a Session and leaves the transaction to its caller; those that change something need a
writing one and add their audit event to it. Neighbours: ``lookup`` (many versions at once), ``contents`` (files,
tensors, deltas), ``recipes``, ``lineage``, ``outbox``, ``leases``, ``integrity``.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ScalarSelect, func, select
from sqlalchemy.orm import InstrumentedAttribute, Session, aliased

from registry.records import events
from registry.records.columns import now
from registry.records.identity import find_store_id
from registry.records.names import Reference, near_names, parse_reference, validate_name
from registry.records.tables import Alias, Model, ModelVersion
from registry.records.told import moment
from storage.errors import Conflict, NotFound

_LARGEST = 2**31 - 1  # of the version column
_MERGED = "to combine it further, materialize it, and register the folder as a skill of its base, or as a base"
_WHAT = {"base": "base model", "skill": "skill", "merge": "merge"}


def create_model_version(
    session: Session,
    *,
    name: str,
    kind: str,
    digest: str,
    actor: str,
    licence: str | None = None,
    source: str | None = None,
    attributes: dict[str, Any] | None = None,
) -> ModelVersion:
    """Make the next version of ``name``, and the name with it when it is new.

    ``attributes`` is any JSON document. Raises Conflict when the name is taken by another kind.
    """
    at = now()
    model = _model_for(session, validate_name(name), kind, actor, at)
    newest = session.scalar(select(func.max(ModelVersion.version)).where(ModelVersion.model_id == model.id))
    version = ModelVersion(
        model=model,
        version=(newest or 0) + 1,
        digest=digest,
        licence=licence,
        source=source,
        attributes=attributes or {},
        created_at=at,
        created_by=actor,
    )
    session.add(version)
    session.flush()
    details = {"kind": kind, "digest": digest, "licence": licence, "source": source}
    details["attributes"] = events.fingerprint([version.attributes])
    details |= {"created_at": moment(at), "store": find_store_id(session)}
    events.append(session, actor=actor, action="version.create", subject=version.reference, details=details)
    return version


def find_model(session: Session, name: str) -> Model | None:
    """The model of this name, of whatever kind."""
    return session.scalar(select(Model).where(Model.name == name))


def refuse_other_kind(session: Session, name: str, kind: str) -> None:
    """Raise Conflict when ``name`` is taken by another kind: worth asking before long work begins."""
    model = find_model(session, name)
    if model is not None and model.kind != kind:
        raise Conflict(
            f"the name {name!r} is taken by a {_WHAT[model.kind]}",
            hint=f"choose another name for this {_WHAT[kind]}",
        )


def find_version_by_digest(session: Session, name: str, digest: str) -> ModelVersion | None:
    """The newest version of ``name`` with this content, in whatever state; None when there is none."""
    query = (
        select(ModelVersion)
        .join(Model)
        .where(ModelVersion.digest == digest, Model.name == name)
        .order_by(ModelVersion.version.desc())
        .limit(1)
    )
    return session.scalar(query)


def versions_of_content(session: Session, digest: str, kind: str) -> list[ModelVersion]:
    """Every version of a kind that has this content, under whatever name, oldest first."""
    query = select(ModelVersion).join(Model).where(ModelVersion.digest == digest, Model.kind == kind)
    return list(session.scalars(query.order_by(ModelVersion.id)))


def resolve(session: Session, reference: str | Reference, kinds: Collection[str] | None = None) -> ModelVersion:
    """The version that a reference means: the newest ready one when it gives neither version nor alias.

    A version or alias that is named is returned whatever its state: the caller decides. Raises NotFound for
    what does not exist (or is not of ``kinds``), Conflict when no version of a bare name is ready.
    """
    if isinstance(reference, str):
        reference = parse_reference(reference)
    model = find_model(session, reference.name)
    if model is None or (kinds is not None and model.kind not in kinds):
        raise _unknown_name(session, reference.name, model, kinds)
    if reference.version is not None:
        return _numbered(session, model, reference.version)
    if reference.alias is not None:
        return _aliased(session, model, reference.alias)
    return _newest_ready(session, model)


def look_up(session: Session, reference: str | Reference, kinds: Collection[str] | None = None) -> ModelVersion:
    """The version to look at: as ``resolve``, and of a bare name without a ready version the newest there is."""
    reference = parse_reference(reference) if isinstance(reference, str) else reference
    if reference.version is None and reference.alias is None:
        of_name = versions(session, reference.name)
        if of_name and all(version.state != "ready" for version in of_name):
            reference = Reference(reference.name, version=of_name[-1].version)
    return resolve(session, reference, kinds)


def versions(session: Session, name: str) -> list[ModelVersion]:
    """Every version of ``name``, oldest first; empty for an unknown name."""
    query = select(ModelVersion).join(Model).where(Model.name == name).order_by(ModelVersion.version)
    return list(session.scalars(query))


class Listed(NamedTuple):
    """A version as a list of many shows it; plain columns, because thousands of records would cost seconds."""

    name: str
    kind: str
    id: int
    version: int
    digest: str
    state: str
    reason: str | None
    licence: str | None
    source: str | None
    created_at: datetime
    created_by: str

    @property
    def reference(self) -> str:
        """``name@version``, as everywhere."""
        return f"{self.name}@{self.version}"


def list_versions(session: Session, kind: str | None = None) -> list[Listed]:
    """One version of each name, in order of names: the one its bare name means, else its newest."""
    chosen = func.coalesce(_newest_of(Model.id, ready=True), _newest_of(Model.id, ready=False))
    columns = (getattr(Model if field in ("name", "kind") else ModelVersion, field) for field in Listed._fields)
    query = select(*columns).select_from(Model).join(ModelVersion, ModelVersion.id == chosen)
    if kind is not None:
        query = query.where(Model.kind == kind)
    # Sorted here: databases differ in the order of text.
    return sorted(Listed(*row) for row in session.execute(query))


def ready_versions(session: Session, kind: str) -> list[ModelVersion]:
    """Every ready version of a kind, the oldest first."""
    query = select(ModelVersion).join(Model).where(Model.kind == kind, ModelVersion.state == "ready")
    return list(session.scalars(query.order_by(ModelVersion.id)))


def _newest_of(model_id: InstrumentedAttribute[int], *, ready: bool) -> ScalarSelect[int]:
    """The id of a model's newest version, asked once a model: an index answers it without a look at the others."""
    own = aliased(ModelVersion)
    query = select(own.id).where(own.model_id == model_id).order_by(own.version.desc()).limit(1)
    return (query.where(own.state == "ready") if ready else query).correlate(Model).scalar_subquery()


def _model_for(session: Session, name: str, kind: str, actor: str, at: datetime) -> Model:
    refuse_other_kind(session, name, kind)
    model = find_model(session, name)
    if model is None:
        model = Model(name=name, kind=kind, created_at=at, created_by=actor)
        session.add(model)
        session.flush()
    return model


def _unknown_name(session: Session, name: str, model: Model | None, kinds: Collection[str] | None) -> NotFound:
    wanted = "model" if kinds is None else " or ".join(_WHAT[kind] for kind in _WHAT if kind in kinds)
    if model is not None:
        hint = _MERGED if model.kind == "merge" and wanted != _WHAT["merge"] else None
        return NotFound(f"there is no {wanted} {name!r}: it is a {_WHAT[model.kind]}", hint=hint)
    query = select(Model.name) if kinds is None else select(Model.name).where(Model.kind.in_(kinds))
    if re.fullmatch("[0-9a-f]{8,64}", name):
        return NotFound(f"there is no {wanted} {name!r}", hint="of a digest, write blake3: or sha256: before it")
    near = near_names(name, session.scalars(query))
    hint = f"did you mean {' or '.join(near)}?" if near else "`mergestore list` shows what there is"
    return NotFound(f"there is no {wanted} {name!r}", hint=hint, details={"near": near})


def _numbered(session: Session, model: Model, number: int) -> ModelVersion:
    mine = ModelVersion.model_id == model.id
    if number <= _LARGEST:
        found = session.scalar(select(ModelVersion).where(mine, ModelVersion.version == number))
        if found is not None:
            return found
    newest = session.scalar(select(func.max(ModelVersion.version)).where(mine))
    there = "only version 1" if newest == 1 else f"versions 1 to {newest}"
    raise NotFound(f"{model.name} has no version {number}", hint=f"it has {there}")


def _aliased(session: Session, model: Model, alias: str) -> ModelVersion:
    query = select(ModelVersion).join(Alias, Alias.version_id == ModelVersion.id)
    found = session.scalar(query.where(Alias.model_id == model.id, Alias.alias == alias))
    if found is not None:
        return found
    there = sorted(session.scalars(select(Alias.alias).where(Alias.model_id == model.id)))
    hint = f"its aliases are {', '.join(there)}" if there else "it has no aliases"
    raise NotFound(f"{model.name} has no alias {alias!r}", hint=hint)


def _newest_ready(session: Session, model: Model) -> ModelVersion:
    query = select(ModelVersion).where(ModelVersion.model_id == model.id, ModelVersion.state == "ready")
    found = session.scalar(query.order_by(ModelVersion.version.desc()).limit(1))
    if found is not None:
        return found
    states = [f"{each.version} is {each.state}: {each.reason}" for each in versions(session, model.name)]
    raise Conflict(
        f"no version of {model.name} is ready ({'; '.join(states[-3:])})",
        hint=f"`mergestore show {model.name}` tells who took them out of use; register or merge a new version",
    )
