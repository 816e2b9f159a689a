"""An audit as a bill of materials: CycloneDX 1.6 with a model card, https://cyclonedx.org/docs/1.6/json/.

Everything in it follows from the records: the same state gives the same document, with a serial number that is a UUID
of its content (RFC 9562, version 5). People and places of this machine are left out. ``docs/evidence.md`` says what
each field holds.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from registry.audits.audit import RESULT, audit
from registry.audits.folder import audit_folder, refuse_untrue
from registry.directories import read_manifest
from registry.evidence.bom_parts import component, datasets, hashes, licences, model_card, properties
from registry.evidence.outputs import still_there
from registry.home import Home
from registry.inherited import task
from registry.opening import place
from registry.records.catalog import resolve
from registry.records.contents import load_files
from registry.records.names import parse_reference
from registry.records.recipes import materializations
from registry.results import Audit
from registry.software import package_version
from registry.targets import folder_instead
from storage.checkpoints.json_files import read_json_object
from storage.errors import EnvironmentFailure, InputRefused, NotFound, UsageError

SPECIFICATION = "1.6"
_CONFIG = "config.json"
_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "urn:mergestore:bom")

Node = Mapping[str, Any]


def bill_of(session: Session, home: Home, target: str | Path) -> dict[str, Any]:
    """The bill of materials of what ``target`` means, as for ``audit``."""
    folder = Path(target) if isinstance(target, Path) else None
    try:
        found = audit_folder(folder, session) if folder is not None else audit(session, str(target))
    except (UsageError, NotFound) as refusal:
        folder = folder_instead(target, refusal)
        found = audit_folder(folder, session)
    if folder is not None:
        return _bill_of_folder(folder, found)
    recorded = materializations(session, [found.recipe_digest]) if found.recipe_digest else []
    output = next(still_there(recorded), None)
    config = output.folder / _CONFIG if output is not None else _base_config(session, home, found)
    return bill(found, output.document if output is not None else None, _config(config))


def bill_of_folder(folder: Path) -> dict[str, Any]:
    """The same of a published folder where there is no store."""
    return _bill_of_folder(folder, audit_folder(folder))


def _bill_of_folder(folder: Path, found: Audit) -> dict[str, Any]:
    refuse_untrue(folder, found)
    return bill(found, read_manifest(folder), _config(folder / _CONFIG))


def _base_config(session: Session, home: Home, found: Audit) -> Path | None:
    """The configuration of what was audited, if it is a base, else of the base that it is made for."""
    bases = [node for node in found.lineage["nodes"] if node["kind"] == "base"]
    own = [node for node in bases if node["digest"] == (found.recipe or {}).get("base", node["digest"])]
    if not own:
        return None
    version = resolve(session, parse_reference(own[0]["id"]))
    files = [file for file in load_files(session, version.id) if file.path == _CONFIG]
    return place(home, files[0]) if files else None


def _config(path: Path | None) -> dict[str, Any] | None:
    """What a configuration says, if it can be read: what is wrong with it, ``verify`` tells."""
    try:
        return read_json_object(path, unique=False) if path is not None else None
    except (InputRefused, EnvironmentFailure):
        return None


def bill(found: Audit, document: Mapping[str, Any] | None, config: Mapping[str, Any] | None) -> dict[str, Any]:
    """The bill of materials of what was audited.

    ``document``: the manifest of its published folder, if there is one; ``config``: its config.json, or its base's.
    """
    nodes = {node["id"]: node for node in found.lineage["nodes"]}
    root = RESULT if found.kind == RESULT else f"{found.name}@{found.version}"
    parents: dict[str, set[str]] = {id_: set() for id_ in nodes}
    for edge in found.lineage["edges"]:
        parents[edge["child"]].add(edge["parent"])
    sources = _sources(nodes.values(), document)
    weights: dict[str, dict[str, Any]] = {id_: {} for id_ in nodes}
    for edge in found.lineage["edges"]:
        if "weight" in edge:  # in the whole it has no other name
            within = "weight" if edge["child"] == root else f"weight:{edge['child']}"
            weights[edge["parent"]][within] = edge["weight"]
    others = [
        component(node, [nodes[id_] for id_ in sorted(parents[id])], sources.get(id), weights[id])
        for id, node in sorted(nodes.items())
        if id != root
    ]
    told: dict[str, Any] = {
        "bomFormat": "CycloneDX",
        "specVersion": SPECIFICATION,
        "version": 1,
        "metadata": {
            **_moment(found, nodes[root]),
            "tools": {"components": [_tool()]},
            "component": _root(found, nodes, root, parents, sources.get(root), document, config),
        },
        "components": others,
        "dependencies": [{"ref": id_, "dependsOn": sorted(parents[id_])} for id_ in sorted(nodes)],
    }
    serial = uuid.uuid5(_NAMESPACE, json.dumps(told, sort_keys=True))
    return {**told, "serialNumber": f"urn:uuid:{serial}"}


def _root(
    found: Audit,
    nodes: Mapping[str, Node],
    root: str,
    parents: Mapping[str, set[str]],
    source: str | None,
    document: Mapping[str, Any] | None,
    config: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """The component that the document is about: as any other, with all that is known of the whole."""
    node = {**nodes[root], "recipe": found.recipe or nodes[root].get("recipe")}
    made = component(node, [nodes[id_] for id_ in sorted(parents[root])], source, {})
    trainings = [each.get("training") or {} for each in nodes.values()]
    made["modelCard"] = model_card(
        task(trainings),
        datasets(trainings),
        config,
        found.evaluations,
        [each for each in nodes.values() if each["state"] != "ready"],
    )
    said = licences(found.licences["expression"]) if not found.licences["unknown"] else []
    own = {
        "expression": found.expression if found.kind == RESULT else None,  # a merge's node has its own
        "recipe_digest": found.recipe_digest,
        "licence_not_stated": ", ".join(found.licences["unknown"]),
    }
    if said:
        made["licenses"] = said
    if found.kind == RESULT:
        made["name"] = found.expression or "result"
    if document is not None:
        own |= {"output_digest": document["output_digest"]}
        made["hashes"] = hashes(document["output_digest"])
        files = sorted(document["files"].items())
        made["components"] = [
            {"type": "file", "bom-ref": f"file:{name}", "name": name, "hashes": hashes(file["sha256"])}
            for name, file in files
        ]
    made["properties"] = sorted([*made["properties"], *properties(own)], key=lambda each: (each["name"], each["value"]))
    return made


def _sources(nodes: Iterable[Node], document: Mapping[str, Any] | None) -> dict[str, str]:
    """Where versions came from, by reference, as far as the records or the manifest say so."""
    told = {node["id"]: node.get("source") for node in nodes}
    named = [document["base"], *document.get("other_bases", ()), *document["skills"]] if document else []
    told |= {f"{each['name']}@{each['version']}": each.get("source") for each in named if each.get("source")}
    return {id_: source for id_, source in told.items() if isinstance(source, str)}


def _moment(found: Audit, root: Node) -> dict[str, str]:
    """When what is told was put on record, not when it was printed; nothing where a folder alone tells it."""
    made = [each["created_at"] for each in found.materializations]
    at = root.get("created_at") or (min(made) if made else None)
    return {"timestamp": at} if at else {}


def _tool() -> dict[str, Any]:
    return {"type": "application", "name": "mergestore", "version": package_version("mergestore") or "unknown"}
