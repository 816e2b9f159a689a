"""EMR's unified vector and masks: what stands for several deltas, and which of it each of them takes.

Of values τ₁ … τ_m of one element, in canonical order: the elected sign is plus where ((τ₁ + τ₂) + …) ≥ 0 in fp32, an
exact zero included, else minus. The unified value is the τₖ of that sign with the largest magnitude, the first of
equals; 0 where all are zero. τₖ agrees where it is not zero and has the elected sign, which is τₖ·τ_uni > 0.

A mask is one bit for each element whose unified value is not zero, in order, lowest bit first: whether τₖ agrees.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from storage.encodings.numeric import Floats, join_planes, split_planes

NONE = -1
Places = NDArray[np.int16]
Mask = NDArray[np.bool_]


def unify(deltas: Sequence[Floats]) -> tuple[Floats, Places]:
    """The unified values, and which delta each was taken from: its place, ``NONE`` where all are zero."""
    total = deltas[0]
    with np.errstate(over="ignore"):  # a sum that overflows still has the sign that counts
        for delta in deltas[1:]:
            total = total + delta
    positive = total >= 0
    unified = np.zeros_like(deltas[0])
    largest = np.zeros_like(deltas[0])
    chosen = np.full(unified.size, NONE, np.int16)
    for place, delta in enumerate(deltas):
        magnitude = np.abs(delta)
        better = ((delta > 0) == positive) & (magnitude > largest)
        np.copyto(unified, delta, where=better)
        np.copyto(largest, magnitude, where=better)
        chosen[better] = place
    return unified, chosen


def agreeing(delta: Floats, unified: Floats) -> Mask:
    """Where a delta has the sign of the unified vector; zeros never agree."""
    agrees: Mask = (delta != 0) & (unified != 0) & ((delta > 0) == (unified > 0))
    return agrees


def masked(agrees: Mask, unified: Floats) -> Floats:
    """M⊙τ_uni: the unified values where the mask is set, else 0."""
    return np.where(agrees, unified, np.float32(0))


def pack_mask(agrees: Mask, unified: Floats) -> bytes:
    """The bits of a mask; nothing where the unified vector is zero throughout."""
    return np.packbits(agrees[unified != 0], bitorder="little").tobytes()


def unpack_mask(data: bytes, unified: Floats) -> Mask:
    """The inverse of ``pack_mask``. Raises ValueError where the bits are not those that the vector needs."""
    agrees: Mask = unified != 0
    count = int(np.count_nonzero(agrees))
    if len(data) != mask_size(count) or (count % 8 and data[-1] >> (count % 8)):
        raise ValueError(f"{len(data)} bytes do not hold the mask of {count} values")
    agrees[agrees] = np.unpackbits(np.frombuffer(data, np.uint8), count=count, bitorder="little").view(np.bool_)
    return agrees


def mask_size(values: int) -> int:
    """Bytes of the mask of so many values that are not zero."""
    return -(-values // 8)


def pack_values(unified: Floats) -> bytes:
    """The fp32 bit patterns in four planes; nothing where all values are zero."""
    return split_planes(unified.view(np.uint32)) if unified.any() else b""


def unpack_values(data: bytes, count: int) -> Floats:
    """The inverse of ``pack_values``. Raises ValueError where they are not as many as ``count``."""
    if not data:
        return np.zeros(count, np.float32)
    if len(data) != 4 * count:
        raise ValueError(f"{len(data)} bytes do not hold {count} values")
    return join_planes(data, 4).view(np.float32)
