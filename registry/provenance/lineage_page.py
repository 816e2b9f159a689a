"""A lineage graph as a page a person can read: a Mermaid drawing and a table, in Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from registry.audits.drawing import mermaid


def lineage_markdown(lineage: Mapping[str, Any]) -> str:
    """Markdown of ``{"nodes": [...], "edges": [...]}``; arrows run from what was used to what came of it."""
    table = ["| kind | name | version | licence | digest |", "|---|---|---|---|---|"]
    table += [_row(node) for node in lineage["nodes"]]
    return "\n".join(["# Lineage", "", "```mermaid", mermaid(lineage), "```", "", *table, ""])


def _row(node: Mapping[str, Any]) -> str:
    cells = (node.get(word) for word in ("kind", "name", "version", "licence", "digest"))
    return "| " + " | ".join("" if cell is None else _cell(str(cell)) for cell in cells) + " |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
