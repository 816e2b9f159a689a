"""From where versions were imported: what a bundle told of each, kept with it as one of its attributes.

It is what the other store said: who made a version there, when, and what came out of a merge. What is recorded of this
store's own doing stands in the usual places.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from registry.records.tables import ModelVersion

IMPORTED = "imported"
"""The attribute: {bundle, exported {by, at, store}, was, made {by, at, store}, outputs}."""

MEASURED = "@measured"
"""The detail of an imported score, {by, at, store}: no key that a person gives a detail begins so."""


def came_from(version: ModelVersion) -> dict[str, Any] | None:
    """From where a version was imported; None for one that was made in this store."""
    return version.attributes.get(IMPORTED)


def imported_outputs(session: Session, recipe_digest: str) -> set[str]:
    """What came out of a merge of this recipe where it was imported from."""
    merges = session.scalars(select(ModelVersion).where(ModelVersion.digest == recipe_digest))
    told = (output for merge in merges for output in (came_from(merge) or {}).get("outputs", ()))
    return {output["output_digest"] for output in told if output["recipe_digest"] == recipe_digest}
