"""One bit a value in plain numpy: the definition that the compiled kernels are held to.

A block of ``BLOCK`` consecutive elements shares one bf16 scale, the mean of its magnitudes; every value is plus or
minus that scale, which of all scales has the least squared error. Bit i mod 8 of byte i // 8 is set where
element i is negative; zeros count as plus. Choice of block: ``docs/decisions/0011-sign.md``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from storage.encodings.numeric import Floats, narrow

BLOCK = 256
"""Elements that share a scale; a multiple of ``LANES``, and a divisor of the chunk."""
LANES = 16
"""Partial sums of a block's magnitudes: element i goes to sum i mod 16."""


def quantize(values: Floats, block: int = BLOCK) -> tuple[NDArray[np.uint8], NDArray[np.uint16]]:
    """Signs (eight a byte, lowest bit first) and bf16 scale bit patterns of fp32 values.

    A scale is the sum of magnitudes divided by their number in fp64, rounded to fp32, then to bf16. The sum is taken
    in fp64 as 16 partial sums in element order, then added up in order.
    """
    blocks = -(-values.size // block)
    magnitudes = np.zeros(blocks * block, np.float64)
    magnitudes[: values.size] = np.abs(values)
    partial = np.zeros((blocks, LANES))
    for row in magnitudes.reshape(blocks, -1, LANES).swapaxes(0, 1):
        partial += row
    total = np.zeros(blocks)
    for lane in partial.T:
        total += lane
    sizes = np.minimum(block, values.size - block * np.arange(blocks))
    scales: NDArray[np.uint16] = narrow((total / sizes).astype(np.float32), "BF16")
    return np.packbits(values < 0, bitorder="little"), scales


def dequantize(signs: NDArray[np.uint8], scales: NDArray[np.uint16], count: int, block: int = BLOCK) -> Floats:
    """The first ``count`` fp32 values: each block's scale, its top bit turned over where the sign is minus."""
    negative = np.unpackbits(signs, count=count, bitorder="little").astype(np.uint32)
    scale = np.repeat(scales.astype(np.uint32) << np.uint32(16), block)[:count]
    bits: NDArray[np.uint32] = scale ^ (negative << np.uint32(31))
    return bits.view(np.float32)
