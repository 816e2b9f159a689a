"""Parts of a bill of materials: components, model cards, licences, hashes and properties, as CycloneDX has them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from registry.hub import hub_place, package_url
from registry.inherited import Training, is_repository, named_datasets, task
from registry.licences.spdx import UNSTATED, understood

Node = Mapping[str, Any]

_ALGORITHMS = {"blake3": "BLAKE3", "sha256": "SHA-256"}
_STORED = ("encoding", "values", "drop_rate", "seed", "density", "trim", "stored_bytes", "expression")
HUB = "https://huggingface.co"


def component(node: Node, parents: Sequence[Node], source: str | None, weights: Mapping[str, Any]) -> dict[str, Any]:
    """One version of the lineage: what it is, by which digest, under which licence, made of what, with which part.

    ``weights``: by the property that tells them.
    """
    training = node.get("training") or {}
    stated = understood(node.get("licence") or "")
    found = {
        **_named(node),
        "bom-ref": node["id"],
        **_origin(source),
        "modelCard": model_card(task([training]), datasets([training]), None, [], [node] if _withdrawn(node) else []),
        "pedigree": {"ancestors": [_named(parent) for parent in parents]},
        "properties": properties({**_facts(node), **weights}),
    }
    if stated != UNSTATED:
        found["licenses"] = licences(str(stated))
    if not parents:
        del found["pedigree"]
    return found


def licences(expression: str) -> list[dict[str, str]]:
    """An SPDX expression as somebody declared it."""
    return [{"expression": expression, "acknowledgement": "declared"}]


def hashes(digest: str) -> list[dict[str, str]]:
    """A digest as CycloneDX writes it."""
    algorithm, _, digits = digest.partition(":")
    return [{"alg": _ALGORITHMS[algorithm], "content": digits}]


def datasets(trainings: Iterable[Training]) -> list[dict[str, Any]]:
    """Every data set that is named; those that the Hub may have with their address there."""
    names = sorted({name for training in trainings for name in named_datasets(training)})
    return [
        {"type": "dataset", "name": name}
        | ({"contents": {"url": f"{HUB}/datasets/{name}"}} if is_repository(name) and "/" in name else {})
        for name in names
    ]


def model_card(
    named_task: str | None,
    data: Sequence[Mapping[str, Any]],
    config: Mapping[str, Any] | None,
    scores: Sequence[Mapping[str, Any]],
    withdrawn: Sequence[Node],
) -> dict[str, Any]:
    """What is known of a model: its task, architecture and data, how it scored, and what of it was taken out of use."""
    config = config or {}
    architectures = config.get("architectures")
    parameters = {
        "task": named_task,
        "architectureFamily": config.get("model_type"),
        "modelArchitecture": architectures[0] if isinstance(architectures, list) and architectures else None,
        "datasets": list(data),
    }
    metrics = [
        {"type": score["metric"], "value": _spelled(score["value"]), "slice": score["dataset"]} for score in scores
    ]
    limits = [f"{node['id']} is {node['state']}: {node.get('reason') or 'no reason is known'}" for node in withdrawn]
    card = {
        "modelParameters": {name: value for name, value in parameters.items() if _is_sayable(value)},
        "quantitativeAnalysis": {"performanceMetrics": metrics} if metrics else {},
        "considerations": {"technicalLimitations": limits} if limits else {},
    }
    return {name: value for name, value in card.items() if value}


def properties(facts: Mapping[str, Any]) -> list[dict[str, str]]:
    """Facts that CycloneDX has no field for, under our own name, without those that say nothing."""
    told = {f"mergestore:{name}": value for name, value in facts.items() if value not in (None, "", [], {})}
    return [{"name": name, "value": _spelled(value)} for name, value in sorted(told.items())]


def _named(node: Node) -> dict[str, Any]:
    """What identifies a version. A merge is a recipe: its digest is none of a model's content."""
    found: dict[str, Any] = {"type": "machine-learning-model", "name": node["name"] or "result"}
    if node["version"] is not None:
        found["version"] = str(node["version"])
    if node["kind"] in ("base", "skill"):
        found["hashes"] = hashes(node["digest"])
    return found


def _origin(source: str | None) -> dict[str, Any]:
    place = hub_place(source)
    if place is None:
        return {}
    repository, revision = place
    address = f"{HUB}/{repository}" + (f"/tree/{revision}" if revision else "")
    return {
        "purl": package_url(repository, revision),
        "externalReferences": [{"type": "distribution", "url": address}],
    }


def _facts(node: Node) -> dict[str, Any]:
    training = node.get("training") or {}
    said = {f"training:{origin}:{key}": value for origin, facts in training.items() for key, value in facts.items()}
    stored = {name: node.get(name) for name in _STORED}
    own = {"kind": node["kind"], "digest": node["digest"], "state": node["state"], "reason": node.get("reason")}
    recipe = node.get("recipe") or {}
    merged = {word: recipe.get(word) for word in ("method", "semantics", "parameters")}
    return {**said, **stored, **own, **merged, "recipe": recipe}


def _withdrawn(node: Node) -> bool:
    return bool(node["state"] != "ready")


def _is_sayable(value: Any) -> bool:
    return bool(value) if isinstance(value, list) else isinstance(value, str) and value.isprintable()


def _spelled(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)
