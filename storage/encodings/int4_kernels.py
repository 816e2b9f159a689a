"""Compiled loops of int4, held to ``int4`` bit for bit."""

from __future__ import annotations

import numpy as np

from storage.encodings.kernels import _as_bits, _as_float, jit

# Added to a number below 2^22, this leaves the nearest integer, ties to even, in the last bits of the sum.
_ROUNDING = np.float32(3 << 22)


@jit
def quantize(values, block, codes, scales):
    """fp32 ``values`` into ``codes`` (uint8, two a byte, low nibble first) and bf16 ``scales``, one a block."""
    nibbles = np.zeros(block + 1, np.uint8)
    for b in range(scales.size):
        begin = b * block
        own = values[begin : min(begin + block, values.size)]
        # Rounded up to bf16, so that the largest value never needs a code beyond 7.
        scale = (_as_bits(_largest(own.view(np.uint32)) / np.float32(7)) + np.uint32(0xFFFF)) >> np.uint32(16)
        scales[b] = np.uint16(scale)
        _round(own, _as_float(scale << np.uint32(16)), nibbles)
        nibbles[own.size] = np.uint8(0)
        _pack(nibbles, codes[begin // 2 : (begin + own.size + 1) // 2])


@jit
def _largest(patterns):
    largest = np.uint32(0)
    for i in range(patterns.size):
        largest = max(largest, patterns[i] & np.uint32(0x7FFFFFFF))
    return _as_float(largest)


@jit
def _round(values, scale, nibbles):
    if scale == 0:
        nibbles[: values.size] = np.uint8(0)
        return
    for i in range(values.size):
        nibbles[i] = np.uint8(_as_bits(values[i] / scale + _ROUNDING)) & np.uint8(15)


@jit
def _pack(nibbles, codes):
    for i in range(codes.size):
        codes[i] = nibbles[2 * i] | np.uint8(nibbles[2 * i + 1] << np.uint8(4))


@jit
def dequantize(codes, scales, block, values):
    """The fp32 values of codes: code × scale, exact in fp32. ``block`` is even."""
    nibbles = np.empty(block + 1, np.int8)
    for b in range(scales.size):
        begin = b * block
        own = values[begin : min(begin + block, values.size)]
        unpack(codes[begin // 2 : (begin + own.size + 1) // 2], nibbles)
        scale_codes(nibbles, _as_float(np.uint32(scales[b]) << np.uint32(16)), own)


@jit
def unpack(codes, nibbles):
    """Codes, two a byte, as signed numbers (int8)."""
    for i in range(codes.size):
        code = np.int8(codes[i])
        nibbles[2 * i] = np.int8(code << 4) >> 4
        nibbles[2 * i + 1] = code >> 4


@jit
def scale_codes(nibbles, scale, values):
    """Code × scale."""
    for i in range(values.size):
        values[i] = np.float32(nibbles[i]) * scale
