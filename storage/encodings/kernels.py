"""Compiled inner loops of the encodings: masks, gathering kept values, int4. Numba, no fast-math, no contraction.

Every function here has a plain numpy counterpart (in ``philox``, ``int4`` and ``numeric``) that tests hold it to,
bit for bit. Arrays are one-dimensional; ``start`` is a multiple of ``philox.LANES``.
"""

from __future__ import annotations

import numba
import numpy as np

_BLOCK = 4096  # elements whose lanes are drawn at once: 8 KiB, stays in the first-level cache

jit = numba.njit(nogil=True, cache=True, error_model="numpy")
"""The one set of compiler options: IEEE arithmetic as written, no global interpreter lock."""


@jit
def draw_lanes(key, first, words):
    """Fill ``words`` (uint32, 4 per counter) with Philox4x32-10 of the counters from ``first`` on."""
    key0 = np.uint32(key & np.uint64(0xFFFFFFFF))
    key1 = np.uint32(key >> np.uint64(32))
    for i in range(words.size // 4):
        counter = np.uint64(first + i)
        c0 = np.uint32(counter & np.uint64(0xFFFFFFFF))
        c1 = np.uint32(counter >> np.uint64(32))
        c2 = np.uint32(0)
        c3 = np.uint32(0)
        k0 = key0
        k1 = key1
        for _ in range(10):
            p0 = np.uint64(c0) * np.uint64(0xD2511F53)
            p1 = np.uint64(c2) * np.uint64(0xCD9E8D57)
            c0 = np.uint32(p1 >> np.uint64(32)) ^ c1 ^ k0
            c2 = np.uint32(p0 >> np.uint64(32)) ^ c3 ^ k1
            c1 = np.uint32(p1)
            c3 = np.uint32(p0)
            k0 = np.uint32(k0 + np.uint32(0x9E3779B9))
            k1 = np.uint32(k1 + np.uint32(0xBB67AE85))
        words[4 * i] = c0
        words[4 * i + 1] = c1
        words[4 * i + 2] = c2
        words[4 * i + 3] = c3


@jit
def gather(key, threshold, start, values, out):
    """Copy the kept of ``values`` to ``out`` in order and return how many. ``out`` holds values.size + 1."""
    words = np.empty(_BLOCK // 2, np.uint32)
    lanes = words.view(np.uint16)
    kept = 0
    for begin in range(0, values.size, _BLOCK):
        draw_lanes(key, (start + begin) // 8, words)
        for i in range(min(_BLOCK, values.size - begin)):
            out[kept] = values[begin + i]
            kept += np.int64(lanes[i] < threshold)
    return kept


@jit
def scatter(key, threshold, start, kept_values, out):
    """Spread kept values over ``out``, zero elsewhere. Returns how many the mask asked for.

    Never reads past ``kept_values``: a count that differs from its size means damaged input.
    """
    words = np.empty(_BLOCK // 2, np.uint32)
    lanes = words.view(np.uint16)
    zero = out.dtype.type(0)
    limit = kept_values.size
    kept = 0
    for begin in range(0, out.size, _BLOCK):
        draw_lanes(key, (start + begin) // 8, words)
        for i in range(min(_BLOCK, out.size - begin)):
            keep = lanes[i] < threshold
            out[begin + i] = kept_values[kept] if keep and kept < limit else zero
            kept += np.int64(keep)
    return kept


@jit
def apply_mask(key, threshold, start, values):
    """Set the dropped of ``values`` to zero, in place."""
    words = np.empty(_BLOCK // 2, np.uint32)
    lanes = words.view(np.uint16)
    zero = values.dtype.type(0)
    for begin in range(0, values.size, _BLOCK):
        draw_lanes(key, (start + begin) // 8, words)
        for i in range(min(_BLOCK, values.size - begin)):
            if lanes[i] >= threshold:
                values[begin + i] = zero


@jit
def quantize(values, block, codes, scales):
    """Blockwise int4 of fp32 ``values`` into ``codes`` (uint8, two a byte, low nibble first) and bf16 ``scales``."""
    for b in range(scales.size):
        begin = b * block
        end = min(begin + block, values.size)
        largest = np.float32(0)
        for i in range(begin, end):
            largest = max(largest, abs(values[i]))
        scale_bits = _scale_bits(largest)
        scales[b] = np.uint16(scale_bits >> np.uint32(16))
        scale = _as_float(scale_bits)
        for i in range(begin, end, 2):
            low = _code(values[i], scale)
            high = _code(values[i + 1], scale) if i + 1 < end else np.uint8(0)
            codes[i // 2] = low | np.uint8(high << np.uint8(4))


@jit
def dequantize(codes, scales, block, values):
    """The fp32 values of int4 codes: code × scale, exact in fp32."""
    for b in range(scales.size):
        begin = b * block
        scale = _as_float(np.uint32(scales[b]) << np.uint32(16))
        for i in range(begin, min(begin + block, values.size)):
            nibble = np.int32((codes[i // 2] >> np.uint8(4 * (i & 1))) & np.uint8(15))
            values[i] = np.float32(nibble - ((nibble & 8) << 1)) * scale


@jit
def _scale_bits(largest):
    # Rounded up to bf16, so that the largest value never needs a code beyond 7.
    return (_as_bits(largest / np.float32(7)) + np.uint32(0xFFFF)) & np.uint32(0xFFFF0000)


@jit
def _code(value, scale):
    if scale == 0:
        return np.uint8(0)
    return np.uint8(np.int32(np.rint(value / scale)) & 15)


@numba.extending.intrinsic
def _as_float(typing_context, bits):
    """Reinterpret a uint32 as fp32."""

    def generate(context, builder, signature, arguments):
        return builder.bitcast(arguments[0], context.get_value_type(signature.return_type))

    return numba.types.float32(numba.types.uint32), generate


@numba.extending.intrinsic
def _as_bits(typing_context, value):
    """Reinterpret an fp32 as uint32."""

    def generate(context, builder, signature, arguments):
        return builder.bitcast(arguments[0], context.get_value_type(signature.return_type))

    return numba.types.uint32(numba.types.float32), generate


@jit
def measure(values):
    """Statistics of fp32 ``values``, sums in fp64 and in order.

    (minimum, maximum, Σx, Σ|x|, Σx², exact zeros, |x| > 0.005, |x| > 0.01, |x| > 0.03)
    """
    smallest = np.float32(np.inf)
    largest = np.float32(-np.inf)
    total = 0.0
    absolute = 0.0
    squares = 0.0
    zeros = above5 = above10 = above30 = np.int64(0)
    for i in range(values.size):
        x = values[i]
        magnitude = abs(x)
        smallest = min(smallest, x)
        largest = max(largest, x)
        total += np.float64(x)
        absolute += np.float64(magnitude)
        squares += np.float64(x) * np.float64(x)
        zeros += np.int64(x == 0)
        above5 += np.int64(magnitude > np.float32(0.005))
        above10 += np.int64(magnitude > np.float32(0.01))
        above30 += np.int64(magnitude > np.float32(0.03))
    return smallest, largest, total, absolute, squares, zeros, above5, above10, above30


@jit
def difference_energy(a, b):
    """(Σ(a − b)² in fp64 and in order, elements that differ) of two fp32 arrays."""
    squares = 0.0
    changed = np.int64(0)
    for i in range(a.size):
        x = np.float64(a[i] - b[i])
        squares += x * x
        changed += np.int64(a[i] != b[i])
    return squares, changed


@jit
def count_kept(key, threshold, start, count):
    """How many of ``count`` elements from ``start`` on the mask keeps."""
    if threshold == 65536:
        return np.int64(count)
    words = np.empty(_BLOCK // 2, np.uint32)
    lanes = words.view(np.uint16)
    kept = np.int64(0)
    for begin in range(0, count, _BLOCK):
        draw_lanes(key, (start + begin) // 8, words)
        for i in range(min(_BLOCK, count - begin)):
            kept += np.int64(lanes[i] < threshold)
    return kept


@jit
def low_rank(a, b, scaling, transposed, start, out):
    """``out[e] = scaling · Σₗ b[i, l]·a[l, j]``, the sum in order of l, each step rounded to fp32.

    Element e = start + position is (i, j) of the product, row-major; of its transpose when ``transposed``.
    """
    rank = a.shape[0]
    rows = b.shape[0]
    columns = a.shape[1]
    width = rows if transposed else columns
    position = 0
    while position < out.size:
        line = (start + position) // width
        first = (start + position) % width
        span = min(width - first, out.size - position)
        row = out[position : position + span]
        row[:] = np.float32(0)
        for index in range(rank):
            if transposed:
                factor = a[index, line]
                for k in range(span):
                    row[k] += b[first + k, index] * factor
            else:
                factor = b[line, index]
                for k in range(span):
                    row[k] += factor * a[index, first + k]
        for k in range(span):
            row[k] *= scaling
        position += span
