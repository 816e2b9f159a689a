"""What came in a bundle, looked at before any of it counts: every file says itself what it is, and is held to that."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from merging.recipes.recipe import Recipe
from merging.recipes.stored import read_recipe
from registry.exchange.document import Collected, Part
from registry.exchange.exporting import files_of
from registry.records.contents import TensorRow
from registry.registering.register_base import tensor_row
from registry.registering.skill_rows import told_by_content
from registry.tokens.companion_files import companions_digest
from registry.unified import FILE as VECTOR
from registry.unified import keeps_vector
from storage.checkpoints.checkpoint import SafetensorsSource
from storage.checkpoints.inputs import tensor_digests
from storage.checkpoints.safetensors_header import read_header
from storage.checkpoints.tensors import TensorEntry
from storage.digests import canonical_json, model_digest, parse_json, sha256_digest
from storage.errors import InputRefused, IntegrityFailure, MergestoreError
from storage.pipeline import thread_count
from storage.progress import Progress

if TYPE_CHECKING:
    from storage.deltas.manifest import Manifest

DELTA = "delta.safetensors"
_ATTRIBUTES: dict[str, dict[str, type | tuple[type, ...]]] = {
    "base": {"files": str, "config": (str, type(None)), "referenced": type(None), "training": dict},
    "skill": {
        **{"notes": list, "head": list, "fine_tuned": str, "files": str, "grown": list, "tokens": int},
        **{"adapter": str, "training": dict},
    },
    "merge": {"expression": str, "unified": dict},
}


@dataclass(frozen=True)
class Checked:
    """What the files of a version say of it: a base's tensors, a skill's manifest and statistics, a merge's recipe."""

    tensors: tuple[TensorRow, ...] = ()
    manifest: Manifest | None = None
    statistics: Mapping[str, Any] = field(default_factory=dict)
    recipe: Recipe | None = None


def check_part(part: Part, at: Mapping[str, Path], base: Mapping[str, TensorRow], progress: Progress) -> Checked:
    """Hold a version's files, which lie ``at`` paths by blob, to what is said of it.

    ``base``: of a skill, the tensors of its base, by name. Raises IntegrityFailure naming the version.
    """
    _check_attributes(part)
    try:
        if part.kind == "base":
            return Checked(tensors=_check_base(part, at, progress))
        if part.kind == "skill":
            return _check_skill(part, at, base)
        return Checked(recipe=_check_merge(part, at))
    except (InputRefused, IntegrityFailure) as error:
        raise IntegrityFailure(f"{part.reference} in the bundle: {error.message}", hint=error.hint) from error
    except MergestoreError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise IntegrityFailure(f"{part.reference} in the bundle is damaged: {error!r:.200}") from error


def _check_attributes(part: Part) -> None:
    known = _ATTRIBUTES[part.kind]
    for name, value in part.attributes.items():
        if name not in known or not isinstance(value, known[name]) or isinstance(value, bool):
            raise IntegrityFailure(f"{part.reference} in the bundle: its attribute {name!r:.80} is none, or malformed")
    training = part.attributes.get("training", {})
    if not all(isinstance(said, dict) for said in training.values()):
        raise IntegrityFailure(f"{part.reference} in the bundle: what is said of its training is malformed")


def _check_base(part: Part, at: Mapping[str, Path], progress: Progress) -> tuple[TensorRow, ...]:
    """Every tensor hashed; together they are what the version is named after."""
    files = files_of(part)
    if part.attributes.get("files") != companions_digest(files):
        raise IntegrityFailure("the files beside its weights are not those that it was registered with")
    entries: dict[str, TensorEntry] = {}
    for file in files:
        if file.kind == "weights":
            assert file.blob_digest is not None
            found, _ = read_header(at[file.blob_digest])
            if twice := sorted(set(found) & set(entries)):
                raise IntegrityFailure(f"tensor {twice[0]!r} is in several of its files")
            entries |= {name: dataclasses.replace(entry, file=file.path) for name, entry in found.items()}
    places = {file.path: str(at[file.blob_digest]) for file in files if file.blob_digest is not None}
    located = [dataclasses.replace(entry, file=places[entry.file]) for entry in entries.values()]
    with closing(SafetensorsSource(Path("/"), located)) as source:
        digests = tensor_digests(source, thread_count(None), progress, f"check {part.name}", part.reference)
    rows = tuple(tensor_row(entry, digests) for entry in entries.values())
    found_digest = model_digest((row.name, row.dtype, row.shape, row.digest) for row in rows)
    if found_digest != part.digest:
        raise IntegrityFailure(f"its tensors hash to {found_digest}, and it is said to be {part.digest}")
    return rows


