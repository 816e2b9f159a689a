"""The audit as a tree: what a model is made of, down to base models, with digests, seeds and licences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cli.console import say
from cli.tables import materializations, newest
from cli.units import digest_text, size_text
from merging.setting_text import spelled
from merging.settings import Setting

if TYPE_CHECKING:
    from mergestore import Audit

Node = Mapping[str, Any]

_DESCENDANT = ("kind", "name", "version", "digest", "licence", "state")


def audit(answer: Audit) -> None:
    """The lineage tree, then what was made of it, what came of it, and who did what and when."""
    for line in _Lineage.of(answer).lines(f"{answer.name}@{answer.version}"):
        say(line)
    if answer.recipe is not None:
        parameters = "".join(f", {name} {spelled(value)}" for name, value in answer.recipe["parameters"].items())
        semantics = answer.recipe["semantics"]
        told = "" if semantics == "paper" else f", with the semantics of {semantics}"
        say(f"method {answer.recipe['method']}{parameters}{told}")
        say(f"recipe {answer.recipe_digest}")
    say()
    materializations(answer.materializations, answer.counts["materializations"])
    _descendants(answer)
    newest("events", answer.events, ("at", "actor", "action", "subject"), answer.counts["events"])


def _descendants(answer: Audit) -> None:
    """What came of this version: how many of each kind, and the newest of them."""
    counts = answer.counts["descendants"]
    spelled = ", ".join(f"{count:,} {kind}{'s' if count > 1 else ''}" for kind, count in counts.items())
    newest(f"descendants: {spelled}", answer.descendants, _DESCENDANT, sum(counts.values()))


@dataclass(frozen=True)
class _Lineage:
    """A lineage graph, indexed for walking down from a child to its parents.

    ``used``: the statistics that the recipe merges with, by the skill's digest; None where there is no recipe.
    """

    nodes: Mapping[str, Node]
    parents: Mapping[str, list[Mapping[str, Any]]]
    weights: Mapping[str, Setting]  # of the recipe's models, by digest
    used: Mapping[str, str] | None

    @classmethod
    def of(cls, answer: Audit) -> _Lineage:
        parents: dict[str, list[Mapping[str, Any]]] = {}
        for edge in answer.lineage["edges"]:
            parents.setdefault(edge["child"], []).append(edge)
        recipe = answer.recipe or {}
        terms = [] if "slices" in recipe else recipe.get("terms", [])  # each slice has weights of its own
        weights = {term["skill"]: term["weight"] for term in terms}
        if "base_term" in recipe:
            weights[recipe["base"]] = recipe["base_term"]["weight"]
        return cls(
            nodes={node["id"]: node for node in answer.lineage["nodes"]},
            parents=parents,
            weights=weights,
            used=None if answer.recipe is None else recipe.get("statistics", {}),
        )

    def lines(self, root: str) -> Iterator[str]:
        """The tree below ``root``, a line for each version; what stands there with its parents is not told again."""
        yield self._label(self.nodes[root])
        pending, told = self._branches(root, ""), {root}
        while pending:
            edge, stem, last = pending.pop()
            parent = edge["parent"]
            again = parent in told and parent in self.parents
            yield f"{stem}{'└── ' if last else '├── '}{self._part(edge)}{', as above' if again else ''}"
            if not again:
                told.add(parent)
                pending += self._branches(parent, stem + ("    " if last else "│   "))

    def _branches(self, child: str, stem: str) -> list[tuple[Mapping[str, Any], str, bool]]:
        """The edges to the parents of ``child`` with what stands before them, last one first."""
        edges = self.parents.get(child, [])
        return [(edge, stem, edge is edges[-1]) for edge in reversed(edges)]

    def _part(self, edge: Mapping[str, Any]) -> str:
        """The version that ``edge`` leads to, and its part in what was made of it."""
        parent = self.nodes[edge["parent"]]
        weighed = edge["role"] in ("skill", "base") and parent["digest"] in self.weights
        weight = f"{spelled(self.weights[parent['digest']])} * " if weighed else ""
        role = "" if edge["role"] == parent["kind"] else f"{edge['role']} of "
        return f"{weight}{role}{self._label(parent)}"

    def _label(self, node: Node) -> str:
        return f"{node['kind']} {node['name']}@{node['version']} ({', '.join(self._marks(node))})"

    def _marks(self, node: Node) -> Iterator[str]:
        """What a reviewer looks for: identity, encoding and seed, licence, who, and whether it was withdrawn."""
        yield digest_text(node["digest"])
        if node.get("encoding"):
            yield f"{node['encoding']}{_chosen(node)}, {size_text(node['stored_bytes'])}"
        for each in node.get("collected") or ():
            if self.used is None or self.used.get(node["digest"]) == each["digest"]:
                told = f"{each['kind']} of {each['examples']:,} examples"
                yield told if self.used is None else f"{told}, {digest_text(each['digest'])}"
        if node.get("licence"):
            yield str(node["licence"])
        yield f"by {node['created_by']}"
        if node["state"] != "ready":
            yield f"{node['state'].upper()}: {node['reason']}"


def _chosen(node: Node) -> str:
    """Which values a skill keeps, and how."""
    if node["drop_rate"] is not None:
        return f" {node['values']}, p {node['drop_rate']:.3g}, seed {node['seed']}"
    if node["density"] is not None:
        return f" {node['values']}, density {node['density']:g}, trim {node['trim']}"
    return ""
