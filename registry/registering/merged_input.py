"""Registering what was merged before: the lineage of a published folder goes on in the version made of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from registry.audits.folder import check_told
from registry.directories import read_manifest
from registry.publishing import MANIFEST
from registry.records.lineage import add_lineage
from registry.records.lineage import parents as recorded_parents
from registry.records.tables import ModelVersion
from storage.errors import IntegrityFailure


def link_merge(session: Session, version: ModelVersion, folder: Path, content: str, *, actor: str) -> None:
    """Link a new version to the merge that ``folder`` was materialized from, as its own manifest tells.

    ``content`` is the model digest of the folder's weights: a manifest that speaks of other weights tells nothing.
    A merge without a name is represented by its inputs, as far as this store knows them.
    """
    if not (folder / MANIFEST).is_file():
        return
    try:
        document = read_manifest(folder)
        check_told(folder, document)
    except IntegrityFailure:
        return
    if document["output_digest"] != content:
        return
    named = _known(session, document["recipe_digest"])
    if named is None and isinstance(adapter := document.get("adapter"), dict):
        named = _known(session, str(adapter.get("merge_recipe_digest")))
    if named is None and document.get("merge"):  # one of the tasks of a merge has a recipe of its own
        named = _known(session, document["merge"]["digest"])
    parents = {(named.id, "merge"): named} if named else _inputs(session, document["recipe"])
    told = {(parent.id, role) for parent, role in recorded_parents(session, version.id)}
    parents = {key: parent for key, parent in parents.items() if key not in told}
    older = [(parent, role) for (id_, role), parent in sorted(parents.items()) if id_ < version.id]
    if older:
        add_lineage(session, version, older, actor=actor)


def _inputs(session: Session, recipe: dict[str, Any]) -> dict[tuple[int, str], ModelVersion]:
    digests = [(recipe["base"], "base"), *((term["skill"], "skill") for term in recipe["terms"])]
    digests += [(recipe["head"], "head")] if recipe.get("head") else []
    found = ((_known(session, digest), role) for digest, role in digests)
    return {(version.id, role): version for version, role in found if version is not None}


def _known(session: Session, digest: str) -> ModelVersion | None:
    query = select(ModelVersion).where(ModelVersion.digest == digest).order_by(ModelVersion.id)
    return session.scalars(query).first()
