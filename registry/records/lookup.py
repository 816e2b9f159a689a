"""Many versions at once, in as many statements as one would take."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from registry.records.columns import Known, batches
from registry.records.names import Reference
from registry.records.tables import Alias, Model, ModelVersion

_LARGEST = 2**31 - 1  # of the version column


def find_versions(session: Session, references: Iterable[Reference]) -> dict[Reference, ModelVersion]:
    """The versions that references name, as ``catalog.resolve`` finds them one by one.

    What does not resolve is left out: ``resolve`` says why, and what was meant instead.
    """
    wanted = sorted(set(references), key=str)
    found: Known[Reference, ModelVersion] = Known()
    for batch in batches(wanted):
        found.update(_numbered(session, [each for each in batch if each.version is not None]))
        found.update(_aliased(session, [each for each in batch if each.alias is not None]))
        found.update(_newest_ready(session, [each for each in batch if each.version is None and each.alias is None]))
    return found


def versions_by_id(session: Session, ids: Iterable[int]) -> dict[int, ModelVersion]:
    """The versions of these ids; what does not exist is left out."""
    found: Known[int, ModelVersion] = Known()
    for batch in batches(sorted(set(ids))):
        rows = session.scalars(select(ModelVersion).where(ModelVersion.id.in_(batch)))
        found.update((version.id, version) for version in rows)
    return found


def _numbered(session: Session, references: list[Reference]) -> dict[Reference, ModelVersion]:
    numbers = {each.version for each in references if each.version is not None and each.version <= _LARGEST}
    if not numbers:
        return {}
    query = select(ModelVersion).join(Model).where(_named(references), ModelVersion.version.in_(sorted(numbers)))
    found = {Reference(each.name, version=each.version): each for each in session.scalars(query)}
    return _only(references, found)


def _aliased(session: Session, references: list[Reference]) -> dict[Reference, ModelVersion]:
    if not references:
        return {}
    query = (
        select(ModelVersion, Alias.alias)
        .join(Model)
        .join(Alias, (Alias.model_id == Model.id) & (Alias.version_id == ModelVersion.id))
        .where(_named(references), Alias.alias.in_(sorted({str(each.alias) for each in references})))
    )
    found = {Reference(version.name, alias=alias): version for version, alias in session.execute(query)}
    return _only(references, found)


def _newest_ready(session: Session, references: list[Reference]) -> dict[Reference, ModelVersion]:
    if not references:
        return {}
    newest = (
        select(ModelVersion.model_id, func.max(ModelVersion.version).label("version"))
        .join(Model)
        .where(_named(references), ModelVersion.state == "ready")
        .group_by(ModelVersion.model_id)
        .subquery()
    )
    own = (ModelVersion.model_id == newest.c.model_id) & (ModelVersion.version == newest.c.version)
    query = select(ModelVersion).join(newest, own)
    return {Reference(version.name): version for version in session.scalars(query)}


def _named(references: list[Reference]) -> ColumnElement[bool]:
    return Model.name.in_(sorted({each.name for each in references}))


def _only(references: list[Reference], found: dict[Reference, ModelVersion]) -> dict[Reference, ModelVersion]:
    """What was asked for: names and versions are looked up apart, which indexes answer, and so find more."""
    return {each: found[each] for each in references if each in found}
