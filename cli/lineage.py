"""The audit as a tree: what a model is made of, down to base models, with digests, seeds and licences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cli.console import remark, say
from cli.grid import Column, print_grid
from cli.tables import EVENT, SCORE, events, materializations, newest
from cli.units import digest_text, number_text, size_text
from merging.setting_text import spelled, spelled_pairs

if TYPE_CHECKING:
    from mergestore import Audit, Impact, Influence

Node = Mapping[str, Any]

_VERDICTS = {True: "ok", False: "DAMAGED", None: "unchecked"}
_DIGITS = 8  # of a store's identifier
_DESCENDANT = ("kind", "name", "version", "digest", "licence", "state")


def audit(answer: Audit) -> None:
    """The lineage tree, then what was made of it, what came of it, and who did what and when."""
    tree = _Lineage.of(answer)
    for line in tree.lines(tree.root):
        say(line)
    if answer.kind == "result" and answer.expression:
        say(f"expression {answer.expression}")
    if answer.recipe is not None:
        names = {node["digest"]: f"{node['name']}@{node['version']}" for node in answer.lineage["nodes"]}
        for line in _recipe(answer.recipe, names):
            say(line)
        say(f"recipe {answer.recipe_digest}")
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


def _recipe(recipe: Mapping[str, Any], names: Mapping[str, str]) -> Iterator[str]:
    """The method, and all else that makes the result what it is; models by their names."""
    parameters = "".join(f", {name} {spelled(value)}" for name, value in recipe["parameters"].items())
    semantics = recipe["semantics"]
    told = "" if semantics == "paper" else f", with the semantics of {semantics}"
    yield f"method {recipe['method']}{parameters}{told}"
    if recipe.get("dtype"):
        yield f"dtype {recipe['dtype']}"
    first = 0
    for part in recipe.get("slices", ()):
        models = (_stacked(model, part["layers"], names) for model in part["models"])
        own = f" {spelled_pairs(part['parameters'])}" if part["parameters"] else ""
        yield f"layers {first} to {first + part['layers'] - 1}: {', '.join(models)}{own}"
        first += part["layers"]
    if "vocabulary" in recipe:
        yield from _vocabulary(recipe["vocabulary"], names)
    for key in ("chat_template", "generation_config"):
        if key in recipe:
            source = recipe[key]["source"] if key == "chat_template" else recipe[key]
            yield f"{key.replace('_', ' ')} of {'a file' if source == 'file' else names.get(source, source)}"


def _stacked(model: Mapping[str, Any], layers: int, names: Mapping[str, str]) -> str:
    own = f" {spelled_pairs(model['parameters'])}" if model.get("parameters") else ""
    span = f"{model['first']} to {model['first'] + layers - 1}"
    return f"{spelled(model['weight'])} * layers {span} of {names.get(model['model'], model['model'])}{own}"


def _vocabulary(said: Mapping[str, Any], names: Mapping[str, str]) -> Iterator[str]:
    padded = f", padded to a multiple of {said['multiple']}" if "multiple" in said else ""
    added = f", with {', '.join(repr(token['text']) for token in said['tokens'])}" if said.get("tokens") else ""
    yield f"vocabulary of {names.get(said['source'], said['source'])}{added}{padded}"
    for rule in said.get("alignment", {}).get("rules", ()):
        row = f"row {rule['row']} of {names.get(rule['model'], rule['model'])}" if rule["model"] else "zeros"
        yield f"  token {rule['text']!r}: {row}{'' if rule['force'] else ', where it lacks'}"


def _descendants(answer: Audit) -> None:
    """What came of this version: how many of each kind, and the newest of them."""
    counts = answer.counts["descendants"]
    spelled = ", ".join(number_text(count, f"{kind}s") for kind, count in counts.items())
    newest(f"descendants: {spelled}", answer.descendants, _DESCENDANT, sum(counts.values()))


@dataclass(frozen=True)
class _Lineage:
    """A lineage graph, indexed for walking down from a child to its parents.

    ``used``: the statistics that the recipe merges with, by the skill's digest; None where there is no recipe.
    """

    nodes: Mapping[str, Node]
    parents: Mapping[str, list[Mapping[str, Any]]]
    root: str
    terms: Mapping[str, Mapping[str, Any]]  # of the recipe's models, by digest
    used: Mapping[str, str] | None

    @classmethod
    def of(cls, answer: Audit) -> _Lineage:
        parents: dict[str, list[Mapping[str, Any]]] = {}
        for edge in answer.lineage["edges"]:
            parents.setdefault(edge["child"], []).append(edge)
        recipe = answer.recipe or {}
        terms = [] if "slices" in recipe else recipe.get("terms", [])  # each slice has weights of its own
        by_digest = {term["skill"]: term for term in terms}
        if "base_term" in recipe:
            by_digest[recipe["base"]] = recipe["base_term"]
        return cls(
            nodes={node["id"]: node for node in answer.lineage["nodes"]},
            parents=parents,
            root=f"{answer.name}@{answer.version}" if answer.name else answer.kind,
            terms=by_digest,
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
        weighed = edge["child"] == self.root and edge["role"] in ("skill", "base") and parent["digest"] in self.terms
        term = self.terms[parent["digest"]] if weighed else {}
        weight = f"{spelled(term['weight'])} * " if weighed else ""
        role = "" if edge["role"] == parent["kind"] else f"{edge['role']} of "
        own = f" {spelled_pairs(term['parameters'])}" if term.get("parameters") else ""
        return f"{weight}{role}{self._label(parent)}{own}"

    def _label(self, node: Node) -> str:
        named = f" {node['name']}@{node['version']}" if node["name"] else ""
        return f"{node['kind']}{named} ({', '.join(self._marks(node))})"

    def _marks(self, node: Node) -> Iterator[str]:
        """What a reviewer looks for: identity, encoding and seed, licence, who, and whether it was withdrawn."""
        yield digest_text(node["digest"])
        if node.get("encoding"):
            size = f", {size_text(node['stored_bytes'])}" if "stored_bytes" in node else ""
            yield f"{node['encoding']}{_chosen(node)}{size}"
        for each in node.get("collected") or ():
            if self.used is None or self.used.get(node["digest"]) == each["digest"]:
                told = f"{each['kind']} of {number_text(each['examples'], 'examples')}"
                yield told if self.used is None else f"{told}, {digest_text(each['digest'])}"
        if node.get("licence"):
            yield str(node["licence"])
        run = node.get("training_run")
        for key, value in node.get("training", {}).get("meta", {}).items():
            yield f"training run {value}" if value == run else f"{key} {value}"
        if node.get("created_by"):
            yield f"by {node['created_by']}"
        if came := node.get("imported"):
            yield f"made as {came['was']} by {came['made']['by']} in store {came['made']['store'][:_DIGITS]}"
        if node.get("pinned"):
            yield f"pinned: {node['pinned']['reason']}"
        if node["state"] != "ready":
            yield f"{node['state'].upper()}: {node.get('reason') or 'why is told by the store that made it'}"


def _chosen(node: Node) -> str:
    """Which values a skill keeps, and how."""
    if node["drop_rate"] is not None:
        return f" {node['values']}, p {node['drop_rate']:.3g}, seed {node['seed']}"
    if node["density"] is not None:
        return f" {node['values']}, density {node['density']:g}, trim {node['trim']}"
    return ""
