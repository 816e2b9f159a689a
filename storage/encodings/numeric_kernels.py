"""Compiled widening, rounding and comparing of short arrays; the same bits as ``storage.encodings.numeric``.

Dtypes are numbers here (``DTYPE``). Arrays are blocks that stay in the first caches; each loop does one thing, so
that the compiler turns it into vector code. NaN comes out as some NaN.
"""

from __future__ import annotations

import numpy as np

from storage.encodings.kernels import jit

F32, F16, BF16 = range(3)
DTYPE = {"F32": F32, "F16": F16, "BF16": BF16}

_F16_UP = np.uint32((127 + 112) << 23).view(np.float32)  # 2^112 moves a half's exponent to where a float's is
_F16_OVERFLOW = np.uint32(0x477FF000)  # 65520: from here on a half is infinite
_F16_NORMAL = np.uint32(0x38800000)  # 2^-14: below, a half is denormal
_F16_HALF = np.uint32(126 << 23).view(np.float32)  # adding 0.5 leaves the last bit of a denormal half at 2^-24


@jit
def widen(bits, dtype, out):
    """The fp32 values of bit patterns (uint16 or uint32) into ``out`` (fp32)."""
    pattern = out.view(np.uint32)
    if dtype == BF16:
        _widen_bf16(bits, pattern)
    elif dtype == F16:
        _widen_f16(bits, out, pattern)
    else:
        for i in range(bits.size):
            pattern[i] = np.uint32(bits[i])


@jit
def _widen_bf16(bits, pattern):
    for i in range(bits.size):
        pattern[i] = np.uint32(bits[i]) << np.uint32(16)


@jit
def _widen_f16(bits, out, pattern):
    for i in range(bits.size):
        pattern[i] = np.uint32(bits[i] & 0x7FFF) << np.uint32(13)
    for i in range(bits.size):
        out[i] *= _F16_UP
    for i in range(bits.size):
        special = np.uint32(0x7F800000) if (bits[i] & 0x7C00) == 0x7C00 else np.uint32(0)
        pattern[i] |= special | (np.uint32(bits[i] & 0x8000) << np.uint32(16))


@jit
def narrow(values, dtype, out):
    """Bit patterns of fp32 ``values`` rounded to nearest even, beyond the range infinite; whether all are finite.

    ``values`` are used up.
    """
    pattern = values.view(np.uint32)
    if dtype == BF16:
        narrow_bf16(pattern, out)
        return _finite(out, np.uint32(0x7F80))
    if dtype == F16:
        _narrow_f16(values, pattern, out)
        return _finite(out, np.uint32(0x7C00))
    for i in range(out.size):
        out[i] = pattern[i]
    return _finite(out, np.uint32(0x7F800000))


@jit
def narrow_bf16(pattern, out):
    """fp32 patterns rounded to BF16 patterns; see ``narrow``."""
    for i in range(out.size):
        x = pattern[i]
        rounded = (x + np.uint32(0x7FFF) + ((x >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)
        # The carry would turn a NaN whose bits are all ones into a zero.
        out[i] = np.uint32(0x7FC0) if (x & np.uint32(0x7FFFFFFF)) > np.uint32(0x7F800000) else rounded


@jit
def _narrow_f16(values, pattern, out):
    for i in range(out.size):
        x = pattern[i]
        magnitude = x & np.uint32(0x7FFFFFFF)
        odd = (magnitude >> np.uint32(13)) & np.uint32(1)
        normal = (magnitude - np.uint32(112 << 23) + np.uint32(0xFFF) + odd) >> np.uint32(13)
        special = np.uint32(0x7E00) if magnitude > np.uint32(0x7F800000) else np.uint32(0x7C00)
        rounded = special if magnitude >= _F16_OVERFLOW else normal
        out[i] = (rounded & np.uint32(0x7FFF)) | ((x >> np.uint32(16)) & np.uint32(0x8000))
    # In place: of what is denormal as a half, the sum with 0.5 holds the rounded half in its last bits.
    for i in range(out.size):
        values[i] = abs(values[i]) + _F16_HALF if abs(values[i]) < np.float32(2.0**-14) else np.float32(-1)
    for i in range(out.size):
        denormal = (pattern[i] - np.uint32(126 << 23)) | np.uint32(out[i] & 0x8000)
        out[i] = denormal if pattern[i] < np.uint32(0x80000000) else np.uint32(out[i])


@jit
def _finite(bits, exponent):
    special = np.int32(0)
    for i in range(bits.size):
        special |= np.int32((np.uint32(bits[i]) & exponent) == exponent)
    return special == 0


LANES = 512
"""Partial sums of ``add_change``: so many that none waits for another."""


@jit
def add_change(base, out, sums):
    """Add the squares of ``out − base`` (fp32 difference, fp64 square) to 512 sums, element i to sum i mod 512.

    Returns how many elements differ. Both arrays begin at a multiple of 512 of the chunk.
    """
    changed = np.int64(0)
    for begin in range(0, out.size, LANES):
        end = min(begin + LANES, out.size)
        _add_squares(base[begin:end], out[begin:end], sums[: end - begin])
        changed += np.int64(_count_changed(base[begin:end], out[begin:end]))
    return changed


@jit
def _add_squares(base, out, sums):
    for i in range(out.size):
        x = np.float64(out[i] - base[i])
        sums[i] += x * x


@jit
def _count_changed(base, out):
    changed = np.int32(0)
    for i in range(out.size):
        changed += np.int32(out[i] != base[i])
    return changed
