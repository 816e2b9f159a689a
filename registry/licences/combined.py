"""Under which licences all comes that went into a result: stated by whom, by which way, and combined."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from registry.licences.hub_names import hub_name
from registry.licences.spdx import AND, UNSTATED, combine, understood
from registry.routes import Graph, routes

NOTE = "a list of what was stated, not legal advice"
_STATING = ("base", "skill")
"""What comes from outside; a merge is made of such, and states nothing of its own."""


def combined(graph: Graph, starts: Iterable[str]) -> dict[str, Any]:
    """The licences of everything that ``starts`` (ids of nodes) are made of, with themselves.

    ``expression``: what was stated, all of it together, with NOASSERTION for what states nothing; None where nothing
    was found. ``stated``: who states which, by licence; ``unknown``: who states none; ``paths``: how each comes in.
    """
    ways = routes(graph, starts)
    found = {
        node["id"]: understood(node.get("licence") or "")
        for node in graph["nodes"]
        if node["kind"] in _STATING and node["id"] in ways
    }
    stated: dict[str, list[str]] = {}
    for node, licence in found.items():
        if licence != UNSTATED:
            stated.setdefault(str(licence), []).append(node)
    return {
        "expression": str(combine(AND, found.values())) if found else None,
        "stated": dict(sorted(stated.items(), key=lambda each: each[0].casefold())),
        "unknown": [node for node, licence in found.items() if licence == UNSTATED],
        "paths": {node: ways[node] for node in found},
        "note": NOTE,
    }


def hub_metadata(licences: dict[str, Any]) -> dict[str, str]:
    """What a model card's front matter says of the answer of ``combined``: nothing where something is not stated."""
    expression = licences["expression"]
    if expression is None or licences["unknown"]:
        return {}
    name = hub_name(expression)
    return {"license": name} if name else {"license": "other", "license_name": expression}
