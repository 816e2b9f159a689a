"""Compiled loops of `sign`, held to ``sign`` bit for bit."""

from __future__ import annotations

import numpy as np

from storage.encodings.kernels import jit
from storage.encodings.numeric_kernels import BF16, narrow

_LANES = 16


@jit
def quantize(values, block, signs, scales):
    """Signs (eight a byte) and bf16 scale patterns of fp32 ``values``; blocks begin at multiples of ``block``."""
    sums, mean = np.empty(_LANES, np.float64), np.empty(1, np.float32)
    for b in range(scales.size):
        own = values[b * block : min((b + 1) * block, values.size)]
        mean[0] = np.float32(_magnitude(own, sums) / own.size)
        narrow(mean, BF16, scales[b : b + 1])
    whole = values.size // 8
    _pack(values[: 8 * whole].view(np.uint32), signs[:whole])
    if whole < signs.size:
        signs[whole] = 0
        for i in range(8 * whole, values.size):
            signs[whole] |= np.uint8(np.uint8(values[i] < 0) << np.uint8(i % 8))


@jit
def _magnitude(values, sums):
    """Σ|x| in fp64: 16 partial sums in element order, then added up in order."""
    sums[:] = 0.0
    whole = values.size - values.size % _LANES
    for begin in range(0, whole, _LANES):
        for lane in range(_LANES):
            sums[lane] += np.float64(abs(values[begin + lane]))
    for i in range(whole, values.size):
        sums[i - whole] += np.float64(abs(values[i]))
    total = 0.0
    for lane in range(_LANES):
        total += sums[lane]
    return total


@jit
def _pack(bits, signs):
    # A pattern above that of −0 is that of a number below zero.
    for i in range(signs.size):
        byte = np.uint8(0)
        for k in range(8):
            byte |= np.uint8(np.uint8(bits[8 * i + k] > np.uint32(0x80000000)) << np.uint8(k))
        signs[i] = byte


@jit
def dequantize(signs, scales, block, values):
    """Plus or minus the scale of its block for each element."""
    for b in range(scales.size):
        begin = b * block
        own = values[begin : min(begin + block, values.size)].view(np.uint32)
        signed_scale(signs[begin // 8 :], np.uint32(scales[b]) << np.uint32(16), own)


@jit
def signed_scale(signs, scale, bits):
    """Patterns of plus or minus a scale (its fp32 pattern), by the signs from the first bit of ``signs`` on."""
    for i in range(bits.size):
        negative = (np.uint32(signs[i // 8]) >> np.uint32(i % 8)) & np.uint32(1)
        bits[i] = scale ^ (negative << np.uint32(31))
