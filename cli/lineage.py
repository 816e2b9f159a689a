"""The audit as a tree: what a model is made of, down to base models, with digests, seeds and licences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cli.console import remark, say
from cli.grid import Column, print_grid
from cli.recipe_text import inner_lines, method_line, recipe_lines
from cli.tables import EVENT, SCORE, events, materializations, newest
from cli.units import digest_text, number_text, size_text, time_text
from merging.setting_text import spelled, spelled_pairs

if TYPE_CHECKING:
    from mergestore import Audit, Impact, Influence

Node = Mapping[str, Any]

_VERDICTS = {True: "ok", False: "DAMAGED", None: "unchecked"}
_DIGITS = 8  # of a store's identifier
_DESCENDANT = ("kind", "name", "version", "digest", "licence", "state")


def audit_in_full(answer: Audit) -> None:
    """The same, with when each version was registered, and all that its files said of its training."""
    audit(answer, full=True)


def audit(answer: Audit, *, full: bool = False) -> None:
    """The lineage tree, then what was made of it, what came of it, and who did what and when."""
    tree = _Lineage.of(answer, full=full)
    for line in tree.lines(tree.root):
        say(line)
    if answer.kind == "result" and answer.expression:
        say(f"expression {answer.expression}")
    if answer.recipe is not None:
        names = {node["digest"]: f"{node['name']}@{node['version']}" for node in answer.lineage["nodes"]}
        for line in recipe_lines(answer.recipe, names):
            say(line)
        say(f"recipe {answer.recipe_digest}")
        for line in inner_lines(answer.lineage["nodes"], tree.root, names):
            say(line)
    for check in answer.checks:
        say(f"{check['what']} {_VERDICTS[check['ok']]}: {check['detail']}")
    licences(answer.licences)
    say()
    newest("evaluations", answer.evaluations, SCORE, answer.counts["evaluations"])
    materializations(answer.materializations, answer.counts["materializations"])
    newest("attestations", answer.attestations, ("created_at", "created_by", "output_digest", "keys"))
    _descendants(answer)
    newest("events", events(answer.events), EVENT, answer.counts["events"])


def licences(told: Mapping[str, Any]) -> None:
    """What was stated of licences, all of it together, and by which way each comes in."""
    if told["expression"] is None:
        return
    say(f"licences {told['expression']} ({told['note']})")
    for licence, stating in (*told["stated"].items(), ("not stated", told["unknown"])):
        for reference in stating:
            say(f"  {licence}: {told['paths'][reference]}")


def impact(answer: Impact) -> None:
    """How much contains a version, and the newest of it."""
    counts = answer.counts
    kinds = ", ".join(number_text(count, f"{kind}s") for kind, count in counts["versions"].items())
    made = counts["materializations"]
    say(f"{answer.kind} {answer.name}@{answer.version} ({digest_text(answer.digest)})")
    if answer.state != "ready":
        by = f" (by {answer.yanked['by']} at {answer.yanked['at']})" if answer.yanked else ""
        say(f"{answer.state.upper()}: {answer.reason}{by}")
    if answer.pinned:
        say(f"pinned by {answer.pinned['by']}: {answer.pinned['reason']}")
    say(f"is in {kinds or 'no other version'}, and in {number_text(made, 'materializations')}")
    if answer.aliases:
        say(f"aliases that lead there: {', '.join(answer.aliases)}")
    say()
    newest("versions", answer.versions, (*_DESCENDANT, "aliases"), sum(counts["versions"].values()))
    rows = [{**each, "path": each["path"] if each["there"] else None} for each in answer.materializations]
    newest(
        "materializations",
        rows,
        ("created_at", "merge", "recipe_digest", "output_digest", "path", "mlflow_run_id", "mlflow_version"),
        made,
    )


def influence(answer: Influence) -> None:
    """A row for every skill that has a part in a tensor."""
    rows = []
    for tensor in answer.tensors:
        for place, part in enumerate(tensor["skills"]):
            told = [tensor["name"] if place == 0 else "", part["skill"]]
            if part.get("role") == "head":
                rows.append([*told, "head", "", "", ""])
                continue
            share = "" if part["share"] is None else f"{part['share']:.1%}"
            kept = "" if part["kept"] is None else f"{part['kept']:,} of {part['elements'] or 0:,}"
            norm = "" if part["norm"] is None else f"{part['norm']:.4g}"
            rows.append([*told, f"{part['weight']:g}", norm, share, kept])
    columns = [Column("tensor"), Column("skill")]
    columns += [Column(name, right=True) for name in ("weight", "norm", "share", "kept")]
    print_grid("skills by tensor", columns, rows)
    if not answer.recorded:
        remark("norms, shares and counts are told by the store that made it, not by its folder")


def _descendants(answer: Audit) -> None:
    """What came of this version: how many of each kind, and the newest of them."""
    counts = answer.counts["descendants"]
    spelled = ", ".join(number_text(count, f"{kind}s") for kind, count in counts.items())
    newest(f"descendants: {spelled}", answer.descendants, _DESCENDANT, sum(counts.values()))


@dataclass(frozen=True)
class _Lineage:
    """A lineage graph, indexed for walking down from a child to its parents.

    ``used``: the statistics that recipes merge with; None where there is no recipe. ``full``: with times, and what
    files said of trainings.
    """

    nodes: Mapping[str, Node]
    parents: Mapping[str, list[Mapping[str, Any]]]
    root: str
    used: Set[str] | None
    full: bool

    @classmethod
    def of(cls, answer: Audit, *, full: bool) -> _Lineage:
        parents: dict[str, list[Mapping[str, Any]]] = {}
        for edge in answer.lineage["edges"]:
            parents.setdefault(edge["child"], []).append(edge)
        recipes = [node["recipe"] for node in answer.lineage["nodes"] if node.get("recipe")]
        return cls(
            nodes={node["id"]: node for node in answer.lineage["nodes"]},
            parents=parents,
            root=f"{answer.name}@{answer.version}" if answer.name else answer.kind,
            used={each for recipe in recipes for each in recipe.get("statistics", {}).values()} if recipes else None,
            full=full,
        )

    def lines(self, root: str) -> Iterator[str]:
        """The tree below ``root``, a line for each version; what was told before is named, and no more."""
        yield self._label(self.nodes[root])
        pending, told = self._branches(root, ""), {root}
        while pending:
            edge, stem, last = pending.pop()
            parent = edge["parent"]
            yield f"{stem}{'└── ' if last else '├── '}{self._part(edge, again=parent in told)}"
            if parent not in told:
                told.add(parent)
                pending += self._branches(parent, stem + ("    " if last else "│   "))

    def _branches(self, child: str, stem: str) -> list[tuple[Mapping[str, Any], str, bool]]:
        """The edges to the parents of ``child`` with what stands before them, last one first."""
        edges = self.parents.get(child, [])
        return [(edge, stem, edge is edges[-1]) for edge in reversed(edges)]

    def _part(self, edge: Mapping[str, Any], *, again: bool) -> str:
        """The version that ``edge`` leads to, and its part in what was made of it."""
        parent = self.nodes[edge["parent"]]
        weight = f"{spelled(edge['weight'])} * " if "weight" in edge else ""
        role = "" if edge["role"] == parent["kind"] else f"{edge['role']} of "
        own = f" {spelled_pairs(edge['parameters'])}" if edge.get("parameters") else ""
        above = ", as above" if again and parent["id"] in self.parents else ""
        return f"{weight}{role}{_named(parent) if again else self._label(parent)}{own}{above}"

    def _label(self, node: Node) -> str:
        """A version in full; that it was withdrawn stands before all else."""
        why = f": {node.get('reason') or 'why is told by the store that made it'}" if node["state"] != "ready" else ""
        return f"{_named(node)}{why} ({', '.join(self._marks(node))})"

    def _marks(self, node: Node) -> Iterator[str]:
        """What a reviewer looks for: identity, method or encoding with seeds, licence, and who."""
        yield digest_text(node["digest"])
        if node.get("recipe") and node["id"] != self.root:  # whose recipe is told below
            yield f"{'' if node['kind'] == 'merge' else 'made by '}{method_line(node['recipe'])}"
        if node.get("encoding"):
            size = f", {size_text(node['stored_bytes'])}" if "stored_bytes" in node else ""
            yield f"{node['encoding']}{_chosen(node)}{size}{_measured(node)}"
        for each in node.get("collected") or ():
            if self.used is None or each["digest"] in self.used:
                told = f"{each['kind']} of {number_text(each['examples'], 'examples')}"
                yield told if self.used is None else f"{told}, {digest_text(each['digest'])}"
        if node.get("licence"):
            yield str(node["licence"])
        run = node.get("training_run")
        for key, value in node.get("training", {}).get("meta", {}).items():
            yield f"training run {value}" if value == run else f"{key} {value}"
        for origin, said in node.get("training", {}).items() if self.full else ():
            if origin != "meta":
                yield from (f"{origin} {key}: {value}" for key, value in said.items())
        if node.get("created_by"):
            at = f" at {time_text(node['created_at'])}" if self.full and node.get("created_at") else ""
            yield f"by {node['created_by']}{at}"
        if came := node.get("imported"):
            yield f"made as {came['was']} by {came['made']['by']} in store {came['made']['store'][:_DIGITS]}"
        if node.get("pinned"):
            yield f"pinned: {node['pinned']['reason']}"


def _named(node: Node) -> str:
    """What a version is, with its state if that is not ready."""
    named = f" {node['name']}@{node['version']}" if node["name"] else ""
    return f"{node['kind']}{named}{'' if node['state'] == 'ready' else ' ' + node['state'].upper()}"


def _chosen(node: Node) -> str:
    """Which values a skill keeps, and how."""
    if node["drop_rate"] is not None:
        return f" {node['values']}, p {node['drop_rate']:.3g}, seed {node['seed']}"
    if node["density"] is not None:
        return f" {node['values']}, density {node['density']:g}, trim {node['trim']}"
    return ""


def _measured(node: Node) -> str:
    """How large the delta is as a whole; a store has advice beside it, a manifest has not."""
    measured: Mapping[str, Any] = node.get("statistics") or {}
    total: Mapping[str, Any] = measured.get("total", measured)
    norm = total.get("norm")
    return "" if norm is None else f", norm {norm:.4g}"
