"""Blockwise int4 in plain numpy: the definition that the compiled kernels are held to.

A block of ``BLOCK`` consecutive kept values shares one bf16 scale, the block's largest magnitude divided by 7
(fp32) and rounded up. A code is rint(value / scale), ties to even, in −7 … 7, stored as a two's-complement
nibble, low nibble first. A block of zeros has scale 0. Decoding is code × scale, which fp32 holds exactly.
Choice of block and rounding: ``docs/decisions/0003-int4.md``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from storage.encodings.numeric import Floats

BLOCK = 128


def quantize(values: Floats, block: int = BLOCK) -> tuple[NDArray[np.uint8], NDArray[np.uint16]]:
    """Codes (two a byte) and bf16 scale bit patterns of fp32 values."""
    padded = np.zeros(-(-values.size // block) * block, dtype=np.float32)
    padded[: values.size] = values
    blocks = padded.reshape(-1, block)
    largest = np.abs(blocks).max(axis=1, initial=0)
    bits = ((largest / np.float32(7)).view(np.uint32) + np.uint32(0xFFFF)) & np.uint32(0xFFFF0000)
    scale = bits.view(np.float32)[:, None]
    with np.errstate(invalid="ignore", divide="ignore"):
        codes = np.where(scale == 0, np.float32(0), np.rint(blocks / scale)).astype(np.int8)
    nibbles = codes.reshape(-1)[: values.size + (values.size & 1)].view(np.uint8) & np.uint8(15)
    packed: NDArray[np.uint8] = nibbles[0::2] | (nibbles[1::2] << np.uint8(4))
    return packed, (bits >> np.uint32(16)).astype(np.uint16)


def dequantize(codes: NDArray[np.uint8], scales: NDArray[np.uint16], count: int, block: int = BLOCK) -> Floats:
    """The first ``count`` fp32 values of packed codes and scales."""
    nibbles = np.stack([codes & np.uint8(15), codes >> np.uint8(4)], axis=1).reshape(-1)[:count]
    signed = nibbles.astype(np.int32) - ((nibbles & np.uint8(8)).astype(np.int32) << 1)
    scale = (scales.astype(np.uint32) << np.uint32(16)).view(np.float32)
    return signed.astype(np.float32) * np.repeat(scale, block)[:count]
