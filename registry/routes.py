"""How each thing in a result comes in: the shortest way to it through the lineage."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Graph = Mapping[str, Sequence[Mapping[str, Any]]]
"""``{"nodes": [...], "edges": [...]}``, as audits, manifests and ``Lineage.to_dict`` have it."""

_MOST = 12
"""Steps that a way is told with."""


def routes(graph: Graph, starts: Iterable[str]) -> dict[str, str]:
    """The way from one of ``starts`` to each node that is reached, by its id: ``assistant@2 → skill math@1``."""
    kinds = {node["id"]: node["kind"] for node in graph["nodes"]}
    return {node: told(path, kinds[node]) for node, path in paths(graph, starts).items()}


def paths(graph: Graph, starts: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """The same as the ids of the steps; "…" stands for the middle of a long way.

    Of ways that are equally short the one is told whose steps come first in order of text.
    """
    parents: dict[str, set[str]] = defaultdict(set)
    for edge in graph["edges"]:
        parents[edge["child"]].add(edge["parent"])
    ways: dict[str, tuple[str, ...]] = {start: (start,) for start in sorted(set(starts))}
    pending = list(ways)
    for node in pending:  # which grows meanwhile
        for parent in sorted(parents[node]):
            if parent not in ways:
                ways[parent] = _further(ways[node], parent)
                pending.append(parent)
    return ways


def told(path: Sequence[str], kind: str) -> str:
    """A path to something of this kind, in words."""
    return " → ".join([*path[:-1], _last(kind, path[-1])])


def _further(way: tuple[str, ...], step: str) -> tuple[str, ...]:
    """The way with one more step; of a long one the middle is left out, since lineages grow as deep as they like."""
    longer = (*way, step)
    return longer if len(longer) <= _MOST else (*longer[: _MOST // 2], "…", *longer[1 - _MOST // 2 :])


def _last(kind: str, node: str) -> str:
    return node if kind == node else f"{kind} {node}"  # a result that has no name is called by its kind alone
