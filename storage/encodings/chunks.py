"""What one skill contributes to one chunk of one tensor, decoded from its file but not yet from its encoding.

These values are what every engine (numpy, numba, torch) turns into the dense fp32 delta of the chunk. The
functions here are the compiled CPU path; ``merging.engines.reference`` is the plain one they are held to.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from storage.dtypes import DTYPES
from storage.encodings import exact_kernels, int4, int4_kernels, kernels, magnitude, mask_kernels, sign, sign_kernels
from storage.encodings.coding import Coding
from storage.encodings.magnitude import Places
from storage.encodings.numeric import Bits, Floats, convert, join_planes, read_only, widen
from storage.encodings.numeric_kernels import DTYPE
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

    With ``gains`` (fp32, one a row: DoRA) the product is no delta yet: the fine-tuned value is gain · (base + product).
    """

    a: Floats
    b: Floats
    scaling: float
    transposed: bool
    start: int
    count: int
    gains: Floats | None = None
    base_dtype: str = "F32"  # matters to gains

    def product(self) -> tuple[Floats, Floats]:
        """The factors in the order of the tensor's elements: (lines, rank) and (rank, elements of a line)."""
        factors = (self.a.T, self.b.T) if self.transposed else (self.b, self.a)
        return np.ascontiguousarray(factors[0]), np.ascontiguousarray(factors[1])

    @property
    def width(self) -> int:
        """Elements of a line of the tensor."""
        return int(self.b.shape[0] if self.transposed else self.a.shape[1])


@dataclass(frozen=True)
class DenseChunk:
    """A delta's values as they are, fp32, from element ``start`` on."""

    values: Floats
    start: int

    @property
    def count(self) -> int:
        """Elements of the chunk."""
        return self.values.size


ChunkTerm = KeptChunk | LowRankChunk | DenseChunk


def dense(term: ChunkTerm, base: Bits) -> Floats:
    """The chunk's delta values as fp32, zero where dropped, not rescaled. ``base``: the base's bit patterns."""
    if isinstance(term, LowRankChunk):
        return _product(term) if term.gains is None else rescaled(term, base) - widen(base, term.base_dtype)
    if isinstance(term, DenseChunk):
        return term.values
    if not term.data and not _means_rounding(term):
        return np.zeros(term.count, np.float32)
    places, data = _kept(term)
    if places is None:
        return _values(term, data, term.count, base)
    out = np.zeros(term.count, np.float32)
    out[places] = _values(term, data, places.size, base[places])
    return out


def _product(term: LowRankChunk) -> Floats:
    out = np.empty(term.count, np.float32)
    kernels.low_rank(*term.product(), np.float32(term.scaling), term.start, out)
    return out


def rescaled(term: LowRankChunk, base: Bits) -> Floats:
    """The fine-tuned values, in fp32, of a term that has gains."""
    assert term.gains is not None
    out = _product(term)
    own = read_only(widen(base, term.base_dtype))
    kernels.rescale(read_only(term.gains), own, not term.transposed, term.start, term.width, out)
    return out


def add_row_squares(term: LowRankChunk, base: Bits, sums: NDArray[np.float64]) -> None:
    """Add the squares of base + product to the sums of the rows that gains are of."""
    own = read_only(widen(base, term.base_dtype))
    kernels.add_squares(own, read_only(_product(term)), not term.transposed, term.start, term.width, sums)


def rebuild(term: KeptChunk, base: Bits) -> Bits:
    """The fine-tune's bit patterns; the dropped elements are the base's. Only for values `exact`."""
    bits = convert(base, term.base_dtype, term.dtype)
    if not term.data:
        return bits
    places, data = _kept(term)
    if places is None:
        return _rebuilt(term, data, bits)
    rebuilt = bits.copy()
    rebuilt[places] = _rebuilt(term, data, bits[places])
    return rebuilt


def kept_places(term: KeptChunk) -> Places | None:
    """Indices in the chunk of the elements that were kept, ascending; None where that is all of them."""
    return _kept(term)[0]


def _means_rounding(term: KeptChunk) -> bool:
    # Exact codes count from the base rounded to the fine-tune's dtype: all zero, they can still mean a delta.
    mixed = term.coding.values == "exact" and term.dtype != term.base_dtype
    return mixed and not term.coding.selects_magnitude


