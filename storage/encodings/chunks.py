"""What one skill contributes to one chunk of one tensor, decoded from its file but not yet from its encoding.

These values are what every engine (numpy, numba, torch) turns into the dense fp32 delta of the chunk. The
functions here are the compiled CPU path; ``merging.reference`` is the plain one they are held to.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from storage.encodings import int4, kernels
from storage.encodings.encode import Coding
from storage.encodings.numeric import Bits, Floats, apply_difference, convert, join_planes, widen
from storage.encodings.philox import FULL
from storage.errors import IntegrityFailure


@dataclass(frozen=True)
class KeptChunk:
    """Kept values of ``count`` elements from element ``start`` on; ``data`` is the decoded frame."""

    data: bytes
    coding: Coding
    key: int
    start: int
    count: int
    base_dtype: str
    dtype: str  # of the fine-tune
    where: str


@dataclass(frozen=True)
class LowRankChunk:
    """A LoRA product: scaling · Σₗ B[i, l]·A[l, j], for ``count`` elements from ``start`` of the (rows, columns)
    delta, or of its transpose. A is fp32 (rank, columns), B is fp32 (rows, rank).
    """

    a: Floats
    b: Floats
    scaling: float
    transposed: bool
    start: int
    count: int


ChunkTerm = KeptChunk | LowRankChunk


def dense(term: ChunkTerm, base: Bits) -> Floats:
    """The chunk's delta values as fp32, zero where dropped, not rescaled. ``base``: the base's bit patterns."""
    if isinstance(term, LowRankChunk):
        out = np.empty(term.count, np.float32)
        kernels.low_rank(term.a, term.b, np.float32(term.scaling), term.transposed, term.start, out)
        return out
    if not term.data and (term.coding.values != "exact" or term.dtype == term.base_dtype):
        return np.zeros(term.count, np.float32)
    # Exact codes count from the base rounded to the fine-tune's dtype: all zero, they can still mean a delta.
    if term.coding.values == "exact":
        return _exact_delta(term, base)
    kept = _kept_values(term)
    if term.coding.threshold != FULL:
        return _spread(term, kept)
    _check(kept.size == term.count, term)
    return kept


def rebuild(term: KeptChunk, base: Bits) -> Bits:
    """The fine-tune's bit patterns; the dropped elements are the base's. Only for values `exact`."""
    bits = convert(base, term.base_dtype, term.dtype)
    if not term.data:
        return bits
    itemsize = bits.itemsize
    _check(len(term.data) % itemsize == 0, term)
    codes = join_planes(term.data, itemsize)
    if term.coding.threshold != FULL:
        codes = _spread(term, codes)
    _check(codes.size == term.count, term)
    return apply_difference(bits, codes)


def _exact_delta(term: KeptChunk, base: Bits) -> Floats:
    fine_tuned = rebuild(term, base)
    delta = widen(fine_tuned, term.dtype) - widen(base, term.base_dtype)
    if term.coding.threshold != FULL and term.dtype != term.base_dtype:
        # Where nothing was kept the rebuilt bits are the base's own, rounded; that rounding is no delta.
        kernels.apply_mask(np.uint64(term.key), np.uint32(term.coding.threshold), term.start, delta)
    return delta


def _kept_values(term: KeptChunk) -> Floats:
    data = memoryview(term.data)
    if term.coding.values == "bf16":
        _check(len(data) % 2 == 0, term)
        return widen(join_planes(data, 2), "BF16")
    # n values take ceil(n/2) + 2·ceil(n/BLOCK) bytes; the mask decides n, the sizes must agree.
    kept = kernels.count_kept(np.uint64(term.key), np.uint32(term.coding.threshold), term.start, term.count)
    _check(len(data) == term.coding.frame_size(kept, 2), term)
    split = -(-kept // 2)
    values = np.empty(kept, np.float32)
    scales = np.ascontiguousarray(join_planes(data[split:], 2))
    kernels.dequantize(np.frombuffer(data[:split], np.uint8), scales, int4.BLOCK, values)
    return values


def _spread(term: KeptChunk, kept: Bits | Floats) -> Bits | Floats:
    out = np.empty(term.count, kept.dtype)
    wanted = kernels.scatter(np.uint64(term.key), np.uint32(term.coding.threshold), term.start, kept, out)
    _check(wanted == kept.size, term)
    return out


def _check(sound: bool, term: KeptChunk) -> None:
    if not sound:
        raise IntegrityFailure(
            f"{term.where}: {len(term.data)} bytes do not hold the values that the mask keeps",
            hint="the skill is damaged: register it again, or import it from a copy",
        )
