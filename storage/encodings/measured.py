"""Statistics of a delta's values, and what they say about dropping most of them at random."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from storage.encodings import measure_kernels
from storage.encodings.numeric import Floats, read_only, unordered

SAFE, DEGRADING, FAILING = 0.005, 0.01, 0.03
"""Magnitudes of delta values up to which DARE is safe, from which it degrades, at which it fails (2311.03099)."""
_HIGHEST = (1 << 31) - 1
_TAIL = 1e-3  # the share of values that may lie beyond a limit before it counts


@dataclass(frozen=True)
class Measured:
    """Counts, range and sums of fp32 delta values, before anything is dropped. Adds up over chunks and tensors."""

    elements: int = 0
    kept: int = 0
    unchanged: int = 0
    minimum: float = 0.0
    maximum: float = 0.0
    total: float = 0.0
    absolute: float = 0.0
    squares: float = 0.0
    above_safe: int = 0
    above_degrading: int = 0
    above_failing: int = 0

    def __add__(self, other: Measured) -> Measured:
        if not self.elements or not other.elements:
            return other if not self.elements else self
        return Measured(
            self.elements + other.elements,
            self.kept + other.kept,
            self.unchanged + other.unchanged,
            min(self.minimum, other.minimum),
            max(self.maximum, other.maximum),
            self.total + other.total,
            self.absolute + other.absolute,
            self.squares + other.squares,
            self.above_safe + other.above_safe,
            self.above_degrading + other.above_degrading,
            self.above_failing + other.above_failing,
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON: counts, range, mean, mean magnitude, L2 norm, shares. Of no elements: counts only."""
        counts = {"elements": self.elements, "kept": self.kept, "unchanged": self.unchanged}
        if not self.elements:
            return counts
        return {
            **counts,
            "minimum": self.minimum,
            "maximum": self.maximum,
            "mean": self.total / self.elements,
            "mean_magnitude": self.absolute / self.elements,
            "norm": math.sqrt(self.squares),
            "share_unchanged": self.unchanged / self.elements,
            "share_above_0.005": self.above_safe / self.elements,
            "share_above_0.01": self.above_degrading / self.elements,
            "share_above_0.03": self.above_failing / self.elements,
        }


def untouched(elements: int) -> Measured:
    """Statistics of a tensor that the fine-tune did not change."""
    return Measured(elements=elements, unchanged=elements)


class Tally:
    """The statistics of a chunk while compiled code takes in its values; see ``measure_kernels`` for the arrays."""

    def __init__(self) -> None:
        self.sums = np.zeros((3, measure_kernels.ROW))
        self.counts = np.zeros(4, np.int64)
        self.limits = np.array([_HIGHEST, -_HIGHEST - 1], np.int32)

    @property
    def arrays(self) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int32]]:
        """What compiled code takes."""
        return self.sums, self.counts, self.limits

    def measured(self, elements: int, kept: int) -> Measured:
        """The statistics of ``elements`` values; partial sums are added up in order."""
        if not elements:
            return Measured()
        low, high = unordered(self.limits.view(np.uint32) ^ np.uint32(1 << 31)).view(np.float32).tolist()
        with np.errstate(over="ignore", invalid="ignore"):  # infinities are for the caller to refuse
            total, absolute, squares = np.add.accumulate(self.sums, axis=1)[:, -1].tolist()
        zeros, safe, degrading, failing = self.counts.tolist()
        return Measured(elements, kept, zeros, low, high, total, absolute, squares, safe, degrading, failing)


def measure_delta(delta: Floats) -> Measured:
    """Statistics of one chunk's delta values; every element counts as kept."""
    tally = Tally()
    measure_kernels.measure(read_only(delta), *tally.arrays)
    return tally.measured(delta.size, delta.size)


def dare_advice(measured: Measured) -> tuple[str, str]:
    """(verdict, sentence): `fine`, `caution` or `unsuitable` for dropping at random, by the size of the values."""
    if not measured.elements or measured.unchanged == measured.elements:
        return "fine", "the fine-tune does not differ from its base"
    changed = measured.elements - measured.unchanged
    largest = max(abs(measured.minimum), abs(measured.maximum))
    if measured.above_failing / changed > _TAIL:
        share = measured.above_failing / changed
        return "unsuitable", (
            f"{share:.1%} of the changed values are beyond {FAILING}: dropping at random breaks such a delta; "
            "keep every value, or the largest (--encoding exact or magnitude), and use no dare method"
        )
    if measured.above_degrading / changed > _TAIL:
        share = measured.above_degrading / changed
        return "caution", (
            f"{share:.1%} of the changed values are beyond {DEGRADING}: high drop rates will cost quality; "
            "compare with a lower drop rate, or with keeping every value"
        )
    share = measured.above_safe / changed
    return "fine", f"{1 - share:.1%} of the changed values are within {SAFE} (largest {largest:.2g}): DARE suits them"
