"""A lineage graph as a page a person can read: a Mermaid drawing and a table, in Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_SHAPES = {"base": ("[(", ")]"), "skill": ("([", "])")}  # everything else is a box


def lineage_markdown(lineage: Mapping[str, Any]) -> str:
    """Markdown of ``{"nodes": [...], "edges": [...]}``; arrows run from what was used to what came of it."""
    names = {node["id"]: f"n{index}" for index, node in enumerate(lineage["nodes"])}
    drawing = ["flowchart LR"]
    drawing += [f"  {names[node['id']]}{_box(node)}" for node in lineage["nodes"]]
    drawing += [
        f"  {names[edge['parent']]} -->|{_quoted(edge['role'])}| {names[edge['child']]}" for edge in lineage["edges"]
    ]
    table = ["| kind | name | version | licence | digest |", "|---|---|---|---|---|"]
    table += [_row(node) for node in lineage["nodes"]]
    return "\n".join(["# Lineage", "", "```mermaid", *drawing, "```", "", *table, ""])


def _box(node: Mapping[str, Any]) -> str:
    left, right = _SHAPES.get(node["kind"], ("[", "]"))
    return left + _quoted(f"{node['kind']}: {_reference(node)}") + right


def _reference(node: Mapping[str, Any]) -> str:
    name = node.get("name") or str(node.get("digest") or node["id"])[:19]
    return f"{name}@{node['version']}" if node.get("version") is not None else str(name)


def _quoted(text: str) -> str:
    """A Mermaid label: inside quotes only the quote itself and ``#`` mean anything."""
    return '"' + str(text).replace("#", "#35;").replace('"', "#quot;").replace("\n", " ") + '"'


def _row(node: Mapping[str, Any]) -> str:
    cells = (node.get(word) for word in ("kind", "name", "version", "licence", "digest"))
    return "| " + " | ".join("" if cell is None else _cell(str(cell)) for cell in cells) + " |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
