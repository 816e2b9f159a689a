"""Compiled loops of `exact`: codes from two patterns and back, and their order by the base's exponent.

Held to ``numeric.bit_difference``, ``numeric.apply_difference`` and ``exact`` bit for bit. Dtypes are numbers here
(``numeric_kernels.DTYPE``). ``ranks`` (int64, 256) holds where the next code of each exponent lies.
"""

from __future__ import annotations

import numpy as np

from storage.encodings.kernels import jit
from storage.encodings.numeric_kernels import BF16, F16, F32


@jit
def rank_codes(base, dtype, ranks):
    """Set ``ranks`` to where the first code of each exponent of ``base`` lies."""
    shift, exponents = _exponent_field(dtype)
    counts = np.zeros((4, ranks.size), np.int64)
    # Neighbours mostly share an exponent: four counts each, so that no addition waits for the one before.
    whole = base.size - base.size % 4
    for i in range(0, whole, 4):
        for lane in range(4):
            counts[lane, np.uint64((np.uint32(base[i + lane]) >> shift) & exponents)] += 1
    for i in range(whole, base.size):
        counts[0, (np.uint32(base[i]) >> shift) & exponents] += 1
    first = np.int64(0)
    for exponent in range(ranks.size):
        ranks[exponent] = first
        first += counts[0, exponent] + counts[1, exponent] + counts[2, exponent] + counts[3, exponent]


@jit
def distribute(codes, dtype, base, ranks, planes):
    """Write codes (one an element of ``base``) to the planes of all codes, each at its rank."""
    shift, exponents = _exponent_field(dtype)
    if dtype == F32:
        count = planes.size // 4
        first, second, third, fourth = planes[:count], planes[count:], planes[2 * count :], planes[3 * count :]
        for i in range(codes.size):
            rank, code = _next_rank(base[i], shift, exponents, ranks), np.uint32(codes[i])
            first[rank] = np.uint8(code >> np.uint32(24))
            second[rank] = np.uint8(code >> np.uint32(16))
            third[rank] = np.uint8(code >> np.uint32(8))
            fourth[rank] = np.uint8(code)
    else:
        high, low = planes[: planes.size // 2], planes[planes.size // 2 :]
        for i in range(codes.size):
            rank, code = _next_rank(base[i], shift, exponents, ranks), np.uint32(codes[i])
            high[rank] = np.uint8(code >> np.uint32(8))
            low[rank] = np.uint8(code)


@jit
def collect(planes, count, dtype, base, ranks, codes):
    """The codes of some consecutive elements of ``base``, out of the planes of ``count`` codes."""
    shift, exponents = _exponent_field(dtype)
    if dtype == F32:
        first, second, third, fourth = planes[:count], planes[count:], planes[2 * count :], planes[3 * count :]
        for i in range(codes.size):
            rank = _next_rank(base[i], shift, exponents, ranks)
            upper = np.uint32(first[rank]) << np.uint32(24) | np.uint32(second[rank]) << np.uint32(16)
            codes[i] = upper | np.uint32(third[rank]) << np.uint32(8) | np.uint32(fourth[rank])
    else:
        high, low = planes[:count], planes[count:]
        for i in range(codes.size):
            rank = _next_rank(base[i], shift, exponents, ranks)
            codes[i] = np.uint32(high[rank]) << np.uint32(8) | np.uint32(low[rank])


@jit
def _next_rank(pattern, shift, exponents, ranks):
    # Unsigned: an index that cannot be negative is used as it is.
    exponent = np.uint64((np.uint32(pattern) >> shift) & exponents)
    rank = np.uint64(ranks[exponent])
    ranks[exponent] = rank + np.uint64(1)
    return rank


@jit
def difference(base, fine_tuned, width, codes):
    """``codes`` = zigzag(ordered(fine_tuned) − ordered(base)) modulo 2^width; patterns of one dtype."""
    top = np.uint32(1) << (width - np.uint32(1))
    full = top | (top - np.uint32(1))
    for i in range(codes.size):
        own, other = np.uint32(base[i]), np.uint32(fine_tuned[i])
        own = (own ^ full) if own & top else (own | top)
        other = (other ^ full) if other & top else (other | top)
        moved = other - own
        codes[i] = ((moved << np.uint32(1)) & full) ^ (full if moved & top else np.uint32(0))


@jit
def rebuild(base, width, codes):
    """unordered(ordered(base) + unzigzag(code)) modulo 2^width, in place of the codes."""
    top = np.uint32(1) << (width - np.uint32(1))
    full = top | (top - np.uint32(1))
    for i in range(codes.size):
        own, code = np.uint32(base[i]), np.uint32(codes[i])
        order = (own ^ full) if own & top else (own | top)
        moved = (order + ((code >> np.uint32(1)) ^ (np.uint32(0) - (code & np.uint32(1))))) & full
        codes[i] = (moved ^ top) if moved & top else (moved ^ full)


@jit
def _exponent_field(dtype):
    if dtype == BF16:
        return np.uint32(7), np.uint32(0xFF)
    if dtype == F16:
        return np.uint32(10), np.uint32(0x1F)
    return np.uint32(23), np.uint32(0xFF)
