"""Terms of one chunk laid out for compiled code: one record a term, and flat arrays of what they hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from storage.dtypes import DTYPES
from storage.encodings import int4
from storage.encodings.chunks import ChunkTerm, DenseChunk, KeptChunk, LowRankChunk, dense, split_stored, stored_mask
from storage.encodings.numeric import Bits, Floats, read_only
from storage.encodings.numeric_kernels import DTYPE
from storage.encodings.philox import FULL
from storage.errors import IntegrityFailure

INT4, BFLOAT, EXACT, SIGN, LOW_RANK, DENSE = range(6)
ALL, DRAWN, STORED = range(3)

TERM = np.dtype(
    [
        ("values", np.int64),  # INT4 … DENSE
        ("select", np.int64),  # which elements have values: ALL, or those of a mask that is DRAWN or STORED
        ("dtype", np.int64),  # of the fine-tune, where values are EXACT
        ("key", np.uint64),
        ("threshold", np.uint32),
        ("start", np.int64),  # first element of the chunk in its tensor
        ("count", np.int64),  # elements of the chunk
        ("data", np.int64),  # where its bytes begin, and how many there are
        ("size", np.int64),
        ("kept", np.int64),  # the most kept values that the bytes can hold
        ("mask", np.int64),  # where the words of its stored mask begin
        ("floats", np.int64),  # where its dense values begin, or its factors: (lines, rank), then (rank, width)
        ("lines", np.int64),
        ("rank", np.int64),
        ("width", np.int64),
        ("scaling", np.float32),
    ],
    align=True,
)
"""What compiled code knows of one term."""

_VALUES = {"int4": INT4, "bf16": BFLOAT, "exact": EXACT, "sign": SIGN}


@dataclass(frozen=True)
class Packed:
    """The terms of one chunk: a record array of ``TERM``, and the bytes, mask words and fp32 values they point to."""

    terms: NDArray[np.void]
    data: NDArray[np.uint8]
    masks: NDArray[np.uint64]
    floats: Floats


class _Packing:
    """Collects the arrays while terms are packed one by one."""

    def __init__(self, count: int):
        self.terms = np.zeros(count, TERM)
        self.data: list[NDArray[np.uint8]] = []
        self.masks: list[NDArray[np.uint64]] = []
        self.floats: list[Floats] = []
        self.data_size = self.masks_size = self.floats_size = 0

    def add_data(self, record: np.void, data: bytes | memoryview) -> None:
        record["data"], record["size"] = self.data_size, len(data)
        self.data.append(np.frombuffer(data, np.uint8))
        self.data_size += len(data)

    def add_mask(self, record: np.void, words: NDArray[np.uint64]) -> None:
        record["mask"] = self.masks_size
        self.masks.append(words)
        self.masks_size += words.size

    def add_floats(self, record: np.void, *arrays: Floats) -> None:
        record["floats"] = self.floats_size
        self.floats += [array.reshape(-1) for array in arrays]
        self.floats_size += sum(array.size for array in arrays)


def pack(terms: Sequence[ChunkTerm], base: Bits) -> Packed:
    """Lay out the terms of one chunk. Raises IntegrityFailure where a term's bytes cannot be what they should."""
    packing = _Packing(len(terms))
    for record, term in zip(packing.terms, terms, strict=True):
        if term.count != base.size:
            raise ValueError(f"a term of {term.count} elements cannot change {base.size}")
        record["start"], record["count"] = term.start, term.count
        if isinstance(term, DenseChunk) or _rare(term):
            record["values"] = DENSE
            packing.add_floats(record, dense(term, base))
        elif isinstance(term, LowRankChunk):
            _low_rank(packing, record, term)
        else:
            _kept(packing, record, term)
    return Packed(
        packing.terms,
        _joined(packing.data, np.uint8),
        _joined(packing.masks, np.uint64),
        _joined(packing.floats, np.float32),
    )


