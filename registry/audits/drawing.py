"""A lineage graph as text that others draw: Mermaid and Graphviz. Arrows run from what was used to what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from merging.setting_text import spelled

Graph = Mapping[str, Any]
"""``{"nodes": [...], "edges": [...]}``, as audits and manifests have it."""

_BOXES = {"base": ("[(", ")]"), "skill": ("([", "])")}  # everything else is a box
_SHAPES = {"base": "cylinder", "skill": "oval"}
_DIGITS = 12  # of a digest
_STATED = ("base", "skill")  # what comes from outside, under a licence
_MEANING = {"#": "#35;", "&": "#amp;", '"': "#quot;", "<": "#lt;", ">": "#gt;"}  # in a Mermaid label


def mermaid(graph: Graph) -> str:
    """The text of a Mermaid flow chart."""
    names = _names(graph)
    lines = ["flowchart LR"]
    for node in graph["nodes"]:
        left, right = _BOXES.get(node["kind"], ("[", "]"))
        lines.append(f"  {names[node['id']]}{left}{_quoted(*facts(node))}{right}")
    lines += [f"  {names[edge['parent']]} -->|{_quoted(part(edge))}| {names[edge['child']]}" for edge in graph["edges"]]
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
        text = "\\n".join(map(_escaped, facts(node)))
        lines.append(f'  {names[node["id"]]} [label="{text}", shape={_SHAPES.get(node["kind"], "box")}{style}];')
    for edge in graph["edges"]:
        lines.append(f'  {names[edge["parent"]]} -> {names[edge["child"]]} [label="{_escaped(part(edge))}"];')
    return "\n".join([*lines, "}"])


def label(node: Mapping[str, Any]) -> str:
    """What a node is, in words: its kind and reference."""
    name = node.get("name") or short(str(node.get("digest") or node["id"]))
    version = f"@{node['version']}" if node.get("version") is not None else ""
    return f"{node['kind']}: {name}{version}"


def facts(node: Mapping[str, Any]) -> list[str]:
    """The lines in a node: what it is, its digest, how it was merged, its licence, and whether it was withdrawn."""
    lines = [label(node), *([short(str(node["digest"]))] if node.get("name") else [])]
    if recipe := node.get("recipe"):
        seed = recipe["parameters"].get("seed")
        lines.append(str(recipe["method"]) if seed is None else f"{recipe['method']}, seed {spelled(seed)}")
    if node["kind"] in _STATED:
        lines.append(str(node.get("licence") or "licence not stated"))
    if (state := node.get("state", "ready")) != "ready":
        lines.append(str(state).upper())
    return lines


def part(edge: Mapping[str, Any]) -> str:
    """The part of a parent in its child: its weight, if it has one, and its role."""
    return f"{spelled(edge['weight'])} {edge['role']}" if "weight" in edge else str(edge["role"])


def short(digest: str) -> str:
    """The beginning of a digest, by which ``audit`` finds it."""
    algorithm, _, digits = digest.partition(":")
    return f"{algorithm}:{digits[:_DIGITS]}" if digits else digest[:_DIGITS]


def _names(graph: Graph) -> dict[str, str]:
    return {node["id"]: f"n{number}" for number, node in enumerate(graph["nodes"])}


def _quoted(*lines: str) -> str:
    """A Mermaid label. Inside quotes it is HTML, whose marks are written as Mermaid has them."""
    texts = ("".join(_MEANING.get(each, each) for each in _printable(line)) for line in lines)
    return f'"{"<br/>".join(texts)}"'


def _escaped(text: str) -> str:
    """A line of a Graphviz label, where entities of HTML mean what they mean there."""
    return _printable(text).replace("\\", "\\\\").replace('"', '\\"').replace("&", "&amp;")


def _printable(text: str) -> str:
    return "".join(each if each.isprintable() else " " for each in text)
