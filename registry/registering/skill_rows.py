"""What is recorded of a skill, out of its delta file: its manifest, and what was measured when it was made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from registry.records.contents import DeltaRow, FileRow, TensorRow

if TYPE_CHECKING:
    from storage.deltas.manifest import Manifest


def delta_row(base_version_id: int, manifest: Manifest, statistics: Mapping[str, Any], file: FileRow) -> DeltaRow:
    """How the delta in ``file`` is stored."""
    assert file.blob_digest is not None
    coding = manifest.coding
    dare = coding if manifest.encoding == "dare" else None
    parameters: dict[str, Any] = {"prefix": manifest.prefix, "dropped_prefix": manifest.dropped_prefix}
    if coding and coding.selects_magnitude:
        parameters |= {"density": coding.density, "trim": coding.trim}
    return DeltaRow(
        base_version_id=base_version_id,
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
    """The base's tensors as the fine-tune has them; their bytes lie nowhere by themselves."""
    measured: Mapping[str, Any] = statistics["tensors"]
    return [
        TensorRow(name, each.fine_tuned_dtype, each.shape, each.fine_tuned, 0, statistics=measured.get(name))
        for name, each in manifest.tensors.items()
    ]
