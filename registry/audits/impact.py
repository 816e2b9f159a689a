"""What a version went into: versions, aliases, materializations and their runs. The question of a recall."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import Subquery, and_, func, select
from sqlalchemy.orm import Session

from registry.answers import materialization_facts
from registry.audits.audit import version_of
from registry.records.lineage import count_descendants, newest_descendants, reached_from
from registry.records.lookup import versions_by_id
from registry.records.pins import pin_facts, pins
from registry.records.readiness import yank_facts
from registry.records.tables import Alias, Materialization, ModelVersion, RecipeInput
from registry.results import Impact


def impact(session: Session, reference: str, newest: int | None = None) -> Impact:
    """Everything that contains a version, directly or through others, also results that no merge names.

    ``reference``: of the version, or its digest, or how that begins.
    Of descendants and materializations the ``newest`` so many, if given; ``counts`` says how many there are.
    """
    version = version_of(session, reference)
    nodes = newest_descendants(session, version.id, newest)
    mine = _aliases(session, version.id)
    touched = _touched(version.id)
    order = (touched.c.created_at.desc(), touched.c.id.desc())
    chosen = select(touched.c.id).order_by(*order).limit(newest).subquery()
    query = select(Materialization).join(chosen, chosen.c.id == Materialization.id)
    made = list(session.scalars(query.order_by(Materialization.created_at.desc(), Materialization.id.desc())))
    merges = versions_by_id(session, (each.merge_version_id for each in made if each.merge_version_id is not None))
    return Impact(
        name=version.name,
        version=version.version,
        kind=version.kind,
        digest=version.digest,
        state=version.state,
        reason=version.reason,
        yanked=yank_facts(session, version),
        pinned=pin_facts(pins(session, [version.id]).get(version.id)),
        versions=[{**node.to_dict(), "aliases": mine.get(node.id, [])} for node in nodes],
        aliases=sorted(f"{reference.partition('@')[0]}@{alias}" for reference, all_ in mine.items() for alias in all_),
        materializations=[_made(each, merges) for each in made],
        counts={
            "versions": count_descendants(session, version.id),
            "materializations": session.scalar(select(func.count()).select_from(touched)) or 0,
        },
    )


def _touched(version_id: int) -> Subquery:
    """The materializations of recipes that read a version or what came of it, and of merges that are such."""
    inside = reached_from(version_id)
    recipes = select(RecipeInput.recipe_digest).where(RecipeInput.version_id.in_(inside))
    # Two questions, each with an index of its own: one with "or" would read every row.
    told = select(Materialization.id, Materialization.created_at)
    of_recipes = told.where(Materialization.recipe_digest.in_(recipes))
    of_merges = told.where(Materialization.merge_version_id.in_(inside), Materialization.recipe_digest.not_in(recipes))
    return of_recipes.union_all(of_merges).subquery()


def _aliases(session: Session, version_id: int) -> dict[str, list[str]]:
    """The aliases of a version and of what contains it, by reference."""
    query = select(ModelVersion, Alias.alias).join(
        Alias, and_(Alias.model_id == ModelVersion.model_id, Alias.version_id == ModelVersion.id)
    )
    found: dict[str, list[str]] = {}
    for version, alias in session.execute(query.where(ModelVersion.id.in_(reached_from(version_id)))):
        found.setdefault(version.reference, []).append(alias)
    return {reference: sorted(names) for reference, names in found.items()}


def _made(made: Materialization, merges: dict[int, ModelVersion]) -> dict[str, Any]:
    merge = merges.get(made.merge_version_id) if made.merge_version_id is not None else None
    there = made.path is not None and (Path(made.path) / "mergestore.json").is_file()
    return {"merge": merge.reference if merge else None, "there": there, **materialization_facts(made)}
