"""What is in a model, from whom, and what came of it: from the records."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from registry.answers import delta_facts, made_of, training_facts
from registry.licences.combined import combined
from registry.made_by import Document, weighed
from registry.recipes_within import recipes_within
from registry.records import events
from registry.records.attestations import attestation_facts, attestations
from registry.records.catalog import look_up
from registry.records.contents import load_deltas
from registry.records.evaluations import count_evaluations, evaluations
from registry.records.imports import came_from
from registry.records.lineage import Edge, Lineage, Node, ancestors, count_descendants, newest_descendants
from registry.records.lookup import find_versions, versions_by_id
from registry.records.names import parse_reference
from registry.records.pins import pin_facts, pins
from registry.records.recipes import (
    count_materializations,
    merge_recipes,
    output_digests,
    recipe_document,
    recipe_inputs,
)
from registry.records.statistics import load_statistics
from registry.records.tables import Delta, Materialization, ModelVersion, Recipe
from registry.results import Audit
from registry.scores import told
from storage.checkpoints.tensors import listed
from storage.errors import Conflict, NotFound, UsageError

_DIGEST = re.compile(r"(?:blake3|sha256):[0-9a-f]{8,64}")
_FEWEST = 8
RESULT = "result"
"""The node of a recipe that no merge names."""


def audit(session: Session, target: str, newest: int | None = None) -> Audit:
    """What one version is made of, or what came out of a recipe: by a reference, or a digest or how it begins.

    A digest is that of a version, a recipe or an output. What grows with use (materializations, descendants, events)
    is cut to the ``newest`` so many of each, if given; ``counts`` says how many there are. Raises NotFound, or Conflict
    for the beginning of several digests.
    """
    if is_digest(target):
        return _of_digest(session, target, newest)
    return _of_version(session, look_up(session, target), newest)


def is_digest(target: str) -> bool:
    """Whether a target is a digest, or how one begins. Raises UsageError for one that cannot be looked up."""
    if _DIGEST.fullmatch(target):
        return True
    kind, colon, digits = target.partition(":")
    if not colon or kind.lower() not in ("blake3", "sha256"):
        return False
    most = f"a digest is blake3: or sha256: and {_FEWEST} to 64 digits, 0 to 9 and a to f"
    odd = re.search("[^0-9a-f]", digits)
    why = f"{odd[0]!r} is no digit of one" if odd else f"with {len(digits)} digits"
    raise UsageError(f"{target:.80} is no digest, and no beginning of one: {why}", hint=most)


def version_of(session: Session, target: str) -> ModelVersion:
    """The one version that a reference names, or whose content has a digest, or one that begins so.

    Raises NotFound, and Conflict where several versions have this content.
    """
    if not is_digest(target):
        return look_up(session, target)
    _version_of(session, target)  # which refuses the beginning of several digests
    found = list(session.scalars(select(ModelVersion).where(_begins(ModelVersion.digest, target))))
    if not found:
        raise NotFound(
            f"no version here has the digest {target}",
            hint="`mergestore list` shows those of versions; `mergestore audit` takes those of outputs, too",
        )
    if len(found) > 1:
        names = sorted(version.reference for version in found)
        raise Conflict(f"{len(found)} versions have the content {target}: {listed(names)}", hint="name one of them")
    return found[0]


def _of_digest(session: Session, digest: str, newest: int | None) -> Audit:
    version = _version_of(session, digest)
    if version is not None:
        return _of_version(session, version, newest)
    made = output_of(session, digest)
    if made is not None and made.merge_version_id is not None:
        return _of_version(session, session.get_one(ModelVersion, made.merge_version_id), newest)
    recipe = made.recipe_digest if made is not None else _recipe_of(session, digest)
    if recipe is None:
        raise NotFound(
            f"nothing here has the digest {digest}",
            hint="`mergestore list` shows those of versions, `mergestore audit NAME` those of recipes and outputs",
        )
    return of_recipe(session, recipe, newest)


def output_of(session: Session, digest: str) -> Materialization | None:
    """The newest materialization whose output has this digest, or one that begins so; None for anything else."""
    if not _DIGEST.fullmatch(digest):
        return None
    return _one(session, select(Materialization).where(_begins(Materialization.output_digest, digest)), digest)


def _begins(column: InstrumentedAttribute[str], digest: str) -> ColumnElement[bool]:
    """Whether a digest is this one, or begins so; asked in such a way that an index answers."""
    return and_(column >= digest, column < f"{digest}g")  # hexadecimal digits end with f


def _version_of(session: Session, digest: str) -> ModelVersion | None:
    """The version of this content: the newest that is ready, else the newest."""
    query = select(ModelVersion).where(_begins(ModelVersion.digest, digest)).order_by(ModelVersion.id.desc())
    found = list(session.scalars(query))
    _refuse_several({version.digest for version in found}, digest)
    return next((version for version in found if version.state == "ready"), found[0] if found else None)


def _recipe_of(session: Session, digest: str) -> str | None:
    found = set(session.scalars(select(Recipe.digest).where(_begins(Recipe.digest, digest))))
    _refuse_several(found, digest)
    return next(iter(found), None)


def _one(session: Session, query: Select[Any], digest: str) -> Materialization | None:
    found: list[Materialization] = list(session.scalars(query.order_by(Materialization.created_at.desc())))
    _refuse_several({made.output_digest for made in found}, digest)
    return next(iter(found), None)


def _refuse_several(found: set[str], digest: str) -> None:
    if len(found) > 1:
        raise Conflict(
            f"{len(found)} digests begin with {digest}: {listed(sorted(found), 3)}", hint="write more of its digits"
        )


def _of_version(session: Session, version: ModelVersion, newest: int | None) -> Audit:
    graph = ancestors(session, version.id)
    recipe_digest = version.digest if version.kind == "merge" else None
    recipes = merge_recipes(session, version.id, version.digest) if recipe_digest else []
    found = Audit(
        name=version.name,
        version=version.version,
        kind=version.kind,
        digest=version.digest,
        expression=version.attributes.get("expression"),
        recipe_digest=recipe_digest,
        recipe=recipe_document(session, recipe_digest) if recipe_digest else None,
        lineage={"nodes": (nodes := _nodes(session, graph)), "edges": weighed(nodes, graph.to_dict()["edges"])},
        licences=combined(graph.to_dict(), [version.reference]),
        descendants=[node.to_dict() for node in newest_descendants(session, version.id, newest)],
        counts={"descendants": count_descendants(session, version.id)},
    )
    return _with_history(session, found, [version.id], recipes, newest)


def of_recipe(session: Session, digest: str, newest: int | None) -> Audit:
    """What came out of a recipe that no merge names, and what it is made of."""
    inputs = recipe_inputs(session, digest)
    graph = ancestors(session, *(row.version_id for row in inputs))
    versions = versions_by_id(session, (row.version_id for row in inputs))
    edges = graph.to_dict()["edges"]
    edges += [vars(Edge(RESULT, versions[row.version_id].reference, row.role)) for row in inputs]
    recipe = recipe_document(session, digest)
    nodes = [*_nodes(session, graph), result_node(digest, recipe)]
    lineage = {"nodes": nodes, "edges": weighed(nodes, edges)}
    found = Audit(
        name=None,
        version=None,
        kind=RESULT,
        digest=digest,
        expression=None,
        recipe_digest=digest,
        recipe=recipe,
        lineage=lineage,
        licences=combined(lineage, [RESULT]),
        descendants=[],
        counts={"descendants": {}},
    )
    return _with_history(session, found, [], [digest], newest)


def result_node(digest: str, recipe: Document) -> dict[str, Any]:
    """The node of a recipe that no merge names."""
    said = {"id": RESULT, "kind": RESULT, "name": None, "version": None, "digest": digest}
    return {**said, "licence": None, "state": "ready", "recipe": recipe}


def _with_history(session: Session, found: Audit, versions: list[int], recipes: list[str], newest: int | None) -> Audit:
    """And what was made of it, how it was scored, and every recorded event."""
    subjects = [node["id"] for node in found.lineage["nodes"] if node["id"] != RESULT] + recipes
    counts = {
        "materializations": count_materializations(session, recipes),
        "evaluations": count_evaluations(session, versions, recipes),
        "events": events.count(session, subjects),
    }
    return replace(
        found,
        materializations=made_of(session, recipes, newest),
        evaluations=told(session, evaluations(session, versions, recipes, newest)),
        attestations=[attestation_facts(row) for row in attestations(session, output_digests(session, recipes))],
        events=events.of(session, subjects, newest),
        counts=found.counts | counts,
    )


def _nodes(session: Session, graph: Lineage) -> list[dict[str, Any]]:
    """Lineage nodes with what a reviewer asks next: encoding, seed, who, when, from where, by which recipe."""
    references = {node.id: parse_reference(node.id) for node in graph.nodes}
    found = find_versions(session, references.values())
    deltas = load_deltas(session, (version.id for version in found.values()))
    pinned = pins(session, (version.id for version in found.values()))
    collected: dict[int, list[dict[str, Any]]] = {}
    for record in load_statistics(session, (version.id for version in found.values() if version.kind == "skill")):
        facts = {"kind": record.kind, "digest": record.digest, "data_digest": record.data_digest}
        collected.setdefault(record.version_id, []).append({**facts, "examples": record.examples})
    versions = {node.id: found[references[node.id]] for node in graph.nodes}
    recipes = recipes_within(session, graph, versions)
    return [
        {**_node(node, version, deltas, collected), "pinned": pin_facts(pinned.get(version.id))}
        | ({"recipe": recipes[node.id]} if node.id in recipes else {})
        for node, version in zip(graph.nodes, versions.values(), strict=True)
    ]


def _node(
    node: Node, version: ModelVersion, deltas: Mapping[int, Delta], collected: Mapping[int, list[dict[str, Any]]]
) -> dict[str, Any]:
    more: dict[str, Any] = {
        "created_at": version.created_at.isoformat(),
        "created_by": version.created_by,
        "source": version.source,
        "reason": version.reason,
        "imported": came_from(version),
        **training_facts(version),
    }
    if version.id in deltas:
        more |= delta_facts(deltas[version.id]) | {"collected": collected.get(version.id, [])}
    if version.kind == "merge":
        more["expression"] = version.attributes.get("expression")
    return {**node.to_dict(), **more}
