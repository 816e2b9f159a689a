"""An audit as one page that opens offline: the lineage drawn, all that is known of each version, tables and checks."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from registry.results import Audit
from storage.errors import UsageError
from storage.files import write_file

ACROSS, DOWN = 270, 70
"""Pixels between columns and between rows of the drawing."""


def write(audit: Audit, path: Path) -> None:
    """Put the page into a file, whole or not at all. Raises UsageError for what cannot be one."""
    if path.is_dir() or not path.absolute().parent.is_dir():
        what = "is a folder" if path.is_dir() else f"cannot be: there is no folder {path.absolute().parent}"
        raise UsageError(f"{path} {what}", hint="name a file in a folder that is there: --html audit.html")
    write_file(path.absolute(), render(audit).encode())


def render(audit: Audit) -> str:
    """The page's text. What the audit holds cannot leave its place in it, whatever characters it has."""
    document = audit.to_dict()
    places = layout(audit.lineage)
    nodes = [{**node, "x": places[node["id"]][0], "y": places[node["id"]][1]} for node in audit.lineage["nodes"]]
    document["lineage"] = {"nodes": nodes, "edges": audit.lineage["edges"]}
    text = json.dumps(document, ensure_ascii=True).replace("<", "\\u003c")
    return files(__package__).joinpath("page.html").read_text(encoding="utf-8").replace("{{audit}}", text)


def layout(graph: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, tuple[int, int]]:
    """Where each node stands, left to right: behind everything that it is made of, near what that is made into.

    Columns are the longest ways from the bases; within one, nodes stand by the mean row of what they are connected to.
    """
    below: dict[str, list[str]] = defaultdict(list)
    above: dict[str, list[str]] = defaultdict(list)
    for edge in graph["edges"]:
        below[edge["child"]].append(edge["parent"])
        above[edge["parent"]].append(edge["child"])
    columns: dict[str, int] = {}
    for node in _bottom_up([node["id"] for node in graph["nodes"]], below):
        columns[node] = max((columns.get(parent, -1) + 1 for parent in below[node]), default=0)
    stacks: dict[int, list[str]] = defaultdict(list)
    for node, column in columns.items():
        stacks[column].append(node)
    rows = {node: place for stack in stacks.values() for place, node in enumerate(stack)}
    for near in (below, above, below):
        for column in sorted(stacks, reverse=near is above):
            stacks[column].sort(key=lambda node: _mean(node, near, rows))
            rows |= {node: place for place, node in enumerate(stacks[column])}
    most = max(map(len, stacks.values()), default=0)
    return {
        node: (columns[node] * ACROSS, round((rows[node] + (most - len(stacks[columns[node]])) / 2) * DOWN))
        for node in columns
    }


def _bottom_up(nodes: Sequence[str], below: Mapping[str, Sequence[str]]) -> list[str]:
    """Each node after what it is made of. Versions have no cycles; of a graph that has, what is left comes last."""
    order: dict[str, None] = {}
    while len(order) < len(nodes):
        ready = [node for node in nodes if node not in order and all(each in order for each in below[node])]
        order |= dict.fromkeys(ready or [node for node in nodes if node not in order])
    return list(order)


def _mean(node: str, near: Mapping[str, Sequence[str]], rows: Mapping[str, int]) -> float:
    found = [rows[other] for other in near[node]]
    return sum(found) / len(found) if found else float(rows[node])
