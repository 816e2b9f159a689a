"""By which recipe each thing in a lineage was made, at every level, from the records."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from registry.made_by import Document, inputs_of, nearby
from registry.records.columns import batches
from registry.records.lineage import Lineage
from registry.records.recipes import read_canonical
from registry.records.tables import Materialization, ModelVersion, Recipe


def recipes_within(session: Session, graph: Lineage, versions: Mapping[str, ModelVersion]) -> dict[str, Document]:
    """The recipe of every merge in a lineage, by reference; and of every base or skill that was a result of mergestore
    before, where no merge in the lineage has it: of an expression, of one task, of an adapter.

    ``versions``: those of the lineage, by reference. A merge whose recipe is lost is left out: ``verify`` tells it.
    """
    merges = {reference: each.digest for reference, each in versions.items() if each.kind == "merge"}
    made = _computed(session, graph, versions)
    digests = {*merges.values(), *(digest for found in made.values() for digest in found)}
    documents = _documents(session, sorted(digests))
    found = {reference: documents[digest] for reference, digest in merges.items() if digest in documents}
    near = nearby(graph.to_dict())
    for reference, candidates in made.items():
        fitting = [each for each in candidates if inputs_of(documents[each]) <= near[reference]]
        if fitting and near[reference].isdisjoint(fitting):  # else the merge that it came of has it
            found[reference] = documents[fitting[0]]
    return found


def _computed(session: Session, graph: Lineage, versions: Mapping[str, ModelVersion]) -> dict[str, list[str]]:
    """The recipes that came out as what was registered again later, oldest first, by reference of that."""
    results = {edge.child for edge in graph.edges if edge.role != "base" or versions[edge.child].kind == "base"}
    contents = {id_: _content(versions[id_]) for id_ in sorted(results) if versions[id_].kind != "merge"}
    recipes: dict[str, list[tuple[str, datetime]]] = defaultdict(list)
    first = func.min(Materialization.created_at)
    columns = (Materialization.output_digest, Materialization.recipe_digest)
    for batch in batches(sorted({each for each in contents.values() if each})):
        query = select(*columns, first).where(Materialization.output_digest.in_(batch)).group_by(*columns)
        for output, recipe, at in session.execute(query.order_by(first, Materialization.recipe_digest)):
            recipes[output].append((recipe, at))
    # What was computed later can have nothing to do with it: so the answer stays the same.
    return {
        id_: [recipe for recipe, at in recipes[content] if at <= versions[id_].created_at]
        for id_, content in contents.items()
        if content in recipes
    }


def _content(version: ModelVersion) -> str | None:
    """The model digest of what was registered as this base or skill."""
    return version.digest if version.kind == "base" else version.attributes.get("fine_tuned")


def _documents(session: Session, digests: Sequence[str]) -> dict[str, Document]:
    found: dict[str, Document] = {}
    for batch in batches(digests):
        rows = session.execute(select(Recipe.digest, Recipe.canonical).where(Recipe.digest.in_(batch)))
        found |= {digest: read_canonical(digest, canonical) for digest, canonical in rows}
    return found
