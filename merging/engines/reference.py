"""The slow, obvious engine: plain numpy, whole arrays, one operation a line. The truth the others are held to."""

from __future__ import annotations

import numpy as np

from merging.engines.combination import Change, Combine, Contribution, measure_change
from merging.engines.dense import add_up, elect
from storage.encodings import exact, int4, magnitude, philox, sign
from storage.encodings.chunks import ChunkTerm, DenseChunk, KeptChunk, LowRankChunk
from storage.encodings.magnitude import Places
from storage.encodings.numeric import Bits, Floats, apply_difference, convert, join_planes, narrow, widen

name = "reference"
device = "cpu"


def merge(
    base: Bits, dtype: str, contributions: tuple[Contribution, ...], combine: Combine, out_dtype: str, out: Bits
) -> Change:
    """Merge one chunk; see ``merging.engines.combination`` for the arithmetic."""
    deltas = [_values(contribution, base) for contribution in contributions]
    terms = [np.float32(c.coefficient) * v for c, v in zip(contributions, deltas, strict=True)]
    weights = [contribution.weight for contribution in contributions] if combine.by_weight else None
    merged = elect(terms, weights) if combine.elects else add_up(terms)
    exact = np.float32(combine.base_scale) * widen(base, dtype) + np.float32(combine.scale) * merged
    out[:] = narrow(exact, out_dtype)
    return measure_change(base, dtype, out, out_dtype)


def dense(term: ChunkTerm, base: Bits) -> Floats:
    """The fp32 delta values of a chunk, zero where dropped."""
    if isinstance(term, LowRankChunk):
        return _low_rank(term) if term.gains is None else _rescaled(term, widen(base, term.base_dtype))
    if isinstance(term, DenseChunk):
        return term.values
    kept, data = _kept(term)
    out = np.zeros(term.count, np.float32)
    if term.coding.values == "exact":
        own = base[kept]
        rounded = convert(own, term.base_dtype, term.dtype)
        codes = exact.unpack(data, rounded, term.dtype) if term.data else np.zeros_like(rounded)
        out[kept] = widen(apply_difference(rounded, codes), term.dtype) - widen(own, term.base_dtype)
    elif term.data:
        out[kept] = _decoded(data, term.coding.values, kept.size)
    return out


def _kept(term: KeptChunk) -> tuple[Places, memoryview]:
    """The places of kept elements, and the bytes of their values."""
    if not term.coding.selects_magnitude:
        kept = philox.mask(term.key, term.coding.threshold, term.start, term.count)
        return np.flatnonzero(kept), memoryview(term.data)
    return magnitude.unpack_places(term.data, term.count) if term.data else (np.empty(0, np.int64), memoryview(b""))


def _decoded(data: memoryview, values: str, count: int) -> Floats:
    if values == "bf16":
        return widen(join_planes(data, 2), "BF16")
    split = -(-count // (2 if values == "int4" else 8))
    codes, scales = np.frombuffer(data[:split], np.uint8), join_planes(data[split:], 2)
    return int4.dequantize(codes, scales, count) if values == "int4" else sign.dequantize(codes, scales, count)


def _low_rank(term: LowRankChunk) -> Floats:
    product = np.zeros((term.b.shape[0], term.a.shape[1]), np.float32)
    for index in range(term.a.shape[0]):
        product += term.b[:, index : index + 1] * term.a[index : index + 1, :]
    product *= np.float32(term.scaling)
    flat = (product.T if term.transposed else product).reshape(-1)
    return flat[term.start : term.start + term.count].copy()


def _rescaled(term: LowRankChunk, own: Floats) -> Floats:
    assert term.gains is not None
    shape = (term.a.shape[1], term.b.shape[0]) if term.transposed else (term.b.shape[0], term.a.shape[1])
    gains = np.broadcast_to(term.gains if term.transposed else term.gains[:, None], shape).reshape(-1)
    return gains[term.start : term.start + term.count] * (own + _low_rank(term)) - own


def _values(contribution: Contribution, base: Bits) -> Floats:
    values = dense(contribution.term, base)
    if contribution.drop is not None:
        drop = contribution.drop
        kept = philox.mask(drop.key, drop.threshold, contribution.term.start, contribution.term.count)
        values = np.where(kept, values, np.float32(0))
    return np.where(np.abs(values) < np.float32(contribution.cutoff), np.float32(0), values)