def _check_skill(part: Part, at: Mapping[str, Path], base: Mapping[str, TensorRow]) -> Checked:
    """The delta proves itself and its base."""
    from storage.deltas.delta import DeltaFile

    files = files_of(part)
    own = [file for file in part.files if file.kind == "delta"]
    if [file.path for file in own] != [DELTA]:
        raise IntegrityFailure("a skill has one delta, and this has another number")
    with DeltaFile.open(at[own[0].blob]) as delta:
        manifest, statistics = delta.manifest, delta.statistics
        if manifest.digest != part.digest:
            raise IntegrityFailure(f"its delta is {manifest.digest}, and it is said to be {part.digest}")
        for name in manifest.tensors:
            delta.check_content(name)
    told = told_by_content(manifest, files)
    for name in ("head", "fine_tuned", "files", "grown"):
        if part.attributes.get(name) != told.get(name):
            raise IntegrityFailure(f"its attribute {name!r} is not what its files tell")
    differing = sorted(
        name
        for name in manifest.tensors.keys() | base.keys()
        if name not in base
        or name not in manifest.tensors
        or (manifest.tensors[name].base, manifest.tensors[name].dtype, manifest.tensors[name].shape)
        != (base[name].digest, base[name].dtype, tuple(base[name].shape))
    )
    if differing:
        raise IntegrityFailure(f"it was made against another base: {len(differing)} tensors differ: {differing[0]!r}")
    _check_measured(statistics, manifest)
    for each in part.statistics:
        _check_statistics(each, part, at)
    return Checked(manifest=manifest, statistics=statistics)


def _check_measured(statistics: Mapping[str, Any], manifest: Manifest) -> None:
    """What was measured on a delta is no part of its identity: it must at least be figures about its tensors."""
    tables = [statistics["total"], *statistics["tensors"].values()]
    plain = all(isinstance(value, int | float) for table in tables for value in table.values())
    if not plain or set(statistics["tensors"]) - set(manifest.tensors) or "advice" not in statistics:
        raise IntegrityFailure("what was measured on its delta is malformed")


def _check_statistics(collected: Collected, part: Part, at: Mapping[str, Path]) -> None:
    from storage.statistics.statistics_file import StatisticsFile

    with StatisticsFile.open(at[collected.blob]) as file:
        manifest = file.manifest
        said = (collected.digest, collected.kind, part.digest, collected.model, collected.data, collected.examples)
        found = (manifest.digest, manifest.kind, manifest.skill, manifest.model, manifest.data, manifest.examples)
        if said != found or dict(manifest.settings) != dict(collected.settings):
            raise IntegrityFailure(f"its {collected.kind} statistics are not what is said of them")
        for payload in manifest.payloads:
            file.check_content(payload)


def _check_merge(part: Part, at: Mapping[str, Path]) -> Recipe:
    """The recipe hashes to its name; the vector of a merge that has one is of that recipe."""
    assert part.recipe is not None
    document = parse_json(part.recipe)
    if canonical_json(document).decode() != part.recipe or sha256_digest(part.recipe.encode()) != part.digest:
        raise IntegrityFailure(f"its recipe does not hash to {part.digest}")
    recipe = read_recipe(document)
    if not isinstance(part.attributes.get("expression"), str):
        raise IntegrityFailure("it has no expression")
    expected = [VECTOR] if keeps_vector(recipe.method) else []
    if [file.path for file in part.files] != expected or ("unified" in part.attributes) != bool(expected):
        raise IntegrityFailure(f"a merge by {recipe.method} has {'one file' if expected else 'no files'}")
    for file in part.files:
        _check_vector(at[file.blob], recipe)
    return recipe


def _check_vector(path: Path, recipe: Recipe) -> None:
    from storage.deltas.unified import UnifiedFile

    with UnifiedFile.open(path) as file:
        if (file.manifest.base, file.manifest.skills) != (recipe.base, tuple(term.skill for term in recipe.terms)):
            raise IntegrityFailure("its vector is of other skills than its recipe")
        for name in file.manifest.tensors:
            file.check_content(name)
