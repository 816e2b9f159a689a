"""What is recorded of a skill, out of its delta file: the same when it is registered and when it comes in a bundle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from registry.records.contents import DeltaRow, FileRow, TensorRow
from registry.records.tables import ModelVersion
from registry.tokens.companion_files import companions_digest

if TYPE_CHECKING:
    from storage.deltas.manifest import Manifest


def told_by_content(manifest: Manifest, files: Sequence[FileRow]) -> dict[str, Any]:
    """The attributes of a skill that its delta and the files beside it tell."""
    told: dict[str, Any] = {"head": sorted(manifest.head), "fine_tuned": manifest.fine_tuned}
    told |= {"files": companions_digest(files)} if len(files) > 1 else {}
    return told | ({"grown": list(manifest.grown)} if manifest.grown else {})


def delta_row(base: ModelVersion, manifest: Manifest, statistics: Mapping[str, Any], file: FileRow) -> DeltaRow:
    """How a skill is stored in a file, and what was measured on it."""
    assert file.blob_digest is not None
    coding = manifest.coding
    dare = coding if manifest.encoding == "dare" else None
    parameters: dict[str, Any] = {"prefix": manifest.prefix, "dropped_prefix": manifest.dropped_prefix}
    if coding and coding.selects_magnitude:
        parameters |= {"density": coding.density, "trim": coding.trim}
    return DeltaRow(
        base_version_id=base.id,
        encoding=manifest.encoding,
        blob_digest=file.blob_digest,
        stored_bytes=file.size,
        values=coding.values if coding and manifest.encoding in ("dare", "magnitude") else None,
        drop_rate=dare.drop_rate if dare else None,
        seed=dare.seed if dare else None,
        parameters=parameters,
        statistics={key: statistics[key] for key in ("total", "advice")},
    )


def skill_tensors(manifest: Manifest, statistics: Mapping[str, Any]) -> list[TensorRow]:
    """The tensors of the fine-tune that a skill stands for: known by digest, their bytes lie nowhere."""
    measured: Mapping[str, Any] = statistics["tensors"]
    return [
        TensorRow(name, each.fine_tuned_dtype, each.shape, each.fine_tuned, 0, statistics=measured.get(name))
        for name, each in manifest.tensors.items()
    ]
