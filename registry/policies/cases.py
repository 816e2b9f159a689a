"""What a policy is compared with, from the records: a merge, everything that goes into it, and how it scored."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from sqlalchemy import select
from sqlalchemy.orm import Session

from merging.settings import Setting, values
from registry.policies.policy import Twin
from registry.policies.rules import Case, Fact, Score
from registry.records.columns import batches
from registry.records.evaluations import evaluations
from registry.records.lineage import Lineage, ancestors
from registry.records.lookup import find_versions
from registry.records.names import parse_reference
from registry.records.tables import Alias, Model, ModelVersion, Recipe
from registry.resolved import ResolvedMerge
from registry.routes import paths, told


def case_of(session: Session, roots: Sequence[ModelVersion], resolved: ResolvedMerge | None) -> Case:
    """The case of a merge, or where it could not be resolved, of what is known to go into it: ``roots``."""
    lineage = ancestors(session, *(version.id for version in roots))
    facts = _facts(session, lineage, roots, resolved)
    if resolved is None:
        return Case(facts)
    return Case(
        facts,
        whole=True,
        method=resolved.recipe.method if resolved.merge is None else None,
        base=next(fact for fact in facts if fact.id == resolved.base.reference),
        weights={digest: _lowest(weight) for digest, weight in resolved.weights.items()},
        scores=_scores(session, resolved),
    )


def _facts(
    session: Session, lineage: Lineage, roots: Sequence[ModelVersion], resolved: ResolvedMerge | None
) -> tuple[Fact, ...]:
    graph = lineage.to_dict()
    ways = paths(graph, [version.reference for version in roots])
    # A head is a few tensors of a skill: a skill that is required has to come in by another way.
    without_heads = {**graph, "edges": [edge for edge in graph["edges"] if edge["role"] != "head"]}
    starts = roots
    if resolved is not None and resolved.merge is None:
        starts = (resolved.base, *resolved.others, *resolved.skills)
    as_skills = paths(without_heads, [version.reference for version in starts])
    references = {node.id: parse_reference(node.id) for node in lineage.nodes}
    versions = find_versions(session, references.values())
    digests = sorted({node.digest for node in lineage.nodes})
    twins, methods = _twins(session, digests), _methods(session, digests)
    return tuple(
        Fact(
            id=node.id,
            kind=node.kind,
            digest=node.digest,
            licence=node.licence,
            source=versions[references[node.id]].source,
            training=versions[references[node.id]].attributes.get("training", {}),
            twins=tuple(twins[node.digest]),
            path=ways[node.id],
            way=told(ways[node.id], node.kind),
            as_skill=node.id in as_skills,
            method=methods.get(node.digest) if node.kind == "merge" else None,
        )
        for node in lineage.nodes
    )


def _twins(session: Session, digests: Sequence[str]) -> dict[str, list[Twin]]:
    """The versions of each content, by digest: under another name it is the same."""
    found: dict[str, list[Twin]] = {}
    for batch in batches(digests):
        query = select(ModelVersion.id, Model.name, ModelVersion.version, ModelVersion.digest).join(ModelVersion.model)
        rows = session.execute(query.where(ModelVersion.digest.in_(batch)).order_by(ModelVersion.id)).all()
        aliases = _aliases(session, [row[0] for row in rows])
        for id_, name, version, digest in rows:
            found.setdefault(digest, []).append(Twin(name, version, frozenset(aliases.get(id_, ()))))
    return found


def _aliases(session: Session, ids: Sequence[int]) -> dict[int, set[str]]:
    found: dict[int, set[str]] = {}
    for batch in batches(ids):
        for id_, alias in session.execute(select(Alias.version_id, Alias.alias).where(Alias.version_id.in_(batch))):
            found.setdefault(id_, set()).add(alias)
    return found


def _methods(session: Session, digests: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for batch in batches(digests):
        rows = session.execute(select(Recipe.digest, Recipe.method).where(Recipe.digest.in_(batch)))
        found |= {row.digest: row.method for row in rows}
    return found


def _lowest(weight: Setting | None) -> float | None:
    return None if weight is None else min(float(value) for value in values(weight))


def _scores(session: Session, resolved: ResolvedMerge) -> Mapping[tuple[str, str], Score]:
    """The newest scores of this very recipe, else those of the merge that it is an adapter or a task of."""
    recipe = resolved.recipe
    whole = {replace(recipe, adapter=None).digest, replace(recipe, adapter=None, task=None).digest}
    found: dict[tuple[str, str], Score] = {}
    for recipes, versions in (
        ({recipe.digest}, ()),
        (whole - {recipe.digest}, [resolved.merge.id] if resolved.merge is not None else ()),
    ):
        for key, score in _newest(session, versions, recipes).items():
            found.setdefault(key, score)
    return found


def _newest(session: Session, versions: Iterable[int], recipes: Iterable[str]) -> dict[tuple[str, str], Score]:
    found: dict[tuple[str, str], Score] = {}
    for record in evaluations(session, list(versions), list(recipes)):
        found.setdefault((record.metric, record.dataset), Score(record.value, record.id))
    return found
