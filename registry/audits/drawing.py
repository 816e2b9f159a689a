"""A lineage graph as text that others draw: Mermaid and Graphviz. Arrows run from what was used to what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Graph = Mapping[str, Any]
"""``{"nodes": [...], "edges": [...]}``, as audits and manifests have it."""

_BOXES = {"base": ("[(", ")]"), "skill": ("([", "])")}  # everything else is a box
_SHAPES = {"base": "cylinder", "skill": "oval"}


def mermaid(graph: Graph) -> str:
    """The text of a Mermaid flow chart."""
    names = _names(graph)
    lines = ["flowchart LR"]
    for node in graph["nodes"]:
        left, right = _BOXES.get(node["kind"], ("[", "]"))
        lines.append(f"  {names[node['id']]}{left}{_quoted(label(node))}{right}")
    lines += [
        f"  {names[edge['parent']]} -->|{_quoted(edge['role'])}| {names[edge['child']]}" for edge in graph["edges"]
    ]
    withdrawn = [names[node["id"]] for node in graph["nodes"] if node.get("state", "ready") != "ready"]
    if withdrawn:
        lines += ["  classDef withdrawn stroke-dasharray: 4", f"  class {','.join(withdrawn)} withdrawn"]
    return "\n".join(lines)


def dot(graph: Graph) -> str:
    """The text of a Graphviz digraph."""
    names = _names(graph)
    lines = ["digraph lineage {", "  rankdir=LR;", '  node [fontname="sans-serif"];']
    for node in graph["nodes"]:
        style = "" if node.get("state", "ready") == "ready" else ", style=dashed"
        text = _escaped(f"{label(node)}\n{str(node['digest'])[:19]}")
        lines.append(f'  {names[node["id"]]} [label="{text}", shape={_SHAPES.get(node["kind"], "box")}{style}];')
    for edge in graph["edges"]:
        text = _escaped(edge["role"])
        lines.append(f'  {names[edge["parent"]]} -> {names[edge["child"]]} [label="{text}"];')
    return "\n".join([*lines, "}"])


def label(node: Mapping[str, Any]) -> str:
    """What a node is, in words: its kind and reference."""
    name = node.get("name") or str(node.get("digest") or node["id"])[:19]
    version = f"@{node['version']}" if node.get("version") is not None else ""
    return f"{node['kind']}: {name}{version}"


def _names(graph: Graph) -> dict[str, str]:
    return {node["id"]: f"n{number}" for number, node in enumerate(graph["nodes"])}


def _quoted(text: str) -> str:
    """A Mermaid label: inside quotes only the quote itself and ``#`` mean anything."""
    return '"' + str(text).replace("#", "#35;").replace('"', "#quot;").replace("\n", " ") + '"'


def _escaped(text: str) -> str:
    """A Graphviz label: a line break stays one."""
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
