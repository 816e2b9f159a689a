"""What was collected of skills and is merged with: Gram matrices of layers' inputs, diagonal Fisher information."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from storage.checkpoints.tensors import TensorEntry
from storage.errors import InputRefused
from storage.statistics.manifest import Kind
from storage.statistics.statistics_file import StatisticsFile

Array = NDArray[np.floating]


class Statistics(Protocol):
    """The statistics of a recipe's skills, by skill digest and name of the base's tensor."""

    def read(self, skill: str, tensor: str, start: int, count: int) -> Array | None:
        """Of ``count`` elements from ``start`` on: their Fisher information, fp32; or the Gram matrix of the layer that
        the tensor is the weight of, fp64 (columns, columns). None where none was collected for this tensor.
        """

    def transposed(self, skill: str, tensor: str) -> bool:
        """Whether the tensor's first axis is the layer's inputs, not its last."""


@dataclass(frozen=True)
class Collected:
    """Statistics read from files, by skill digest, as they are asked for.

    ``scaled``: each skill's Fisher information is divided by the root of its mean square over the model.
    """

    files: Mapping[str, StatisticsFile]
    scaled: bool = False

    def read(self, skill: str, tensor: str, start: int, count: int) -> Array | None:
        """As ``Statistics`` says."""
        file = self.files.get(skill)
        if file is None or tensor not in file.manifest.tensors:
            return None
        if file.manifest.kind == "gram":
            return file.matrix(tensor)
        values = file.values(tensor, start, count)
        norm = file.manifest.norm
        return (values.astype(np.float64) / norm).astype(np.float32) if self.scaled and norm else values

    def transposed(self, skill: str, tensor: str) -> bool:
        """As ``Statistics`` says."""
        file = self.files.get(skill)
        use = file.manifest.tensors.get(tensor) if file is not None else None
        return use is not None and use.transposed


def check_fit(file: StatisticsFile, skill: str, kind: Kind, entries: Mapping[str, TensorEntry]) -> None:
    """Raise InputRefused for statistics that are another skill's, of another kind, or not of the base's tensors."""
    manifest = file.manifest
    if (manifest.skill, manifest.kind) != (skill, kind):
        raise InputRefused(
            f"{file.path} holds the {manifest.kind} of skill {manifest.skill}, and the {kind} of {skill} is needed"
        )
    for name, use in manifest.tensors.items():
        entry, payload = entries.get(name), manifest.payloads[use.payload]
        if entry is None:
            raise InputRefused(f"{file.path} speaks of tensor {name!r}, which the base does not have")
        inputs = entry.shape[0 if use.transposed else -1] if entry.shape else 0
        expected, found = (inputs, payload.columns) if kind == "gram" else (entry.elements, payload.elements)
        if expected != found or (kind == "gram" and len(entry.shape) != 2):
            raise InputRefused(
                f"{file.path} does not fit tensor {name!r} of shape {list(entry.shape)}: it has {found} where "
                f"{expected} are needed"
            )
