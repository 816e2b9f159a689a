"""Checking a published model folder against its own manifest, tensor by tensor."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from registry.publishing import ADAPTER_FORMAT, MANIFEST, MODEL_FORMAT, WEIGHTS_METADATA, manifest_digest, strange_files
from storage.blobs import hash_file
from storage.bounded import JSON, read_whole
from storage.checkpoints.adapter import open_adapter
from storage.checkpoints.checkpoint import open_checkpoint
from storage.checkpoints.companions import is_read_by_loaders
from storage.checkpoints.inputs import tensor_digests
from storage.checkpoints.safetensors_header import read_header
from storage.checkpoints.shards import INDEX, index_json, shard_names
from storage.checkpoints.tensors import quoted
from storage.digests import json_digest, model_digest, parse_json
from storage.errors import (
    EnvironmentFailure,
    InputRefused,
    IntegrityFailure,
    MergestoreError,
    NotFound,
    UsageError,
    in_words,
)
from storage.files import is_damage, is_there, refused_by_the_system, regular_size
from storage.pipeline import thread_count
from storage.progress import Progress

Problem = dict[str, Any]


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a published folder.

    Raises IntegrityFailure where it is damaged, UsageError where there is none, NotFound where there is no folder,
    EnvironmentFailure where it may be sound and cannot be read now.
    """
    _refuse_unpublished(folder)
    path = folder / MANIFEST
    try:
        document = parse_json(read_whole(path, JSON))
        json_digest(document["recipe"]), manifest_digest(document)  # nothing in it is beyond JSON
        model_digest((n, t["dtype"], tuple(t["shape"]), t["digest"]) for n, t in document["tensors"].items())
        document["output_digest"], document["recipe_digest"], document["digest"]
        [(file["size"], file["sha256"]) for file in document["files"].values()]
    except EnvironmentFailure:
        raise
    except InputRefused as error:
        raise IntegrityFailure(f"{path} is damaged: {error.message}") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise IntegrityFailure(f"{path} is damaged: {in_words(error):.200}") from error
    known = ADAPTER_FORMAT if "adapter" in document else MODEL_FORMAT
    if document.get("format") != known:
        raise IntegrityFailure(
            f"{path} is of format {document.get('format')!r}, which is not known here: format {known} is",
            hint="upgrade mergestore, if a newer one wrote it",
        )
    return document  # type: ignore[no-any-return]


def _refuse_unpublished(folder: Path) -> None:
    """Raise UsageError for a folder that has no manifest, NotFound where there is no folder."""
    if not folder.is_dir():
        raise NotFound(f"there is no folder {folder}", hint="check the path")
    if not is_there(folder / MANIFEST):
        raise UsageError(
            f"{folder} is not a model that mergestore published: it has no {MANIFEST}",
            hint="name a folder that `mergestore materialize` wrote",
        )


def check_directory(folder: Path, progress: Progress) -> tuple[dict[str, int], list[Problem]]:
    """(counts of what was checked, problems) of a published folder: the manifest's own digests, then every tensor.

    A problem of one tensor names it: ``tensor``, and the digest that was ``found``, if it is there. Raises
    EnvironmentFailure where the folder may be sound and cannot be read now.
    """
    try:
        document = read_manifest(folder)
    except (IntegrityFailure, UsageError, NotFound, EnvironmentFailure) as error:
        if not is_damage(error):
            raise
        return {"manifests": 1}, [_problem(error.message, str(folder))]
    problems = manifest_problems(folder, document) + _file_problems(folder, document)
    try:
        checkpoint = open_adapter(folder) if "adapter" in document else open_checkpoint(folder)
    except MergestoreError as error:
        if not is_damage(error):
            raise
        return {"manifests": 1}, [*problems, _problem(f"the weights cannot be read: {error.message}", str(folder))]
    try:
        problems += _index_problems(folder, document, checkpoint.source)
        problems += _tensor_problems(folder, document, checkpoint.source, progress)
    finally:
        checkpoint.close()
    return {"manifests": 1, "tensors": len(document["tensors"])}, problems


def lasting_problems(folder: Path, progress: Progress) -> list[Problem]:
    """Problems of a published folder that others may replace or delete: another in its place is looked at again."""
    while (before := _which(folder)) is not None:
        _, problems = check_directory(folder, progress)
        if not problems or _which(folder) == before:
            return problems
    return []


