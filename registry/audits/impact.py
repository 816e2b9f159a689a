"""What a version went into: versions, aliases, materializations and their runs. The question of a recall."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from registry.answers import materialization_facts
from registry.records.aliases import aliases
from registry.records.catalog import resolve
from registry.records.lineage import count_descendants, newest_descendants, reached_from
from registry.records.lookup import versions_by_id
from registry.records.names import parse_reference
from registry.records.tables import Materialization, ModelVersion, RecipeInput
from registry.results import Impact


def impact(session: Session, reference: str, newest: int | None = None) -> Impact:
    """Everything that contains a version, directly or through others, also results that no merge names.

    Of descendants and materializations the ``newest`` so many, if given; ``counts`` says how many there are.
    """
    version = resolve(session, parse_reference(reference))
    nodes = newest_descendants(session, version.id, newest)
    called: dict[str, list[str]] = {}
    for key, alias in aliases(session):
        called.setdefault(str(key), []).append(alias)
    mine = _aliased(session, version, called)
    inside = reached_from(version.id)
    recipes = select(RecipeInput.recipe_digest).where(RecipeInput.version_id.in_(inside))
    touched = Materialization.recipe_digest.in_(recipes) | Materialization.merge_version_id.in_(inside)
    query = select(Materialization).where(touched).order_by(Materialization.created_at.desc()).limit(newest)
    made = list(session.scalars(query))
    merges = versions_by_id(session, (each.merge_version_id for each in made if each.merge_version_id is not None))
    return Impact(
        name=version.name,
        version=version.version,
        kind=version.kind,
        digest=version.digest,
        state=version.state,
        reason=version.reason,
        versions=[{**node.to_dict(), "aliases": mine.get(node.id, [])} for node in nodes],
        aliases=sorted(f"{reference.partition('@')[0]}@{alias}" for reference, all_ in mine.items() for alias in all_),
        materializations=[_made(each, merges) for each in made],
        counts={
            "versions": count_descendants(session, version.id),
            "materializations": session.scalar(select(func.count()).select_from(Materialization).where(touched)) or 0,
        },
    )


def _aliased(session: Session, version: ModelVersion, called: dict[str, list[str]]) -> dict[str, list[str]]:
    """The aliases of what contains a version, and its own, by reference."""
    inside = session.scalars(select(ModelVersion).where(ModelVersion.id.in_(reached_from(version.id))))
    return {each.reference: called[str(each.id)] for each in inside if str(each.id) in called}


def _made(made: Materialization, merges: dict[int, ModelVersion]) -> dict[str, Any]:
    merge = merges.get(made.merge_version_id) if made.merge_version_id is not None else None
    there = made.path is not None and (Path(made.path) / "mergestore.json").is_file()
    return {"merge": merge.reference if merge else None, "there": there, **materialization_facts(made)}
