"""Compiled encoding of a chunk, a block at a time: subtract, measure, choose; what is in work stays in the first cache.

Held to ``philox.mask``, ``numeric`` and plain numpy by tests, bit for bit. Dtypes are numbers here
(``numeric_kernels.DTYPE``); ``base`` and ``fine_tuned`` are bit patterns, ``sums``, ``counts`` and ``limits`` those of
``measure_kernels``.
"""

from __future__ import annotations

import numpy as np

from storage.encodings.exact_kernels import difference, distribute
from storage.encodings.kernels import jit
from storage.encodings.mask_kernels import draw_bits, places_of_bits
from storage.encodings.measure_kernels import BLOCK, measure
from storage.encodings.numeric_kernels import narrow_bf16, widen

# A block, BLOCK elements: two of fp32 values, the patterns they come from, partial sums and a mask fill 32 KiB.
_MAGNITUDE = np.uint32(0x7FFFFFFF)


@jit
def subtract(base, base_dtype, fine_tuned, dtype, sums, counts, limits, values):
    """Measure a delta; and keep it in ``values``, unless that is empty."""
    own, scratch = np.empty(BLOCK, np.float32), np.empty(BLOCK, np.float32)
    for begin in range(0, base.size, BLOCK):
        end = min(begin + BLOCK, base.size)
        block = values[begin:end] if values.size else scratch[: end - begin]
        subtract_block(base[begin:end], base_dtype, fine_tuned[begin:end], dtype, own, block)
        measure(block, sums, counts, limits)


@jit
def keep_masked(base, base_dtype, fine_tuned, dtype, sums, counts, limits, key, threshold, start, places, values):
    """Measure a delta; the elements that the mask keeps go to ``places`` and ``values``. Returns how many."""
    own, block = np.empty(BLOCK, np.float32), np.empty(BLOCK, np.float32)
    words, bits = np.empty(BLOCK // 2, np.uint32), np.empty(BLOCK // 64, np.uint64)
    kept = 0
    for begin in range(0, base.size, BLOCK):
        end = min(begin + BLOCK, base.size)
        delta = block[: end - begin]
        subtract_block(base[begin:end], base_dtype, fine_tuned[begin:end], dtype, own, delta)
        measure(delta, sums, counts, limits)
        drawn = bits[: (delta.size + 63) // 64]
        draw_bits(key, threshold, start + begin, delta.size, words, drawn)
        found = places_of_bits(drawn, begin, places[kept:])
        _take(delta, begin, places[kept : kept + found], values[kept:])
        kept += found
    return kept


@jit
def keep_largest(base, base_dtype, fine_tuned, dtype, sums, counts, limits, smallest, places, values):
    """Measure a delta; elements with a magnitude of pattern ``smallest`` or above go to ``places`` and ``values``.

    Returns how many.
    """
    own, block = np.empty(BLOCK, np.float32), np.empty(BLOCK, np.float32)
    kept = 0
    for begin in range(0, base.size, BLOCK):
        end = min(begin + BLOCK, base.size)
        delta = block[: end - begin]
        subtract_block(base[begin:end], base_dtype, fine_tuned[begin:end], dtype, own, delta)
        measure(delta, sums, counts, limits)
        found = _places_above(delta.view(np.uint32), smallest, begin, places[kept:])
        _take(delta, begin, places[kept : kept + found], values[kept:])
        kept += found
    return kept


@jit
def exact_planes(base, fine_tuned, width, dtype, ranks, planes):
    """Write the `exact` codes of all elements to ``planes``; both patterns are of ``dtype``, ``width`` bits each."""
    codes = np.empty(BLOCK, np.uint32)
    for begin in range(0, base.size, BLOCK):
        end = min(begin + BLOCK, base.size)
        difference(base[begin:end], fine_tuned[begin:end], width, codes[: end - begin])
        distribute(codes[: end - begin], dtype, base[begin:end], ranks, planes)


@jit
def bf16_planes(values, high, low):
    """The upper and the lower bytes of ``values`` narrowed to BF16."""
    patterns = np.empty(BLOCK, np.uint16)
    for begin in range(0, values.size, BLOCK):
        end = min(begin + BLOCK, values.size)
        narrow_bf16(values[begin:end].view(np.uint32), patterns[: end - begin])
        _split(patterns[: end - begin], high[begin:end], low[begin:end])


@jit
def _split(patterns, high, low):
    for i in range(patterns.size):
        high[i] = np.uint8(patterns[i] >> np.uint16(8))
    for i in range(patterns.size):
        low[i] = np.uint8(patterns[i])


@jit
def subtract_block(base, base_dtype, fine_tuned, dtype, own, values):
    """The delta of a block of patterns into ``values``; ``own`` is working memory of at least its length."""
    widen(fine_tuned, dtype, values)
    widen(base, base_dtype, own[: base.size])
    for i in range(values.size):
        values[i] -= own[i]


@jit
def _places_above(patterns, smallest, first, places):
    kept = 0
    for i in range(patterns.size):
        # Written before it is known to count: a store costs less than a branch that guesses wrong.
        places[kept] = first + i
        kept += np.int64((patterns[i] & _MAGNITUDE) >= smallest)
    return kept


@jit
def _take(block, begin, places, values):
    for i in range(places.size):
        values[i] = block[places[i] - begin]