def _which(folder: Path) -> int | None:
    """What tells a folder from another that takes its place; None where there is none, as after an eviction."""
    try:
        with refused_by_the_system(f"cannot look at {folder}"):
            return folder.stat().st_ino
    except FileNotFoundError:
        return None


def manifest_problems(folder: Path, document: dict[str, Any]) -> list[Problem]:
    """What does not hash to the digests that a manifest itself holds."""
    problems = []
    where = str(folder / MANIFEST)
    if manifest_digest(document) != document["digest"]:
        problems.append(_problem(f"{MANIFEST} does not hash to its own digest: it was changed", where))
    if json_digest(document["recipe"]) != document["recipe_digest"]:
        problems.append(_problem("the recipe does not hash to the recipe digest", where))
    tensors = document["tensors"].items()
    if model_digest((n, t["dtype"], tuple(t["shape"]), t["digest"]) for n, t in tensors) != document["output_digest"]:
        problems.append(_problem("the tensor digests do not hash to the output digest", where))
    return problems


def _file_problems(folder: Path, document: dict[str, Any]) -> list[Problem]:
    """Files that are not as they were published; the bytes of tensors are looked at one by one instead."""
    problems = []
    for name, recorded in sorted(document["files"].items()):
        path = folder / name
        try:
            sound = is_inside(folder, path) and _as_published(path, recorded)
        except (OSError, ValueError) as error:
            if not is_damage(error):
                raise
            sound = False
        if not sound:
            problems.append(_problem(f"file {quoted(name)} is {_state(path)}", str(path)))
    # Notes of its owner are welcome; what a loader would take for a part of the model is not.
    for name in filter(is_read_by_loaders, strange_files(folder, document)):
        problems.append(_problem(f"file {quoted(name)} is not of this model: it was added later", str(folder / name)))
    return problems


def _index_problems(folder: Path, document: dict[str, Any], source: Any) -> list[Problem]:
    """The index of shards, which no digest covers, is what the shards themselves tell."""
    names = shard_names(sum(name.endswith(".safetensors") for name in document["files"]))
    if len(names) == 1:
        return []
    specs = [(entry.file, (entry.name, entry.dtype, entry.shape)) for entry in source.entries.values()]
    expected = index_json([[spec for file, spec in specs if file == name] for name in names])
    path = folder / INDEX
    if regular_size(path) == len(expected) and path.read_bytes() == expected:
        return []
    return [_problem(f"file {quoted(INDEX)} is not what the weight files tell", str(path))]


def is_inside(folder: Path, path: Path) -> bool:
    """Whether a name in a manifest, which anybody may have written, leads to a plain file of the folder."""
    return regular_size(path) is not None and path.resolve().is_relative_to(folder.resolve())


def _as_published(path: Path, recorded: Mapping[str, Any]) -> bool:
    if path.stat().st_size != recorded["size"]:
        return False
    if path.suffix == ".safetensors":
        return read_header(path)[1] == WEIGHTS_METADATA
    public = hashlib.sha256()
    hash_file(path, public)
    return bool(f"sha256:{public.hexdigest()}" == recorded["sha256"])


def _state(path: Path) -> str:
    try:
        return "changed" if path.exists() else "missing"
    except (OSError, ValueError):
        return "missing"


def _tensor_problems(folder: Path, document: dict[str, Any], source: Any, progress: Progress) -> list[Problem]:
    recorded, entries = document["tensors"], source.entries
    problems = [
        _problem(f"tensor {name!r} is {'missing' if name in recorded else 'not in the manifest'}", str(folder))
        | {"tensor": name, "found": None}
        for name in sorted(set(recorded) ^ set(entries))
    ]
    both = sorted(set(recorded) & set(entries))
    try:
        found = tensor_digests(source, thread_count(None), progress, "verify", str(folder), both)
    except MergestoreError as error:
        if not is_damage(error):
            raise
        return [*problems, _problem(error.message, str(folder))]
    for name in both:
        shape = [recorded[name]["dtype"], list(recorded[name]["shape"]), recorded[name]["digest"]]
        if [entries[name].dtype, list(entries[name].shape), found[name]] != shape:
            problems.append(
                _problem(
                    f"tensor {name!r} is not what was published: it hashes to {found[name]}, recorded is {shape[2]}",
                    f"{folder / entries[name].file}",
                )
                | {"tensor": name, "found": found[name]}
            )
    return problems


def _problem(what: str, where: str) -> Problem:
    hint = "materialize the recipe again: `mergestore materialize … --force`"
    return {"what": what, "where": where, "kind": "integrity", "hint": hint}
