"""The audit as a tree: what a model is made of, down to base models, with digests, seeds and licences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cli.console import answers, say
from cli.tables import materializations, table
from cli.units import digest_text, size_text

if TYPE_CHECKING:
    from rich.tree import Tree

    from mergestore import Audit

Node = Mapping[str, Any]


def audit(answer: Audit) -> None:
    """The lineage tree, then what was made of it, then who did what and when."""
    answers().print(_Lineage.of(answer).tree(f"{answer.name}@{answer.version}"))
    if answer.recipe is not None:
        parameters = "".join(f", {name} {value}" for name, value in answer.recipe["parameters"].items())
        say(f"method {answer.recipe['method']}{parameters}")
        say(f"recipe {answer.recipe_digest}")
    if answer.materializations:
        materializations(answer.materializations)
    if answer.events:
        table("events", answer.events, ("at", "actor", "action", "subject"))


@dataclass(frozen=True)
class _Lineage:
    """A lineage graph, indexed for walking down from a child to its parents."""

    nodes: Mapping[str, Node]
    parents: Mapping[str, list[Mapping[str, Any]]]
    weights: Mapping[str, float]  # of the recipe's skills, by digest

    @classmethod
    def of(cls, answer: Audit) -> _Lineage:
        parents: dict[str, list[Mapping[str, Any]]] = {}
        for edge in answer.lineage["edges"]:
            parents.setdefault(edge["child"], []).append(edge)
        terms = answer.recipe["terms"] if answer.recipe is not None else ()
        return cls(
            nodes={node["id"]: node for node in answer.lineage["nodes"]},
            parents=parents,
            weights={term["skill"]: term["weight"] for term in terms},
        )

    def tree(self, root: str) -> Tree:
        from rich.tree import Tree

        tree = Tree(_label(self.nodes[root]))
        self._grow(tree, root)
        return tree

    def _grow(self, tree: Tree, child: str) -> None:
        """Add what ``child`` came from; lineage has no cycles, so this ends."""
        for edge in self.parents.get(child, []):
            parent = self.nodes[edge["parent"]]
            weighed = edge["role"] == "skill" and parent["digest"] in self.weights
            weight = f"{self.weights[parent['digest']]:g} * " if weighed else ""
            role = "" if edge["role"] == parent["kind"] else f"{edge['role']} of "
            self._grow(tree.add(f"{weight}{role}{_label(parent)}"), edge["parent"])


def _label(node: Node) -> str:
    return f"{node['kind']} {node['name']}@{node['version']} ({', '.join(_marks(node))})"


def _marks(node: Node) -> Iterator[str]:
    """What a reviewer looks for: identity, encoding and seed, licence, who, and whether it was withdrawn."""
    yield digest_text(node["digest"])
    if node.get("encoding"):
        seed = f" {node['values']}, p {node['drop_rate']:.3g}, seed {node['seed']}" if node["values"] else ""
        yield f"{node['encoding']}{seed}, {size_text(node['stored_bytes'])}"
    if node.get("licence"):
        yield str(node["licence"])
    yield f"by {node['created_by']}"
    if node["state"] != "ready":
        yield f"{node['state'].upper()}: {node['reason']}"
