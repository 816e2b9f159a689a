"""What the recipes in a lineage tell: what each reads, and with what weight everything went into what it became."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from registry.routes import Graph

Document = Mapping[str, Any]
"""The JSON of a recipe."""


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
