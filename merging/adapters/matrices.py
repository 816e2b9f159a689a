"""One layer's delta as a matrix that can be multiplied in fp64: in host memory, or through torch on a device.

A block of rows at a time is widened, so that beside the fp32 matrix only a block takes memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from storage.encodings.numeric import Floats

if TYPE_CHECKING:
    from torch import Tensor

Doubles = NDArray[np.float64]
BLOCK = 1 << 22
"""Elements that are widened at a time."""


class Matrix(Protocol):
    """What truncation asks of a matrix M (rows, columns)."""

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""

    def values(self) -> Doubles:
        """M itself, in host memory."""

    def energy(self) -> float:
        """‖M‖²."""

    def times(self, right: Doubles) -> Doubles:
        """M·right."""

    def transposed_times(self, left: Doubles) -> Doubles:
        """Mᵀ·left."""

    def residual(self, b: Doubles, a: Doubles) -> float:
        """‖M − b·a‖²."""


class HostMatrix:
    """A matrix in host memory."""

    def __init__(self, values: Floats):
        self._values = values

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self._values.shape[0], self._values.shape[1]

    def values(self) -> Doubles:
        """M itself."""
        return self._values.astype(np.float64)

    def energy(self) -> float:
        """‖M‖², summed block by block."""
        return sum(float(np.vdot(block, block)) for _, block in self._blocks())

    def times(self, right: Doubles) -> Doubles:
        """M·right."""
        return np.concatenate([block @ right for _, block in self._blocks()])

    def transposed_times(self, left: Doubles) -> Doubles:
        """Mᵀ·left."""
        total = np.zeros((self.shape[1], left.shape[1]))
        for rows, block in self._blocks():
            total += block.T @ left[rows]
        return total

    def residual(self, b: Doubles, a: Doubles) -> float:
        """‖M − b·a‖²."""
        total = 0.0
        for rows, block in self._blocks():
            block -= b[rows] @ a
            total += float(np.vdot(block, block))
        return total

    def _blocks(self) -> Iterator[tuple[slice, Doubles]]:
        for rows in _row_blocks(self.shape):
            yield rows, self._values[rows].astype(np.float64)


class TorchMatrix:
    """A matrix on a torch device; what it is multiplied with comes from the host, and goes back there."""

    def __init__(self, values: Floats, device: str):
        from merging.engines.torch_engine import import_torch, torch_device

        self._torch: Any = import_torch()
        self._device = torch_device(device)
        self._values: Tensor = self._torch.from_numpy(values).to(self._device)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self._values.shape[0], self._values.shape[1]

    def values(self) -> Doubles:
        """M itself."""
        return self._host(self._values.double())

    def energy(self) -> float:
        """‖M‖², summed block by block."""
        return sum(float(block.square().sum()) for _, block in self._blocks())

    def times(self, right: Doubles) -> Doubles:
        """M·right."""
        there = self._there(right)
        return self._host(self._torch.cat([block @ there for _, block in self._blocks()]))

    def transposed_times(self, left: Doubles) -> Doubles:
        """Mᵀ·left."""
        there = self._there(left)
        total = self._torch.zeros((self.shape[1], left.shape[1]), dtype=there.dtype, device=self._device)
        for rows, block in self._blocks():
            total += block.T @ there[rows]
        return self._host(total)

    def residual(self, b: Doubles, a: Doubles) -> float:
        """‖M − b·a‖²."""
        left, right = self._there(b), self._there(a)
        return sum(float((block - left[rows] @ right).square().sum()) for rows, block in self._blocks())

    def _blocks(self) -> Iterator[tuple[slice, Tensor]]:
        for rows in _row_blocks(self.shape):
            yield rows, self._values[rows].double()

    def _there(self, values: Doubles) -> Tensor:
        moved: Tensor = self._torch.from_numpy(np.ascontiguousarray(values)).to(self._device)
        return moved

    def _host(self, values: Tensor) -> Doubles:
        back: Doubles = values.cpu().numpy()
        return back


def open_matrix(values: Floats, device: str) -> Matrix:
    """A matrix where ``device`` computes: "cpu", or a CUDA device through torch."""
    return HostMatrix(values) if device == "cpu" else TorchMatrix(values, device)


def _row_blocks(shape: tuple[int, int]) -> Iterator[slice]:
    step = max(1, BLOCK // max(1, shape[1]))
    for start in range(0, shape[0], step):
        yield slice(start, min(start + step, shape[0]))