def check_used(terms: Sequence[ChunkTerm], packed: Packed, used: NDArray[np.int64], *, sound: bool) -> None:
    """Compare how many kept values decoding took of each packed term with what its bytes hold.

    ``sound``: whether decoding never ran out of them. Raises IntegrityFailure naming the term.
    """
    for term, values, count in zip(terms, packed.terms["values"].tolist(), used.tolist(), strict=True):
        if isinstance(term, KeptChunk) and term.data and values != DENSE and not _fits(term, count):
            raise _damaged(term)
    assert sound, "decoding ran out of the values of some term"


def _fits(term: KeptChunk, used: int) -> bool:
    """Whether a term's bytes hold so many kept values; of places, of signs and codes of all elements it is known."""
    counted = term.coding.values in ("int4", "bf16") and not term.coding.selects_magnitude
    return not counted or term.coding.frame_size(used, 2) == len(term.data)


def _rare(term: KeptChunk | LowRankChunk) -> bool:
    """What is decoded whole, before the blocks: values whose place or meaning hangs on more than the block."""
    if isinstance(term, LowRankChunk):
        return term.gains is not None
    if term.coding.values == "exact":
        return term.coding.sparsified or term.dtype != term.base_dtype
    return term.coding.values == "int4" and term.coding.sparsified and _negative_scales(term)


def _negative_scales(term: KeptChunk) -> bool:
    """Whether a block has a scale below zero, which no writer makes: its zeros are minus zeros.

    Adding up what is kept counts on zeros of one sign (``merging.engines.kernels``).
    """
    if not term.data:
        return False
    data = split_stored(term)[2] if term.coding.selects_magnitude else term.data
    blocks = -(-len(data) // (int4.BLOCK // 2 + 2))
    high = np.frombuffer(data, np.uint8)[len(data) - 2 * blocks :][:blocks]
    return bool((high >= 0x80).any())


def _low_rank(packing: _Packing, record: np.void, term: LowRankChunk) -> None:
    record["values"] = LOW_RANK
    lines, across = term.product()
    record["lines"], record["rank"] = lines.shape
    record["width"], record["scaling"] = across.shape[1], term.scaling
    packing.add_floats(record, lines, across)


def _kept(packing: _Packing, record: np.void, term: KeptChunk) -> None:
    coding = term.coding
    record["values"], record["dtype"] = _VALUES[coding.values], DTYPE[term.dtype]
    if coding.selects_magnitude and term.data:
        kept, mask, data = stored_mask(term)
        if len(data) != coding.frame_size(kept, 2):
            raise _damaged(term)
        record["select"], record["kept"] = STORED, kept
        packing.add_mask(record, mask)
        packing.add_data(record, data)
        return
    record["select"] = ALL if coding.threshold == FULL else DRAWN
    record["key"], record["threshold"] = term.key, coding.threshold
    record["kept"] = _capacity(term)
    packing.add_data(record, term.data)


def _capacity(term: KeptChunk) -> int:
    """The most kept values that the bytes can hold: for int4 two for each byte of codes."""
    size, values = len(term.data), term.coding.values
    if values == "bf16":
        kept, rest = divmod(size, 2)
    elif values == "int4":
        whole, last = divmod(size, int4.BLOCK // 2 + 2)
        kept, rest = int4.BLOCK * whole + 2 * max(0, last - 2), last in (1, 2)
    else:
        kept, rest = term.count, size not in (0, term.coding.frame_size(term.count, DTYPES[term.dtype].itemsize))
    if rest:
        raise _damaged(term)
    return kept


def _joined(arrays: list[NDArray[Any]], dtype: type[np.generic]) -> NDArray[Any]:
    return read_only(arrays[0] if len(arrays) == 1 else np.concatenate([np.empty(0, dtype), *arrays]))


def _damaged(term: KeptChunk) -> IntegrityFailure:
    return IntegrityFailure(
        f"{term.where}: {len(term.data)} bytes do not hold the values that the mask keeps",
        hint="the skill is damaged: register it again, or import it from a copy",
    )
