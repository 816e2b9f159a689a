"""Answers about what is registered: lists, one version in full, and statistics."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from registry.home import Home
from registry.opening import open_statistics
from registry.records.aliases import alias_history, aliases
from registry.records.catalog import Listed, list_versions, look_up, versions
from registry.records.contents import coding_facts, load_delta, load_files
from registry.records.evaluations import evaluations
from registry.records.lineage import parents
from registry.records.lookup import versions_by_id
from registry.records.pins import pin_facts, pins
from registry.records.readiness import yank_facts
from registry.records.recipes import (
    materializations,
    merge_recipes,
    policies_kept,
    read_canonical,
    recipe_document,
)
from registry.records.statistics import all_statistics, find_statistics, load_statistics
from registry.records.tables import Delta, Materialization, ModelVersion, Recipe, RecipeInput, Statistics
from registry.registering.training import mlflow_run
from registry.results import Listing
from registry.scores import told
from storage.errors import IntegrityFailure


def listing(session: Session, kind: str | None = None) -> Listing:
    """The newest ready version of every name, by kind."""
    by_version: dict[int, list[str]] = {}
    for version_id, alias in aliases(session):
        by_version.setdefault(version_id, []).append(alias)
    pinned = pins(session)
    found: dict[str, list[dict[str, Any]]] = {"base": [], "skill": [], "merge": []}
    for version in list_versions(session, kind):
        more = {"pinned": pin_facts(pinned.get(version.id)), "aliases": by_version.get(version.id, [])}
        found[version.kind].append({**version_facts(version), **more})
    return Listing(found["base"], found["skill"], found["merge"])


def show(session: Session, reference: str) -> dict[str, Any]:
    """One version in full, with every version and alias of its name."""
    version = look_up(session, reference)
    document = {**version_facts(version), "kind": version.kind, "attributes": version.attributes}
    document["training_run"] = training_facts(version)["training_run"]
    document["pinned"] = pin_facts(pins(session, [version.id]).get(version.id))
    document["yanked"] = yank_facts(session, version)
    document["aliases"] = [alias for id_, alias in aliases(session, version.model_id) if id_ == version.id]
    document["versions"] = [version_facts(each) for each in versions(session, version.name)]
    document["alias_history"] = alias_history(session, version.model_id)
    document["files"] = [
        {"path": file.path, "size": file.size, "digest": file.digest, "referenced": file.referenced_path}
        for file in load_files(session, version.id)
    ]
    recipes = [version.digest] if version.kind == "merge" else []
    document["evaluations"] = told(session, evaluations(session, [version.id], recipes))
    return {**document, **_by_kind(session, version)}


def version_facts(version: ModelVersion | Listed) -> dict[str, Any]:
    """What every version has, of whatever kind."""
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


def training_facts(version: ModelVersion) -> dict[str, Any]:
    """What is known of how a base or skill was trained, and the MLflow run that did it."""
    training = version.attributes.get("training", {})
    return {"training": training, "training_run": mlflow_run(training.get("meta", {}))}


def _by_kind(session: Session, version: ModelVersion) -> dict[str, Any]:
    if version.kind == "merge":
        made = made_of(session, merge_recipes(session, version.id, version.digest))
        inputs = [
            {"role": role, "reference": parent.reference, "digest": parent.digest}
            for parent, role in parents(session, version.id)
        ]
        told = {"inputs": inputs, "recipe": recipe_document(session, version.digest)}
        return {**told, "materializations": made}
    if version.kind == "base":
        return {}
    delta = load_delta(session, version.id)
    if delta is None:
        raise IntegrityFailure(
            f"{version.reference}: the record of its delta is missing", hint="run `mergestore verify`"
        )
    base = session.get_one(ModelVersion, delta.base_version_id)
    collected = [_collected(version, each) for each in load_statistics(session, [version.id])]
    named = {"name": base.name, "version": base.version, "digest": base.digest}
    return {"base": named, **delta_facts(delta), "collected": collected}


def delta_facts(delta: Delta) -> dict[str, Any]:
    """How a skill is stored, and what was measured of it."""
    return {**coding_facts(delta), "stored_bytes": delta.stored_bytes, "statistics": delta.statistics}


def statistics(session: Session, reference: str | None = None) -> list[dict[str, Any]]:
    """What was collected of one skill's version, or of all, oldest first."""
    if reference is None:
        found = all_statistics(session)
        skills = versions_by_id(session, {record.version_id for record in found})
    else:
        version = look_up(session, reference, kinds=("skill",))
        found, skills = load_statistics(session, [version.id]), {version.id: version}
    return [_collected(skills[record.version_id], record) for record in found]


def show_statistics(session: Session, home: Home, digest: str) -> dict[str, Any]:
    """Statistics in full, by their digest or how it begins: what is recorded, and what their file says of itself."""
    record = find_statistics(session, digest)
    with open_statistics(session, home, record.digest) as file:
        manifest, software = file.manifest, file.software
    uses = manifest.tensors.items()
    return {
        **_collected(session.get_one(ModelVersion, record.version_id), record),
        "settings": record.settings,
        "blob_digest": record.blob_digest,
        "bytes": home.blobs.size(record.blob_digest),
        "norm": manifest.norm,
        "software": software,
        "tensors": {name: {**use.to_dict(), **manifest.payloads[use.payload].to_dict()} for name, use in uses},
    }


def _collected(version: ModelVersion, record: Statistics) -> dict[str, Any]:
    return {
        "skill": version.reference,
        "kind": record.kind,
        "digest": record.digest,
        "examples": record.examples,
        "data_digest": record.data_digest,
        "model_digest": record.model_digest,
        "created_at": record.created_at.isoformat(),
        "created_by": record.created_by,
    }


def made_of(session: Session, recipes: Collection[str], newest: int | None = None) -> list[dict[str, Any]]:
    """What was made of recipes, newest first, all or so many: with the skill whose model a result is, as ``task``, and
    the ``policies`` that it was compared with.
    """
    made = materializations(session, recipes, newest)
    tasks, kept = _tasks(session, {each.recipe_digest for each in made}), policies_kept(session, recipes, newest)
    return [
        {**materialization_facts(each), "task": tasks.get(each.recipe_digest), "policies": kept.get(each.id, [])}
        for each in made
    ]


def _tasks(session: Session, recipes: Collection[str]) -> dict[str, str]:
    """The skill whose model a recipe makes, by the recipe's digest, where it names one."""
    query = select(Recipe.digest, Recipe.canonical).where(Recipe.digest.in_(recipes), Recipe.method == "emr")
    asked = {digest: read_canonical(digest, canonical).get("task") for digest, canonical in session.execute(query)}
    inputs = (
        select(RecipeInput.recipe_digest, ModelVersion)
        .join(ModelVersion, ModelVersion.id == RecipeInput.version_id)
        .where(RecipeInput.recipe_digest.in_([digest for digest, task in asked.items() if task]))
    )
    read = session.execute(inputs) if any(asked.values()) else ()
    return {digest: version.reference for digest, version in read if version.digest == asked[digest]}


def materialization_facts(made: Materialization) -> dict[str, Any]:
    """What was made of a recipe, where and how."""
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
        "mlflow_version": made.mlflow_version,
        "created_at": made.created_at.isoformat(),
        "created_by": made.created_by,
    }
