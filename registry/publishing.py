"""What a published model folder holds beside its weights: config, tokenizer, manifest and model card."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from merging.settings import Setting
from registry.home import Home
from registry.imports.stacking import set_layers
from registry.inherited import Training
from registry.opening import place
from registry.published_lineage import public_source, told_coding
from registry.records.contents import FileRow
from registry.records.lineage import Lineage
from registry.records.tables import Delta, ModelVersion
from registry.resolved import ResolvedMerge
from registry.tokens.token_sources import language_part
from registry.tokens.tokenizers import adapt_tokenizer
from storage.blobs import hash_file
from storage.checkpoints.json_files import read_json_object
from storage.checkpoints.shards import INDEX
from storage.digests import canonical_json, json_digest, model_digest, sha256_digest
from storage.errors import InputRefused, IntegrityFailure
from storage.files import copy_file, disk_errors

if TYPE_CHECKING:
    from merging.plans.plan import Plan
    from merging.streaming.materializer import MergedTensor
    from merging.streaming.sinks import WrittenFile
    from storage.deltas.manifest import Manifest

MANIFEST = "mergestore.json"
CARD = "README.md"
MODEL_FORMAT, ADAPTER_FORMAT = 1, 2
"""Formats of manifests: an adapter's tells of its factors, for which format 1 has no word."""
WEIGHTS_METADATA = {"format": "pt"}
"""What the header of every weight file says; transformers asks for it."""
_DTYPES = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}


@dataclass(frozen=True)
class Sources:
    """The registered things behind a merge that its papers speak of."""

    resolved: ResolvedMerge
    deltas: Mapping[str, Delta]  # records by skill digest
    manifests: Mapping[str, Manifest]  # by skill digest
    lineage: Lineage
    files: Sequence[FileRow]  # companions that the result is published with
    policies: Sequence[Mapping[str, str]] = ()  # that it was compared with
    evaluations: Sequence[Mapping[str, Any]] = ()  # scores of the recipe, newest first
    training: Mapping[str, Training] = field(default_factory=dict)  # of everything in the lineage, by reference
    known: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # what the manifest tells of each of these


@dataclass(frozen=True)
class Published:
    """A model folder that is in place, and how it came to be."""

    path: Path
    document: Mapping[str, Any]  # its manifest
    merged: tuple[MergedTensor, ...]  # empty when copied from the cache
    engine: str
    seconds: float
    started: datetime


def output_digest(merged: Sequence[MergedTensor]) -> str:
    """The model digest of what was merged."""
    return model_digest((tensor.name, tensor.dtype, tensor.shape, tensor.digest) for tensor in merged)


def copy_companions(home: Home, sources: Sources, folder: Path, plan: Plan) -> list[WrittenFile]:
    """Config, tokenizer and generation files, adapted to the result of a plan.

    Raises IntegrityFailure when a stored file is damaged.
    """
    from merging.streaming.sinks import (
        WrittenFile,
    )  # numpy and compiled kernels stand behind it: only where a model is written

    for file in sources.files:
        target = folder / file.path
        with disk_errors(f"cannot write {target}"):
            target.parent.mkdir(parents=True, exist_ok=True)
        copy_file(place(home, file), target)
        _check_copy(target, file)
        if file.path == "config.json":
            _adapt_config(target, sources, plan.vocabulary_rows, plan.result_dtype)
    names = adapt_tokenizer(folder, [file.path for file in sources.files], sources.resolved.recipe)
    contents = {name: (folder / name).read_bytes() for name in names}
    return [WrittenFile(name, len(data), sha256_digest(data)) for name, data in contents.items()]


def _check_copy(path: Path, file: FileRow) -> None:
    found = hash_file(path).digest
    if found != file.digest:
        raise IntegrityFailure(
            f"the stored file {file.path!r} is damaged: it hashes to {found}, recorded is {file.digest}",
            hint="run `mergestore verify`; register its model again from a good copy",
        )


def _adapt_config(path: Path, sources: Sources, rows: int | None, dtype: str | None) -> None:
    """``rows``: of the vocabulary, if it grew; ``dtype``: that of the weights, where it is not the base's own."""
    recipe = sources.resolved.recipe
    head = sources.manifests[recipe.head].config if recipe.head else None
    if head is None and dtype is None and recipe.vocabulary is None and not recipe.slices:
        return
    try:
        own = read_json_object(path, unique=False)
    except InputRefused as error:
        raise IntegrityFailure(f"the base's config.json is damaged: {error.message}") from error
    config = copy.deepcopy(dict(head) if head is not None else own)
    if head is not None or dtype is not None:
        _set_dtype(config, own, dtype)
    # The vocabulary is the base's, or what became of it, whatever that of the head's fine-tune was.
    size = rows or language_part(own).get("vocab_size")
    if size is not None:
        language_part(config)["vocab_size"] = size
    if recipe.vocabulary is not None:
        language_part(config).update(recipe.vocabulary.ids)
    if recipe.slices:
        set_layers(config, recipe.slices)
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def _set_dtype(config: dict[str, Any], own: Mapping[str, Any], asked: str | None) -> None:
    """The weights have the base's dtype, or the one asked for, whatever the head's fine-tune was saved in."""
    dtype = _DTYPES[asked] if asked else own.get("torch_dtype", own.get("dtype"))
    key = "torch_dtype" if "torch_dtype" in config else "dtype"
    config.pop(key, None)
    if dtype is not None:
        config[key] = dtype


