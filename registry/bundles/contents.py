"""What the files of a bundle are, compared with what its manifest says of them: every byte is read and decoded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from merging.recipes.stored import read_recipe
from registry.bundles.manifest import BlobFacts, Collected, Entry
from registry.records.contents import FileRow, TensorRow
from registry.records.statistics import StatisticsRow
from registry.tokens.companion_files import companions_digest
from storage.checkpoints.checkpoint import SafetensorsSource
from storage.checkpoints.inputs import source_digest, tensor_digests
from storage.checkpoints.safetensors_header import read_header
from storage.checkpoints.tensors import TensorEntry, listed
from storage.deltas.fields import Fields
from storage.errors import IntegrityFailure
from storage.pipeline import thread_count
from storage.progress import Progress

if TYPE_CHECKING:
    from storage.deltas.delta import DeltaFile

Places = Mapping[str, Path]
"""Where blobs lie, by digest."""

_COUNTS = ("elements", "kept", "unchanged")
_MEASURED = (
    *(*_COUNTS, "minimum", "maximum", "mean", "mean_magnitude", "norm"),
    *("share_unchanged", "share_above_0.005", "share_above_0.01", "share_above_0.03"),
)


def file_rows(entry: Entry, blobs: Mapping[str, BlobFacts]) -> list[FileRow]:
    """The files of a version as they are recorded."""
    return [FileRow(file.path, file.kind, blobs[file.blob].size, blob_digest=file.blob) for file in entry.files]


def check_files(entry: Entry, files: Sequence[FileRow]) -> None:
    """That the files beside the weights are those that a version is told by."""
    expected = companions_digest(files) if entry.kind == "base" or len(files) > 1 else None
    if entry.kind != "merge" and entry.attributes.get("files") != expected:
        raise IntegrityFailure(f"the files beside its weights hash to {expected}")


def read_base(entry: Entry, places: Places, progress: Progress) -> list[TensorRow]:
    """The tensors of a base, out of its weight files. Raises IntegrityFailure where its digest is of others."""
    tensors: dict[str, TensorEntry] = {}
    of_file: dict[str, str] = {}
    for file in entry.files:
        if file.kind == "weights":
            found, _ = read_header(places[file.blob])
            if twice := found.keys() & tensors.keys():
                raise IntegrityFailure(f"tensors are in two of its files: {listed(sorted(twice))}")
            tensors |= {name: replace(tensor, file=str(places[file.blob])) for name, tensor in found.items()}
            of_file |= dict.fromkeys(found, file.path)
    with closing(SafetensorsSource(Path("/"), tensors.values())) as source:
        digests = tensor_digests(source, thread_count(None), progress, f"check {entry.reference}", entry.reference)
    _expect("its tensors", source_digest(tensors, digests), entry.digest)
    return [
        TensorRow(name, each.dtype, each.shape, digests[name], each.nbytes, of_file[name], each.offset)
        for name, each in tensors.items()
    ]


def check_skill(entry: Entry, path: Path, base: str, tensors: Iterable[TensorRow]) -> None:
    """That a delta file holds the skill of this digest, sound to the last frame, made against these tensors.

    Raises IntegrityFailure, or InputRefused naming tensors of another base.
    """
    from merging.plans.planning import check_base
    from storage.deltas.delta import DeltaFile

    with DeltaFile.open(path) as delta:
        manifest = delta.manifest
        _expect("its delta", manifest.digest, entry.digest)
        _expect("the base of its delta", manifest.base, base)
        check_base(delta, *_as_base(tensors))
        _check_payloads(delta)
        _check_measured(delta)
        told = entry.attributes
        _expect("what it was made of", manifest.fine_tuned, told["fine_tuned"])
        _expect("its head", sorted(manifest.head), told["head"])
        _expect("its added rows", list(manifest.grown) if manifest.grown else None, told.get("grown"))


def check_merge(entry: Entry, path: Path, tensors: Iterable[TensorRow]) -> None:
    """That a file holds the vector of just this merge's skills, sound to the last frame, made against these tensors."""
    from storage.deltas.unified import UnifiedFile, read_head

    assert entry.recipe is not None
    recipe = read_recipe(entry.recipe)
    with UnifiedFile.open(path) as file:
        manifest = file.manifest
        _expect("the base of its vector", manifest.base, recipe.base)
        _expect("the skills of its vector", list(manifest.skills), [term.skill for term in recipe.terms])
        told = Fields(entry.attributes.get("unified"), "unified")
        _expect("its vector", manifest.digest, told.document["digest"])
        if len(told.document["skills"]) != len(manifest.skills):
            raise told.fail("skills", "one for each skill")
        own = {row.name: (row.digest, row.dtype, row.shape) for row in tensors}
        if own != {name: (each.base, each.dtype, each.shape) for name, each in manifest.tensors.items()}:
            raise IntegrityFailure("its vector was made against another base")
        for name in manifest.tensors:
            file.check_content(name)
        for skill in map(file.skill, manifest.skills):
            for name in skill.manifest.head:
                _consume(read_head(skill, name))


def read_statistics(collected: Collected, path: Path, skill: str, actor: str) -> StatisticsRow:
    """Statistics as they are recorded, out of their file. Raises IntegrityFailure where they are of something else."""
    from storage.statistics.statistics_file import StatisticsFile

    with StatisticsFile.open(path) as file:
        manifest = file.manifest
        _expect("statistics", manifest.digest, collected.digest)
        _expect(f"the skill of statistics {collected.digest}", manifest.skill, skill)
        for payload in manifest.payloads:
            file.check_content(payload)
    return StatisticsRow(
        kind=manifest.kind,
        digest=collected.digest,
        blob_digest=collected.blob,
        model_digest=manifest.model,
        data_digest=manifest.data,
        examples=manifest.examples,
        settings=dict(manifest.settings),
        created_by=actor,
    )


def _as_base(tensors: Iterable[TensorRow]) -> tuple[dict[str, str], dict[str, TensorEntry]]:
    rows = list(tensors)
    entries = {row.name: TensorEntry(row.name, row.dtype, row.shape, "", 0, row.nbytes) for row in rows}
    return {row.name: row.digest for row in rows}, entries


def _check_payloads(delta: DeltaFile) -> None:
    from storage.deltas.unified import read_head

    for name in delta.manifest.tensors:
        delta.check_content(name)
    for name in delta.manifest.head:
        _consume(read_head(delta, name))


def _check_measured(delta: DeltaFile) -> None:
    """What was measured of a delta is no part of its identity, and yet counted on: numbers by name."""
    fields = Fields(delta.statistics, f"{delta.path}: statistics")
    fields.only("total", "advice", "tensors")
    advice = Fields(fields.mapping("advice"), f"{fields.where}: advice")
    advice.only("verdict", "sentence")
    advice.choice("verdict", ("fine", "caution", "unsuitable"))
    advice.text("sentence")
    tensors = fields.mapping("tensors")
    if not tensors.keys() <= delta.manifest.tensors.keys():
        raise fields.fail("tensors", "of tensors that the base has")
    for name, measured in {**tensors, "total": fields.mapping("total")}.items():
        own = Fields(measured, f"{fields.where}: {name!r:.80}")
        keys = _MEASURED if own.document.get("elements") else _COUNTS
        own.only(*keys)
        for key in keys:
            own.number(key)


def _expect(what: str, found: Any, told: Any) -> None:
    if found != told:
        raise IntegrityFailure(f"{what}: found {found}, the bundle says {told}")


def _consume(pieces: Iterable[object]) -> None:
    for _ in pieces:
        pass
