"""What is in a published folder: from its manifest, and from the records of a store that knows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from merging.recipes.stored import read_recipe
from registry.audits.audit import RESULT, audit, result_node
from registry.audits.recorded import on_record
from registry.directories import manifest_problems, read_manifest
from registry.licences.combined import combined
from registry.made_by import inputs_of, nearby, told_graph
from registry.published_lineage import is_coded, is_told
from registry.publishing import MANIFEST
from registry.records.tables import KINDS, Materialization
from registry.results import Audit
from storage.checkpoints.tensors import listed
from storage.digests import is_digest, json_digest
from storage.errors import IntegrityFailure, in_words

_OF_A_SKILL = ("encoding", "values", "drop_rate", "seed", "density", "trim", "statistics")


def audit_folder(folder: Path, session: Session | None = None, newest: int | None = None) -> Audit:
    """What a published folder says of itself, with the records of the store if this has made it.

    The manifest is compared with its own digests; the weights are not read (``verify`` does that). Raises
    IntegrityFailure where there is no manifest, or none that can be read.
    """
    document = read_manifest(folder)
    check_told(folder, document)
    checks = [*_checks(folder, document), _records(session, folder, document)]
    made = made_here(session, document) if session is not None else None
    if made is None or session is None:
        return replace(_told(document), checks=checks, recorded=False)
    return replace(audit(session, made.recipe_digest, newest), checks=checks)


def refuse_untrue(folder: Path, found: Audit) -> None:
    """Raise IntegrityFailure for a folder of which a check has found that it cannot be believed."""
    for check in found.checks:
        if check["ok"] is False:
            raise IntegrityFailure(
                f"{folder} is not to be believed: {check['what']}: {check['detail']}",
                hint="nothing is made of what cannot be true: ask whoever published it",
            )


def made_here(session: Session, document: Mapping[str, Any]) -> Materialization | None:
    """The newest record of what a manifest tells of; None where the store did not make it."""
    query = select(Materialization).where(
        Materialization.recipe_digest == document["recipe_digest"],
        Materialization.output_digest == document["output_digest"],
    )
    return session.scalars(query.order_by(Materialization.created_at.desc())).first()


def _checks(folder: Path, document: dict[str, Any]) -> list[dict[str, Any]]:
    problems = [problem["what"] for problem in manifest_problems(folder, document)]
    told = {"what": "manifest", "ok": not problems, "detail": "; ".join(problems) or "hashes to its own digests"}
    inputs = read_recipe(document["recipe"]).inputs
    missing = sorted(set(inputs) - {node["digest"] for node in document["lineage"]["nodes"]})
    odd = [f"lacks {listed(missing, 2)} of the recipe"] if missing else []
    odd += _odd_recipes(document["lineage"])
    detail = "; ".join(odd) or "holds every input of the recipe"
    lineage = {"what": "lineage", "ok": not odd, "detail": detail}
    count = len(document["tensors"])
    weights = {"what": "weights", "ok": None, "detail": f"{count:,} tensors, not read: `mergestore verify` does that"}
    return [told, lineage, weights]


def _records(session: Session | None, folder: Path, document: Mapping[str, Any]) -> dict[str, Any]:
    """Whether the folder says what the store has on record; ``differences`` are all that it says otherwise."""
    found = on_record(session, folder, document) if session is not None else None
    if found is None:
        who = "no store was asked" if session is None else "this store has not made it"
        return {"what": "records", "ok": None, "detail": f"{who}: all of this is what the folder says of itself"}
    detail = f"this store published otherwise: {found.told}" if found.differences else "is what this store published"
    return {"what": "records", "ok": not found.differences, "detail": detail, "differences": list(found.differences)}


def _odd_recipes(graph: Mapping[str, Any]) -> list[str]:
    """What is wrong with the recipes of what was merged before: each must be its merge's, and read its parents."""
    near, odd = nearby(graph), []
    for node in graph["nodes"]:
        if recipe := node.get("recipe"):
            if node["kind"] == "merge" and json_digest(recipe) != node["digest"]:
                odd.append(f"the recipe of {node['id']} does not hash to its digest")
            elif missing := sorted(inputs_of(recipe) - near[node["id"]]):
                odd.append(f"lacks {listed(missing, 2)} of the recipe of {node['id']}")
    return odd


def check_told(folder: Path, document: Mapping[str, Any]) -> None:
    """Refuse a manifest whose parts are not what they are in one that was published: anybody may have written it.

    What manifests of earlier versions do not tell of their lineage may be missing.
    """
    try:
        read_recipe(document["recipe"])
        nodes, edges = document["lineage"]["nodes"], document["lineage"]["edges"]
        known = {node["id"] for node in nodes}
        sound = (
            len(known) == len(nodes)
            and RESULT not in known
            and all(_is_node(node) for node in nodes)
            and all({edge["child"], edge["parent"]} <= known and isinstance(edge["role"], str) for edge in edges)
            and all(_is_named(each) for each in _named(document))
            and all(is_coded(each) for each in document["skills"])
            and {f"{each['name']}@{each['version']}" for each in _named(document)} <= known
            and isinstance(document.get("expression"), str)
        )
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise IntegrityFailure(f"{folder / MANIFEST} is damaged: {in_words(error):.200}") from error
    if not sound:
        raise IntegrityFailure(f"{folder / MANIFEST} is damaged: its lineage is none", hint="ask whoever published it")


def _named(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    parts = [document["base"], *document.get("other_bases", ()), *document["skills"]]
    return [*parts, *filter(None, [document.get("head"), document.get("merge")])]


def _is_node(node: Mapping[str, Any]) -> bool:
    said = isinstance(node["id"], str) and node["kind"] in KINDS and isinstance(node["state"], str)
    return said and _is_named(node) and is_told(node)


def _is_named(part: Mapping[str, Any]) -> bool:
    return (
        isinstance(part["name"], str)
        and type(part["version"]) is int
        and is_digest(part["digest"])
        and isinstance(part["licence"], str | None)
    )


def _told(document: Mapping[str, Any]) -> Audit:
    """What a manifest alone tells."""
    merge, recipe = document.get("merge"), document["recipe_digest"]
    skills = {skill["digest"]: skill for skill in document["skills"]}
    nodes = [_node(node, skills.get(node["digest"], {})) for node in document["lineage"]["nodes"]]
    edges = list(document["lineage"]["edges"])
    if merge is None:
        parts = [("base", document["base"]), *(("base", each) for each in document.get("other_bases", ()))]
        parts += [("skill", skill) for skill in document["skills"]]
        parts += [("head", document["head"])] if document.get("head") else []
        edges += [
            {"child": RESULT, "parent": f"{part['name']}@{part['version']}", "role": role} for role, part in parts
        ]
        nodes.append(result_node(recipe, document["recipe"]))
    return Audit(
        name=merge["name"] if merge else None,
        version=merge["version"] if merge else None,
        kind="merge" if merge else RESULT,
        digest=recipe,
        expression=document.get("expression"),
        recipe_digest=recipe,
        recipe=document["recipe"],
        lineage=(graph := told_graph({"nodes": nodes, "edges": edges}, recipe, document["recipe"])),
        licences=combined(graph, [f"{merge['name']}@{merge['version']}" if merge else RESULT]),
        descendants=[],
        counts={"descendants": {}, "materializations": 0, "evaluations": 0, "events": 0},
    )


def _node(node: Mapping[str, Any], skill: Mapping[str, Any]) -> dict[str, Any]:
    return {**node, **{name: skill[name] for name in _OF_A_SKILL if name in skill}}
