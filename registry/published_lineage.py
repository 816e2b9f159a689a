"""The lineage as a manifest tells it: what a store knows of each version, but people, times and places of its machine.

All of it follows from what was registered, so that the same models give the same papers in every store. Anybody may
have written a manifest that is read: ``is_told`` says whether its nodes are such as one that was published has.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from sqlalchemy.orm import Session

from merging.recipes.stored import read_recipe
from registry.recipes_within import recipes_within
from registry.records.contents import coding_facts, load_deltas
from registry.records.lineage import Lineage
from registry.records.tables import Delta, ModelVersion
from storage.digests import canonical_json
from storage.errors import InputRefused

_PLACE = re.compile(r"[/\\~]|[A-Za-z]:[/\\]|file:")
_CODED: Mapping[str, type | tuple[type, ...]] = {
    "encoding": str,
    "values": str,
    "drop_rate": (int, float),
    "seed": int,
    "density": (int, float),
    "trim": str,
}
_PLAIN = (str, int, float, bool)


def lineage_facts(session: Session, graph: Lineage, versions: Mapping[str, ModelVersion]) -> dict[str, dict[str, Any]]:
    """What is known of each version of a lineage, by reference, beside what every node has."""
    recipes = recipes_within(session, graph, versions)
    deltas = load_deltas(session, (version.id for version in versions.values()))
    found = {}
    for reference, version in versions.items():
        facts = {
            "source": public_source(version.source),
            "reason": version.reason,
            "expression": version.attributes.get("expression") if version.kind == "merge" else None,
            "recipe": recipes.get(reference),
            "training": _public_training(version.attributes.get("training", {})),
        }
        told = {name: fact for name, fact in facts.items() if fact}
        found[reference] = told | (told_coding(deltas[version.id]) if version.id in deltas else {})
    return found


def told_coding(delta: Delta) -> dict[str, Any]:
    """How a skill is stored, and what was measured of its delta as a whole."""
    return {**coding_facts(delta), "statistics": delta.statistics.get("total", {})}


def public_source(source: str | None) -> str | None:
    """A source that others can use; a path of this machine is nobody's business."""
    return source if source and source.startswith("hf:") else None


def _public_training(training: Mapping[str, Any]) -> dict[str, Any]:
    """What is known of a training that can be told: nothing that names a place of the machine where it was."""
    kept = {
        origin: {key: value for key, value in said.items() if _can_be_told(key, value)}
        for origin, said in training.items()
    }
    return {origin: said for origin, said in kept.items() if said}


def _can_be_told(key: str, value: Any) -> bool:
    try:
        canonical_json([key, value])
    except InputRefused:
        return False  # what trainers write may hold characters that no document can
    texts = [each for each in (value if isinstance(value, list) else [value]) if isinstance(each, str)]
    return not any(map(_PLACE.match, texts))


def is_told(node: Mapping[str, Any]) -> bool:
    """Whether what a node tells beside its name and digest is of the types that it is told in.

    Raises IntegrityFailure for a recipe that is none.
    """
    if "recipe" in node:
        read_recipe(node["recipe"])
    texts = all(isinstance(node.get(name), str | None) for name in ("source", "reason", "expression"))
    training = node.get("training", {})
    return (
        texts
        and is_coded(node)
        and isinstance(training, dict)
        and all(isinstance(said, dict) and all(map(_is_plain, said.values())) for said in training.values())
    )


def is_coded(node: Mapping[str, Any]) -> bool:
    """Whether what is told of how a skill is stored is of the types that it is told in."""
    said = all(node.get(name) is None or _is(node[name], types) for name, types in _CODED.items())
    measured = node.get("statistics", {})
    return (
        said
        and isinstance(measured, dict)
        and all(each is None or _is(each, (int, float)) for each in measured.values())
    )


def _is(value: Any, types: type | tuple[type, ...]) -> bool:
    return isinstance(value, types) and not isinstance(value, bool)


def _is_plain(value: Any) -> bool:
    return isinstance(value, _PLAIN) or (isinstance(value, list) and all(isinstance(each, _PLAIN) for each in value))