def _kept(term: KeptChunk) -> tuple[Places | None, memoryview]:
    """The places of the kept values (None: all elements), and the bytes of the values."""
    if term.coding.selects_magnitude:
        return stored_places(term)
    data = memoryview(term.data)
    if term.coding.threshold == FULL:
        return None, data
    places = np.empty(term.count, np.int64)
    kept = mask_kernels.mask_places(
        np.uint64(term.key), np.uint32(term.coding.threshold), term.start, term.count, places
    )
    return places[:kept], data


def stored_places(term: KeptChunk) -> tuple[Places, memoryview]:
    """The places that a chunk chosen by magnitude stores, and the bytes of its values. Raises IntegrityFailure."""
    if not term.data:
        return np.empty(0, np.int64), memoryview(b"")
    kept, gaps, data = split_stored(term)
    places = np.empty(kept, np.int64)
    if not mask_kernels.places_of_gaps(np.frombuffer(gaps, np.uint8), term.count, places):
        raise _misplaced(term, kept, gaps)
    return places, data


def stored_mask(term: KeptChunk) -> tuple[int, NDArray[np.uint64], memoryview]:
    """``stored_places`` as bits, lowest bit first, and how many are set; of a chunk that has data."""
    kept, gaps, data = split_stored(term)
    bits = np.zeros(-(-term.count // 64), np.uint64)
    if not mask_kernels.bits_of_gaps(np.frombuffer(gaps, np.uint8), kept, term.count, bits):
        raise _misplaced(term, kept, gaps)
    return kept, bits, data


def split_stored(term: KeptChunk) -> tuple[int, memoryview, memoryview]:
    """``magnitude.split`` of a chunk that has data. Raises IntegrityFailure."""
    try:
        return magnitude.split(term.data, term.count)
    except ValueError as error:
        raise _damaged(term, str(error)) from error


def _misplaced(term: KeptChunk, kept: int, gaps: memoryview) -> IntegrityFailure:
    return _damaged(term, f"{len(gaps)} gap bytes do not place {kept} values in {term.count} elements")


def _values(term: KeptChunk, data: memoryview, kept: int, base: Bits) -> Floats:
    """The ``kept`` values; ``base``: the patterns of their elements, which only `exact` needs."""
    if term.coding.values == "exact":
        rebuilt = _rebuilt(term, data, convert(base, term.base_dtype, term.dtype))
        return widen(rebuilt, term.dtype) - widen(base, term.base_dtype)
    _check_size(term, data, kept)
    if term.coding.values == "bf16":
        return widen(join_planes(data, 2), "BF16")
    split = -(-kept // (2 if term.coding.values == "int4" else 8))
    codes, scales = np.frombuffer(data[:split], np.uint8), np.ascontiguousarray(join_planes(data[split:], 2))
    values = np.empty(kept, np.float32)
    if term.coding.values == "int4":
        int4_kernels.dequantize(codes, scales, int4.BLOCK, values)
    else:
        sign_kernels.dequantize(codes, scales, sign.BLOCK, values)
    return values


def _rebuilt(term: KeptChunk, data: memoryview, base: Bits) -> Bits:
    """The fine-tune's patterns of kept elements; ``base``: the base's, in the fine-tune's dtype."""
    if not term.data:
        return base
    _check_size(term, data, base.size)
    dtype, ranks = DTYPE[term.dtype], np.empty(256, np.int64)
    bits, codes = read_only(base), np.empty(base.size, base.dtype)
    exact_kernels.rank_codes(bits, dtype, ranks)
    exact_kernels.collect(np.frombuffer(data, np.uint8), bits.size, dtype, bits, ranks, codes)
    exact_kernels.rebuild(bits, np.uint32(8 * base.itemsize), codes)
    return codes


def _check_size(term: KeptChunk, data: memoryview, kept: int) -> None:
    if len(data) != term.coding.frame_size(kept, DTYPES[term.dtype].itemsize):
        raise _damaged(term, f"{len(data)} bytes do not hold the {kept} values that are kept")


def _damaged(term: KeptChunk, trouble: str) -> IntegrityFailure:
    return IntegrityFailure(
        f"{term.where}: {trouble}", hint="the skill is damaged: register it again, or import it from a copy"
    )
