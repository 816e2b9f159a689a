"""Compiled histograms of magnitudes, for ``cutoffs``."""

from __future__ import annotations

import numpy as np

from storage.encodings.encode_kernels import subtract_block
from storage.encodings.kernels import jit
from storage.encodings.measure_kernels import BLOCK

_MAGNITUDE = np.uint32(0x7FFFFFFF)


@jit
def count_patterns(patterns, prefix, counts):
    """Add the magnitudes of fp32 ``patterns`` to ``counts`` (uint64, 65536): by their upper 16 bits where ``prefix``
    is negative, else by the lower 16 bits of those whose upper ones are ``prefix``. Zeros are not counted.
    """
    for i in range(patterns.size):
        magnitude = patterns[i] & _MAGNITUDE
        upper = np.int64(magnitude >> np.uint32(16))
        if prefix < 0:
            counts[upper] += np.uint64(magnitude != 0)
        elif upper == prefix and magnitude != 0:
            counts[magnitude & np.uint32(0xFFFF)] += np.uint64(1)


@jit
def count_around(patterns, first, counts, window):
    """Both at once: ``counts`` as without a prefix; and in ``window`` (uint64, n · 65536 + 16) one histogram of lower
    16 bits after the other, for the prefixes from ``first`` on. What the last 16 bins hold means nothing.
    """
    size = np.int64(window.size - 16)
    low = np.uint32(first) << np.uint32(16)
    for i in range(patterns.size):
        magnitude = patterns[i] & _MAGNITUDE
        one = np.uint64(magnitude != 0)
        counts[magnitude >> np.uint32(16)] += one
        place = np.int64(np.uint32(magnitude - low))
        # Counted in any case, as a branch would often be mispredicted; in several bins, as each waits for its last sum.
        window[place if place < size else size + (i & 15)] += one


@jit
def count_delta(base, base_dtype, fine_tuned, dtype, prefix, counts):
    """``count_patterns`` of the delta between bit patterns, whose dtypes are numbers (``numeric_kernels.DTYPE``)."""
    own, delta = np.empty(BLOCK, np.float32), np.empty(BLOCK, np.float32)
    for begin in range(0, base.size, BLOCK):
        end = min(begin + BLOCK, base.size)
        block = delta[: end - begin]
        subtract_block(base[begin:end], base_dtype, fine_tuned[begin:end], dtype, own, block)
        count_patterns(block.view(np.uint32), prefix, counts)
