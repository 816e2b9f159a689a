"""By which recipe each thing in a lineage was made, at every level, and with what weight everything went into it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from registry.records.columns import batches
from registry.records.lineage import Lineage
from registry.records.recipes import read_canonical
from registry.records.tables import Materialization, ModelVersion, Recipe
from registry.routes import Graph

Document = Mapping[str, Any]
"""The JSON of a recipe."""


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


def nearby(graph: Graph) -> dict[str, set[str]]:
    """By reference, the digests of what each version was made from, and of what the merge was that it came of."""
    nodes = {node["id"]: node for node in graph["nodes"]}
    parents: dict[str, set[str]] = defaultdict(set)
    for edge in graph["edges"]:
        parents[edge["child"]].add(edge["parent"])
    reached = {
        node: own.union(*(parents[each] for each in own if nodes[each]["kind"] == "merge"))
        for node, own in ((node, set(parents[node])) for node in nodes)
    }
    return {node: {nodes[each]["digest"] for each in found} for node, found in reached.items()}


def inputs_of(recipe: Document) -> set[str]:
    """The digests of all that a recipe reads."""
    terms = recipe.get("terms", ())
    named = [recipe.get("base"), recipe.get("head"), *(term["skill"] for term in terms)]
    return {each for each in (*named, *(term.get("base") for term in terms)) if each}


def weighed(nodes: Iterable[Mapping[str, Any]], edges: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Edges with the ``weight``, and the ``parameters`` of its own, with which the parent goes into the child.

    Nodes have the ``recipe`` that made them, if it is known. Layers that are stacked have weights of their own, which
    the recipe tells.
    """
    known = {node["id"]: node for node in nodes}
    terms = {id_: _terms(node["recipe"]) for id_, node in known.items() if node.get("recipe")}
    found = []
    for edge in edges:
        term = terms.get(edge["child"], {}).get((edge["role"], known[edge["parent"]]["digest"]), {})
        found.append({**edge, **{name: term[name] for name in ("weight", "parameters") if name in term}})
    return found


def told_graph(graph: Graph, digest: str, recipe: Document) -> dict[str, Any]:
    """A manifest's lineage with weights, and with the recipe of the whole, which it tells elsewhere."""
    nodes = [{**node, "recipe": recipe} if node["digest"] == digest else dict(node) for node in graph["nodes"]]
    return {"nodes": nodes, "edges": weighed(nodes, graph["edges"])}


def _terms(recipe: Document) -> dict[tuple[str, str], Document]:
    if recipe.get("slices"):
        return {}
    found = {("skill", term["skill"]): term for term in recipe.get("terms", ())}
    return found | ({("base", recipe["base"]): recipe["base_term"]} if "base_term" in recipe else {})


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
