"""Compiled statistics of fp32 values, added up block by block.

``sums`` (fp64, 3 × ``ROW``): x, |x| and x² in partial sums. A block of ``BLOCK`` values is four rows a, b, c, d of
``ROW``: sum i takes in (aᵢ + bᵢ) + (cᵢ + dᵢ). Of a last, shorter block it takes in the rows one by one. So the order is
stated, and hundreds of additions do not wait for each other. ``counts`` (int64, 4): exact zeros, |x| > 0.005,
> 0.01, > 0.03. ``limits`` (int32, 2): the least and the largest value as ``ordered`` integers.
"""

from __future__ import annotations

import numpy as np

from storage.encodings.kernels import jit

ROW = 512
BLOCK = 4 * ROW
_MAGNITUDE = np.int32(0x7FFFFFFF)
_SAFE, _DEGRADING, _FAILING = np.array([0.005, 0.01, 0.03], np.float32).view(np.int32)


@jit
def measure(values, sums, counts, limits):
    """Take in values that begin at a multiple of ``BLOCK`` of their chunk."""
    for begin in range(0, values.size, BLOCK):
        block = values[begin : begin + BLOCK]
        if block.size == BLOCK:
            a, b, c, d = block[:ROW], block[ROW : 2 * ROW], block[2 * ROW : 3 * ROW], block[3 * ROW :]
            _add_rows(a, b, c, d, sums[0], sums[1], sums[2])
        else:
            for row in range(0, block.size, ROW):
                _add(block[row : row + ROW], sums[0], sums[1], sums[2])
    patterns = values.view(np.int32)
    if _limit(patterns, counts, limits) > _SAFE:
        _count(patterns, counts)


@jit
def _add_rows(a, b, c, d, total, absolute, squares):
    for i in range(ROW):
        w, x, y, z = np.float64(a[i]), np.float64(b[i]), np.float64(c[i]), np.float64(d[i])
        total[i] += (w + x) + (y + z)
        absolute[i] += (abs(w) + abs(x)) + (abs(y) + abs(z))
        squares[i] += (w * w + x * x) + (y * y + z * z)


@jit
def _add(values, total, absolute, squares):
    for i in range(values.size):
        x = np.float64(values[i])
        total[i] += x
        absolute[i] += abs(x)
        squares[i] += x * x


@jit
def _limit(patterns, counts, limits):
    """Count zeros, widen the limits; the block's largest magnitude comes back."""
    zeros = largest = np.int32(0)
    low, high = limits[0], limits[1]
    for i in range(patterns.size):
        x = patterns[i]
        magnitude = x & _MAGNITUDE
        zeros += np.int32(magnitude == 0)
        largest = max(largest, magnitude)
        order = x ^ ((x >> np.int32(31)) & _MAGNITUDE)
        low = min(low, order)
        high = max(high, order)
    counts[0] += zeros
    limits[0], limits[1] = low, high
    return largest


@jit
def _count(patterns, counts):
    safe = degrading = failing = np.int32(0)
    for i in range(patterns.size):
        magnitude = patterns[i] & _MAGNITUDE
        safe += np.int32(magnitude > _SAFE)
        degrading += np.int32(magnitude > _DEGRADING)
        failing += np.int32(magnitude > _FAILING)
    counts[1] += safe
    counts[2] += degrading
    counts[3] += failing


@jit
def sum_magnitudes(values):
    """Σ|x| of fp32 values, in fp64 and in order."""
    total = 0.0
    for i in range(values.size):
        total += abs(np.float64(values[i]))
    return total


@jit
def add_products(one, other, sums):
    """Add the products of two fp32 arrays, in fp64, to ``ROW`` sums: element i to sum i mod ``ROW``."""
    for begin in range(0, one.size, ROW):
        _add_row(one[begin : begin + ROW], other[begin : begin + ROW], sums)


@jit
def _add_row(one, other, sums):
    for i in range(one.size):
        sums[i] += np.float64(one[i]) * np.float64(other[i])


@jit
def add_square_products(one, other, sums):
    """Add the squares of the products of two fp32 arrays, as ``add_products`` adds the products."""
    for begin in range(0, one.size, ROW):
        _add_square_row(one[begin : begin + ROW], other[begin : begin + ROW], sums)


@jit
def _add_square_row(one, other, sums):
    for i in range(one.size):
        product = np.float64(one[i]) * np.float64(other[i])
        sums[i] += product * product


@jit
def count_signs(one, other):
    """(Elements that are zero in neither of two fp32 arrays, those of them that have the same sign in both)."""
    both, same = np.int64(0), np.int64(0)
    for begin in range(0, one.size, BLOCK):
        part = _count_block(one[begin : begin + BLOCK].view(np.int32), other[begin : begin + BLOCK].view(np.int32))
        both += part[0]
        same += part[1]
    return both, same


@jit
def _count_block(one, other):
    both = same = np.int32(0)
    for i in range(one.size):
        x, y = one[i], other[i]
        neither = np.int32((x & _MAGNITUDE) != 0) & np.int32((y & _MAGNITUDE) != 0)
        both += neither
        same += neither & np.int32((x ^ y) >= 0)
    return both, same