def manifest(
    sources: Sources, merged: Sequence[MergedTensor], files: Sequence[WrittenFile], version: str
) -> dict[str, Any]:
    """The content of mergestore.json: the recipe, every input and every output by digest. No times, no paths."""
    document = {
        "format": MODEL_FORMAT,
        "generator": f"mergestore {version}",
        "output_digest": output_digest(merged),
        "tensors": {
            tensor.name: {"dtype": tensor.dtype, "shape": list(tensor.shape), "digest": tensor.digest}
            for tensor in sorted(merged, key=lambda tensor: tensor.name)
        },
        "files": {file.name: {"size": file.size, "sha256": file.sha256} for file in files},
    }
    return restated(sources, document)


def restated(sources: Sources, document: Mapping[str, Any]) -> dict[str, Any]:
    """The manifest of the same result, told as it was asked for now: under which name, by which expression."""
    told = {**document, **_request(sources)}
    return told | {"digest": manifest_digest(told)}


def _request(sources: Sources) -> dict[str, Any]:
    resolved = sources.resolved
    return {
        "expression": resolved.expression,
        "merge": _version(resolved.merge) if resolved.merge else None,
        "recipe": resolved.recipe.to_dict(),
        "recipe_digest": resolved.recipe.digest,
        "base": _version(resolved.base),
        "skills": [_skill(sources, skill, weight) for skill, weight in _weighted(resolved)],
        "head": _version(resolved.head) if resolved.head else None,
        **({"other_bases": [_version(each) for each in resolved.others]} if resolved.others else {}),
        "lineage": _lineage(sources),
    }


def _lineage(sources: Sources) -> dict[str, Any]:
    """The lineage, with what is known of each version; the recipe of the whole is told once."""
    graph = sources.lineage.to_dict()
    own = sources.resolved.recipe.digest
    nodes = [{**node, **sources.known.get(node["id"], {})} for node in graph["nodes"]]
    for node in nodes:
        if node["digest"] == own:
            node.pop("recipe", None)
    return {"nodes": nodes, "edges": graph["edges"]}


def manifest_digest(document: Mapping[str, Any]) -> str:
    """What ``digest`` in a manifest says: that of everything else in it."""
    return json_digest({key: value for key, value in document.items() if key != "digest"})


def _weighted(resolved: ResolvedMerge) -> list[tuple[ModelVersion, Setting | None]]:
    return [(skill, resolved.weights[skill.digest]) for skill in resolved.skills]


def _version(version: ModelVersion) -> dict[str, Any]:
    return {
        "name": version.name,
        "version": version.version,
        "digest": version.digest,
        "licence": version.licence,
        "source": public_source(version.source),
    }


def _skill(sources: Sources, skill: ModelVersion, weight: Setting | None) -> dict[str, Any]:
    delta, content = sources.deltas[skill.digest], sources.manifests[skill.digest]
    reasons: dict[str, list[str]] = {}
    for name, tensor in content.tensors.items():
        if tensor.reason:
            reasons.setdefault(tensor.reason, []).append(name)
    return {
        **_version(skill),
        "weight": weight,
        **told_coding(delta),
        "fine_tuned": content.fine_tuned,
        "prefix": content.prefix,
        "dropped_prefix": content.dropped_prefix,
        "head": sorted(content.head),
        "taken_from_base": reasons,
    } | ({"added_rows": content.grown[1]} if content.grown else {})


def write_papers(folder: Path, document: Mapping[str, Any], card: str) -> None:
    """Write the manifest and the model card."""
    with disk_errors(f"cannot write in {folder}"):
        (folder / MANIFEST).write_bytes(canonical_json(dict(document)) + b"\n")
        (folder / CARD).write_text(card, encoding="utf-8")


def published_files(document: Mapping[str, Any]) -> set[str]:
    """The names of all files of a published folder, by its manifest."""
    weights = [name for name in document["files"] if name.endswith(".safetensors")]
    return {*document["files"], MANIFEST, CARD, *([INDEX] if len(weights) > 1 else [])}


def strange_files(folder: Path, document: Mapping[str, Any]) -> list[str]:
    """Files in a published folder that were not published with it."""
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}
    return sorted(there - published_files(document))


def folder_size(folder: Path) -> int:
    """Bytes of all files in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def free_space(folder: Path) -> int:
    """Bytes that may still be written on the filesystem of ``folder`` or its nearest existing parent."""
    return shutil.disk_usage(nearest_folder(folder)).free


def nearest_folder(place: Path) -> Path:
    """The folder that a path is, or its nearest parent that is one."""
    return next(each for each in (place, *place.parents) if each.is_dir())
