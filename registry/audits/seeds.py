"""Which merges a seed has a part in: as a parameter, or in a skill's mask, at any level of what they are made of."""

from __future__ import annotations

from sqlalchemy import JSON, Select, or_, select, type_coerce, union

from registry.records.lineage import reached_from
from registry.records.tables import Delta, Materialization, ModelVersion, Recipe


def seeded(seed: int) -> Select[tuple[int]]:
    """The ids of versions that have the seed in a recipe or mask of their own, or of anything that went into them."""
    spelled = or_(*(Recipe.canonical.contains(f'"seed":{seed}{end}', autoescape=True) for end in ",}"))
    recipes = select(Recipe.digest).where(spelled)
    merges = select(ModelVersion.id).where(ModelVersion.digest.in_(recipes))
    skills = select(Delta.version_id).where(Delta.seed == seed)
    # What an expression gave was registered without a merge's name, and is known by what came out before.
    content = type_coerce(ModelVersion.attributes, JSON)["fine_tuned"].as_string()
    results = [
        select(ModelVersion.id)
        .join(Materialization, Materialization.output_digest == registered)
        .where(Materialization.recipe_digest.in_(recipes), Materialization.created_at <= ModelVersion.created_at)
        for registered in (ModelVersion.digest, content)
    ]
    return reached_from(union(merges, skills, *results))
