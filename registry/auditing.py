"""Answers about what is registered: lists, one version in full, and the lineage of a model."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy.orm import Session

from registry.records import events
from registry.records.aliases import alias_history, aliases
from registry.records.catalog import list_versions, resolve, versions
from registry.records.contents import load_delta, load_files
from registry.records.lineage import ancestors
from registry.records.names import parse_reference
from registry.records.recipes import load_recipe, materializations
from registry.records.tables import Materialization, ModelVersion
from registry.results import Audit, Listing
from storage.digests import parse_json


def listing(session: Session, kind: str | None = None) -> Listing:
    """The newest ready version of every name, by kind."""
    by_version: dict[int, list[str]] = {}
    for version_id, alias in aliases(session):
        by_version.setdefault(version_id, []).append(alias)
    found: dict[str, list[dict[str, Any]]] = {"base": [], "skill": [], "merge": []}
    for version in list_versions(session, kind):
        found[version.kind].append({**_summary(version), "aliases": by_version.get(version.id, [])})
    return Listing(found["base"], found["skill"], found["merge"])


def show(session: Session, reference: str) -> dict[str, Any]:
    """One version in full, with every version and alias of its name."""
    version = resolve(session, parse_reference(reference))
    document = {**_summary(version), "kind": version.kind, "attributes": version.attributes}
    document["aliases"] = [alias for id_, alias in aliases(session, version.model_id) if id_ == version.id]
    document["versions"] = [_summary(each) for each in versions(session, version.name)]
    document["alias_history"] = alias_history(session, version.model_id)
    document["files"] = [
        {"path": file.path, "size": file.size, "digest": file.digest, "referenced": file.referenced_path}
        for file in load_files(session, version.id)
    ]
    return {**document, **_by_kind(session, version)}


def audit(session: Session, reference: str) -> Audit:
    """The lineage of one version down to its base, the recipe, what was made of it, and every recorded event."""
    version = resolve(session, parse_reference(reference))
    graph = ancestors(session, version.id)
    is_merge = version.kind == "merge"
    recipe = parse_json(load_recipe(session, version.digest).canonical) if is_merge else None
    made = materializations(session, version.digest) if is_merge else []
    subjects = [node.id for node in graph.nodes] + ([version.digest] if is_merge else [])
    return Audit(
        name=version.name,
        version=version.version,
        kind=version.kind,
        digest=version.digest,
        recipe_digest=version.digest if is_merge else None,
        recipe=recipe,
        lineage={"nodes": list(_nodes(session, graph.to_dict()["nodes"])), "edges": graph.to_dict()["edges"]},
        materializations=[_materialization(each) for each in made],
        events=events.of(session, subjects),
    )


def _nodes(session: Session, nodes: Iterable[dict[str, Any]]) -> Iterable[dict[str, Any]]:
    """Lineage nodes with what a reviewer asks next: encoding, seed, who, when, from where."""
    for node in nodes:
        version = resolve(session, parse_reference(node["id"]))
        more: dict[str, Any] = {
            "created_at": version.created_at.isoformat(),
            "created_by": version.created_by,
            "source": version.source,
            "reason": version.reason,
        }
        delta = load_delta(session, version.id)
        if delta is not None:
            more |= {
                "encoding": delta.encoding,
                "values": delta.values,
                "drop_rate": delta.drop_rate,
                "seed": delta.seed,
                "stored_bytes": delta.stored_bytes,
                "statistics": delta.statistics,
            }
        if version.kind == "merge":
            more["expression"] = version.attributes.get("expression")
        yield {**node, **more}


def _summary(version: ModelVersion) -> dict[str, Any]:
    return {
        "name": version.name,
        "version": version.version,
        "digest": version.digest,
        "state": version.state,
        "reason": version.reason,
        "licence": version.licence,
        "source": version.source,
        "created_at": version.created_at.isoformat(),
        "created_by": version.created_by,
    }


def _by_kind(session: Session, version: ModelVersion) -> dict[str, Any]:
    if version.kind == "merge":
        recipe = load_recipe(session, version.digest)
        return {
            "recipe": parse_json(recipe.canonical),
            "materializations": [_materialization(each) for each in materializations(session, version.digest)],
        }
    delta = load_delta(session, version.id)
    if delta is None:
        return {}
    base = session.get_one(ModelVersion, delta.base_version_id)
    return {
        "base": {"name": base.name, "version": base.version, "digest": base.digest},
        "encoding": delta.encoding,
        "values": delta.values,
        "drop_rate": delta.drop_rate,
        "seed": delta.seed,
        "stored_bytes": delta.stored_bytes,
        "statistics": delta.statistics,
    }


def _materialization(made: Materialization) -> dict[str, Any]:
    return {
        "materialization_id": made.id,
        "recipe_digest": made.recipe_digest,
        "output_digest": made.output_digest,
        "device": made.device,
        "engine": made.engine,
        "versions": made.versions,
        "seconds": made.seconds,
        "bytes": made.bytes,
        "path": made.path,
        "cached": made.cached,
        "mlflow_run_id": made.mlflow_run_id,
        "created_at": made.created_at.isoformat(),
        "created_by": made.created_by,
    }
