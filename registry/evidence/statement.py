"""What an attestation says: an in-toto statement about the files of a published model, with SLSA provenance.

Formats: https://in-toto.io/Statement/v1 and https://slsa.dev/spec/v1.0/provenance. ``docs/evidence.md`` says what each
field holds. All but the run's details follows from the manifest, and is compared with it when it is verified.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from registry.records.tables import Materialization

PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://slsa.dev/provenance/v1"
BUILD_TYPE = "urn:mergestore:materialize:1"
BUILDER = "urn:mergestore:store:"
"""Followed by the store's id."""
OUTPUT = "output"
"""The name of the subject that stands for the whole model, by its model digest."""


def make_statement(
    document: Mapping[str, Any],
    files: Mapping[str, str],
    made: Materialization,
    store: str,
    sources: Mapping[str, str],
) -> dict[str, Any]:
    """The statement of a published folder.

    ``document``: its manifest; ``files``: digest (SHA-256) by name; ``sources``: package URLs by reference of what came
    from the Hub.
    """
    dependencies = [
        {**each, **({"uri": sources[each["name"]]} if each["name"] in sources else {})} for each in resolved(document)
    ]
    return {
        "_type": STATEMENT_TYPE,
        "subject": subjects(document["output_digest"], files),
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": external(document),
                "internalParameters": {"device": made.device, "engine": made.engine},
                "resolvedDependencies": dependencies,
            },
            "runDetails": {
                "builder": {"id": BUILDER + store, "version": {k: v for k, v in made.versions.items() if v}},
                "metadata": {
                    "invocationId": made.id,
                    "startedOn": _moment(made.created_at - timedelta(seconds=made.seconds)),
                    "finishedOn": _moment(made.created_at),
                },
            },
        },
    }


def subjects(output_digest: str, files: Mapping[str, str]) -> list[dict[str, Any]]:
    """The files by name and SHA-256, and the model as a whole."""
    found = [{"name": name, "digest": digest_set(digest)} for name, digest in sorted(files.items())]
    return [*found, {"name": OUTPUT, "digest": digest_set(output_digest), "annotations": {"kind": "model digest"}}]


def external(document: Mapping[str, Any]) -> dict[str, Any]:
    """What was asked for, as a manifest has it."""
    merge = document.get("merge")
    return {
        "expression": document["expression"],
        "merge": f"{merge['name']}@{merge['version']}" if merge else None,
        "recipe": document["recipe"],
        "recipe_digest": document["recipe_digest"],
    }


def resolved(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Everything that a result came from, down to the bases, as a manifest has it; its own merge is no part of that."""
    merge = external(document)["merge"]
    parents: dict[str, list[dict[str, str]]] = {}
    for edge in document["lineage"]["edges"]:
        parents.setdefault(edge["child"], []).append({"name": edge["parent"], "role": edge["role"]})
    return [
        {
            "name": node["id"],
            "digest": digest_set(node["digest"]),
            "annotations": {
                "kind": node["kind"],
                "licence": node["licence"],
                "parents": sorted(parents.get(node["id"], []), key=lambda each: (each["name"], each["role"])),
            },
        }
        for node in sorted(document["lineage"]["nodes"], key=lambda node: str(node["id"]))
        if node["id"] != merge
    ]


def digest_set(digest: str) -> dict[str, str]:
    """A digest as in-toto writes it: the hexadecimal digits by the algorithm."""
    algorithm, _, digits = digest.partition(":")
    return {algorithm: digits}


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
