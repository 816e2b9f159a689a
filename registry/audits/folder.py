"""What is in a published folder: from its manifest, and from the records of a store that knows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from registry.audits.audit import RESULT, audit, result_node
from registry.directories import manifest_problems, read_manifest
from registry.records.tables import Materialization
from registry.results import Audit

_OF_A_SKILL = ("encoding", "values", "drop_rate", "seed", "density", "trim", "statistics")


def audit_folder(folder: Path, session: Session | None = None, newest: int | None = None) -> Audit:
    """What a published folder says of itself, with the records of the store if this has made it.

    The manifest is compared with its own digests; the weights are not read (``verify`` does that). Raises
    IntegrityFailure where there is no manifest, or none that can be read.
    """
    document = read_manifest(folder)
    checks = _checks(folder, document)
    made = _made(session, document) if session is not None else None
    if made is None or session is None:
        return replace(_told(document), checks=checks, recorded=False)
    return replace(audit(session, made.recipe_digest, newest), checks=checks)


def _made(session: Session, document: Mapping[str, Any]) -> Materialization | None:
    query = select(Materialization).where(
        Materialization.recipe_digest == document["recipe_digest"],
        Materialization.output_digest == document["output_digest"],
    )
    return session.scalars(query.order_by(Materialization.created_at.desc())).first()


def _checks(folder: Path, document: dict[str, Any]) -> list[dict[str, Any]]:
    problems = [problem["what"] for problem in manifest_problems(folder, document)]
    told = {"what": "manifest", "ok": not problems, "detail": "; ".join(problems) or "hashes to its own digests"}
    count = len(document["tensors"])
    weights = {"what": "weights", "ok": None, "detail": f"{count:,} tensors, not read: `mergestore verify` does that"}
    return [told, weights]


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
        nodes.append(result_node(recipe))
    return Audit(
        name=merge["name"] if merge else None,
        version=merge["version"] if merge else None,
        kind="merge" if merge else RESULT,
        digest=recipe,
        expression=document.get("expression"),
        recipe_digest=recipe,
        recipe=document["recipe"],
        lineage={"nodes": nodes, "edges": edges},
        descendants=[],
        counts={"descendants": {}, "materializations": 0, "events": 0},
    )


def _node(node: Mapping[str, Any], skill: Mapping[str, Any]) -> dict[str, Any]:
    return {**node, **{name: skill[name] for name in _OF_A_SKILL if name in skill}}
