"""The k-th largest magnitude of many fp32 values, found exactly in two passes and bounded memory.

Magnitudes of fp32 values order like their bit patterns, so a histogram of the upper bits, then one of the lower bits
within a single bin of the first, give the exact k-th largest, whatever the number of values or threads.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from storage.encodings.magnitude_kernels import count_delta, count_patterns
from storage.encodings.numeric import Bits, Floats, read_only
from storage.encodings.numeric_kernels import DTYPE

Counts = NDArray[np.uint64]
"""A histogram of 65536 bins. Histograms of parts add up to that of the whole."""


def kept_count(density: float, elements: int) -> int:
    """K = floor(density · elements), in fp64."""
    return int(density * elements)


def new_counts() -> Counts:
    """A histogram of nothing."""
    return np.zeros(1 << 16, np.uint64)


def count_magnitudes(values: Floats, prefix: int | None, counts: Counts) -> None:
    """Add the magnitudes of ``values`` to a histogram; zeros are not counted.

    Without ``prefix`` by the pattern's upper 16 bits; with it by the lower 16 bits of those that have it as upper ones.
    """
    count_patterns(read_only(values).view(np.uint32), np.int64(-1 if prefix is None else prefix), counts)


def count_difference(
    base: Bits, base_dtype: str, fine_tuned: Bits, fine_tuned_dtype: str, prefix: int | None, counts: Counts
) -> None:
    """``count_magnitudes`` of the delta between bit patterns of equal length."""
    pair = (read_only(base), DTYPE[base_dtype], read_only(fine_tuned), DTYPE[fine_tuned_dtype])
    count_delta(*pair, np.int64(-1 if prefix is None else prefix), counts)


def find_cutoff(keep: int, histogram: Callable[[int | None], Counts]) -> float:
    """The ``keep``-th largest magnitude that is not zero; 0 where no more than ``keep`` are, infinity for none.

    ``histogram(prefix)`` counts all the values, as ``count_magnitudes`` does; it is called once or twice.
    """
    upper = histogram(None)
    if int(upper.sum()) <= keep:
        return 0.0
    if keep == 0:
        return float("inf")
    prefix, above = _locate(upper, keep)
    position, _ = _locate(histogram(prefix), keep - above)
    return float(np.array([(prefix << 16) | position], np.uint32).view(np.float32)[0])


def _locate(counts: Counts, keep: int) -> tuple[int, int]:
    """The bin that holds the ``keep``-th largest, and how many lie in higher bins."""
    from_top = np.cumsum(counts[::-1])
    position = int(np.searchsorted(from_top, np.uint64(keep)))
    above = int(from_top[position - 1]) if position else 0
    return counts.size - 1 - position, above
