"""The compiled CPU engine: numba, no fast-math, no contraction, the same bits as ``merging.reference``."""

from __future__ import annotations

import numpy as np

from merging.combination import SMALLEST_DIVISOR, Combine, Contribution
from storage.encodings.chunks import dense
from storage.encodings.kernels import apply_mask, jit
from storage.encodings.numeric import Bits, Floats, narrow, widen

name = "numba"
device = "cpu"

_BLOCK = 2048
_SMALLEST = np.float32(SMALLEST_DIVISOR)


def merge(base: Bits, dtype: str, contributions: tuple[Contribution, ...], combine: Combine, out_dtype: str) -> Bits:
    """Merge one chunk; see ``merging.combination`` for the arithmetic."""
    stack = np.empty((len(contributions), base.size), np.float32)
    for row, contribution in zip(stack, contributions, strict=True):
        values(contribution, base, row)
    coefficients = np.array([c.coefficient for c in contributions], np.float32)
    out = np.empty(base.size, np.float32)
    scale, base_scale = np.float32(combine.scale), np.float32(combine.base_scale)
    if combine.elects:
        weights = np.array([c.weight for c in contributions], np.float32)
        elect(widen(base, dtype), stack, coefficients, weights, combine.by_weight, scale, base_scale, out)
    else:
        add_up(widen(base, dtype), stack, coefficients, scale, base_scale, out)
    return narrow(out, out_dtype)


def values(contribution: Contribution, base: Bits, out: Floats) -> None:
    """The contribution's delta values into ``out``: dense, dropped and trimmed, before its coefficient."""
    term = contribution.term
    out[:] = dense(term, base)
    if contribution.drop is not None:
        apply_mask(np.uint64(contribution.drop.key), np.uint32(contribution.drop.threshold), term.start, out)
    if contribution.cutoff > 0:
        trim(np.float32(contribution.cutoff), out)


@jit
def trim(cutoff, values):
    """Set values of magnitude below ``cutoff`` to zero, in place."""
    for i in range(values.size):
        if abs(values[i]) < cutoff:
            values[i] = np.float32(0)


@jit
def add_up(base, stack, coefficients, scale, base_scale, out):
    """``out = β·base + λ·Σ cₖ·vₖ``; ``stack`` holds the vₖ, shape (k, n)."""
    for begin in range(0, out.size, _BLOCK):
        end = min(begin + _BLOCK, out.size)
        row = out[begin:end]
        for i in range(row.size):
            row[i] = coefficients[0] * stack[0, begin + i]
        for k in range(1, stack.shape[0]):
            for i in range(row.size):
                row[i] += coefficients[k] * stack[k, begin + i]
        for i in range(row.size):
            row[i] = base_scale * base[begin + i] + scale * row[i]


@jit
def elect(base, stack, coefficients, weights, by_weight, scale, base_scale, out):
    """``out = β·base + λ·m`` with m the average of the terms that agree with the elected sign."""
    total = np.empty(_BLOCK, np.float32)
    merged = np.empty(_BLOCK, np.float32)
    divisor = np.empty(_BLOCK, np.float32)
    for begin in range(0, out.size, _BLOCK):
        size = min(_BLOCK, out.size - begin)
        for i in range(size):
            total[i] = coefficients[0] * stack[0, begin + i]
            merged[i] = np.float32(0)
            divisor[i] = np.float32(0)
        for k in range(1, stack.shape[0]):
            for i in range(size):
                total[i] += coefficients[k] * stack[k, begin + i]
        for k in range(stack.shape[0]):
            share = weights[k] if by_weight else np.float32(1)
            for i in range(size):
                term = coefficients[k] * stack[k, begin + i]
                # A total of NaN comes to the second test, which a NaN passes: it must show in the result.
                agrees = term > 0 if total[i] >= 0 else not term >= 0
                merged[i] += term if agrees else np.float32(0)
                divisor[i] += share if agrees else np.float32(0)
        for i in range(size):
            share = divisor[i] if abs(divisor[i]) >= _SMALLEST else np.float32(1)
            out[begin + i] = base_scale * base[begin + i] + scale * (merged[i] / share)


@jit
def count_magnitudes(values, shift, prefix, counts):
    """Add to ``counts`` (uint64, 32768 or 65536 bins) the magnitudes of fp32 bit patterns ``values`` (uint32).

    ``shift`` 16: bins are the upper 15 bits of the magnitude. ``shift`` 0: bins are the lower 16 bits of those
    whose upper bits are ``prefix``. Zeros are not counted.
    """
    for i in range(values.size):
        magnitude = values[i] & np.uint32(0x7FFFFFFF)
        if magnitude != 0:
            if shift == 16:
                counts[magnitude >> np.uint32(16)] += np.uint64(1)
            elif magnitude >> np.uint32(16) == prefix:
                counts[magnitude & np.uint32(0xFFFF)] += np.uint64(1)
