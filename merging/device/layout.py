"""A skill's tensor laid out for the fused kernel: from decoded frames to arrays that threads can find their way in.

Kept values of all chunks lie one after the other, those of each chunk filled up to whole blocks. Where the value of a
kept element lies is told, for each span of the kernel, by the rank of its first kept element (``STARTS``); within the
span, by a ``BITMAP`` and how many are kept before each 32 elements (``OFFSETS``), or by the mask itself, drawn anew.
`exact` values lie here as the fine-tune's own patterns, which take the room of their codes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from merging.device import tables
from merging.device.tables import SPAN
from storage.dtypes import DTYPES
from storage.encodings import int4, magnitude, sign
from storage.encodings.chunks import ChunkTerm, KeptChunk, LowRankChunk, kept_places, rebuild, rescaled
from storage.encodings.frames import CHUNK
from storage.encodings.numeric import Bits, join_planes
from storage.encodings.numeric_kernels import DTYPE
from storage.encodings.philox import FULL
from storage.errors import IntegrityFailure

Array = NDArray[Any]
SPANS = CHUNK // SPAN
"""Spans of a chunk."""
_READ_BEHIND = 64
"""Bytes behind the last value that the kernel may read, but does not use."""
_KINDS = {"int4": tables.INT4, "bf16": tables.BFLOAT, "exact": tables.EXACT, "sign": tables.SIGN}
DTYPE_SHIFT, DROPS, TRIMS = 5, 1 << 7, 1 << 8


@dataclass(frozen=True)
class Layout:
    """One term of one tensor: ``arrays`` and ``numbers`` by column of the kernel's table.

    ``rooms``: where masks are drawn on the device, the rank at which each chunk's values begin. ``kind`` is what the
    kernel must know when it is compiled: values, selection, dtype of the fine-tune.
    """

    kind: int
    arrays: dict[int, Array]
    numbers: dict[int, int] = field(default_factory=dict)
    scaling: float = 1.0
    rooms: tuple[int, ...] = ()
    chunks: tuple[KeptChunk, ...] = ()

    @property
    def select(self) -> int:
        """Which elements have values."""
        return self.kind >> 3 & 3

    @property
    def spreads(self) -> bool:
        """Whether it has int4 codes that can be spread to the places of their elements."""
        return (self.kind & 7, self.select != tables.ALL.value) == (tables.INT4.value, True)


def lay_out(chunks: Sequence[ChunkTerm], base: Callable[[ChunkTerm], Bits]) -> Layout:
    """Lay out one tensor's term, or one chunk of it. ``base``: the base's bit patterns of a chunk, if asked for.

    Raises IntegrityFailure where a chunk's bytes cannot be what they should.
    """
    if isinstance(chunks[0], LowRankChunk):
        return _factors(chunks[0]) if chunks[0].gains is None else _rescaled(chunks, base)
    kept = tuple(chunk for chunk in chunks if isinstance(chunk, KeptChunk))
    pieces = [_piece(chunk, base) for chunk in kept]
    first, coding = kept[0], kept[0].coding
    select = tables.DRAWN if coding.threshold != FULL else tables.ALL
    if coding.selects_magnitude:
        select = tables.PLACED
    arrays = {tables.VALUES.value: _joined([piece.values for piece in pieces])}
    if coding.values in ("int4", "sign"):
        arrays[tables.SCALES.value] = _joined([piece.scales for piece in pieces])
    rooms = tuple(np.cumsum([0, *(piece.room for piece in pieces[:-1])]).tolist())
    if coding.selects_magnitude:
        arrays |= _places(kept, pieces, rooms)
    return Layout(
        kind=_KINDS[coding.values].value | select.value << 3 | DTYPE[first.dtype] << DTYPE_SHIFT,
        arrays=arrays,
        numbers={tables.KEY.value: _signed(first.key), tables.THRESHOLD.value: coding.threshold},
        rooms=rooms,
        chunks=kept if select is tables.DRAWN else (),
    )


def starts(layout: Layout, counts: Array) -> Array:
    """The rank of the first kept element of each span, from how many each span keeps.

    Raises IntegrityFailure where a chunk's bytes do not hold the values that the mask keeps.
    """
    for index, chunk in enumerate(layout.chunks):
        total = int(counts[index * SPANS : (index + 1) * SPANS].sum(dtype=np.int64))
        if chunk.data and chunk.coding.frame_size(total, DTYPES[chunk.dtype].itemsize) != len(chunk.data):
            raise _damaged(chunk)
    return _ranks(counts, layout.rooms)


@dataclass(frozen=True)
class _Piece:
    """One chunk's values, filled up to ``room`` of them, and the places of the kept ones where those are stored."""

    values: Array
    scales: Array
    room: int
    places: Array | None = None


def _piece(chunk: KeptChunk, base: Callable[[ChunkTerm], Bits]) -> _Piece:
    places, data = _stored(chunk)
    if chunk.coding.values == "exact":
        chosen = kept_places(chunk)
        patterns = rebuild(chunk, base(chunk))
        return _plain(patterns if chosen is None else patterns[chosen], chosen if places is not None else None)
    most = chunk.count if places is None else places.size
    if chunk.coding.values == "bf16":
        if len(data) % 2 or len(data) > 2 * most:
            raise _damaged(chunk)
        return _plain(join_planes(data, 2) if len(data) else np.zeros(most, np.uint16), places)
    block, packed = (sign.BLOCK, 8) if chunk.coding.values == "sign" else (int4.BLOCK, 2)
    codes, blocks = _split(chunk, len(data), block, packed) if len(data) else (0, -(-most // block))
    values = np.zeros(blocks * block // packed, np.uint8)
    values[:codes] = np.frombuffer(data[:codes], np.uint8)
    scales = join_planes(data[codes:], 2) if len(data) else np.zeros(blocks, np.uint16)
    return _Piece(values, np.ascontiguousarray(scales), blocks * block, places)


def _stored(chunk: KeptChunk) -> tuple[Array | None, memoryview]:
    """The places of the kept elements, where they are stored, and the bytes of the values."""
    if not chunk.coding.selects_magnitude:
        return None, memoryview(chunk.data)
    places = kept_places(chunk)
    if not chunk.data or places is None:
        return np.empty(0, np.int64), memoryview(b"")
    _, _, data = magnitude.split(chunk.data, chunk.count)
    if chunk.coding.frame_size(places.size, DTYPES[chunk.dtype].itemsize) != len(data):
        raise _damaged(chunk)
    return places, data


def _plain(values: Bits, places: Array | None) -> _Piece:
    room = -(-values.size // int4.BLOCK) * int4.BLOCK
    filled = np.zeros(room, values.dtype)
    filled[: values.size] = values
    return _Piece(filled, np.empty(0, np.uint16), room, places)


def _split(chunk: KeptChunk, size: int, block: int, packed: int) -> tuple[int, int]:
    """Bytes of codes, and number of blocks, in a frame of this many bytes."""
    whole, last = divmod(size, block // packed + 2)
    blocks = whole + (last > 0)
    codes = size - 2 * blocks
    if last in (1, 2) or codes > -(-chunk.count // packed):
        raise _damaged(chunk)
    return codes, blocks


def _places(chunks: Sequence[KeptChunk], pieces: Sequence[_Piece], rooms: Sequence[int]) -> dict[int, Array]:
    """Bitmap, offsets and starts of values whose places are stored."""
    origin, elements = chunks[0].start, sum(chunk.count for chunk in chunks)
    spans = -(-elements // SPAN)
    kept = np.zeros(spans * SPAN, np.bool_)
    for chunk, piece in zip(chunks, pieces, strict=True):
        assert piece.places is not None
        kept[chunk.start - origin + piece.places] = True
    words = kept.reshape(spans, SPAN // 32, 32).sum(axis=2)
    offsets = (np.cumsum(words, axis=1) - words).astype(np.uint16)
    return {
        tables.BITMAP.value: np.packbits(kept, bitorder="little"),
        tables.OFFSETS.value: offsets.reshape(-1),
        tables.STARTS.value: _ranks(words.sum(axis=1), rooms),
    }


def _ranks(counts: Array, rooms: Sequence[int]) -> Array:
    """The rank of the first kept element of each span; each chunk's begin where its room does."""
    ranks = np.empty(counts.size, np.int64)
    for index, room in enumerate(rooms):
        own = counts[index * SPANS : (index + 1) * SPANS].astype(np.int64)
        ranks[index * SPANS : (index + 1) * SPANS] = room + np.cumsum(own) - own
    return ranks


def _factors(chunk: LowRankChunk) -> Layout:
    """Factors, line by line of the tensor as it lies: its rows, or its columns where the product is transposed."""
    rank, columns = chunk.a.shape
    rows = chunk.b.shape[0]
    a, b = (1, columns), (rank, 1)  # steps along the tensor's side, and along the rank
    (lines, line), (across, other), width = ((chunk.a, a), (chunk.b, b), rows)
    if not chunk.transposed:
        (lines, line), (across, other), width = ((chunk.b, b), (chunk.a, a), columns)
    numbers = {
        tables.RANK.value: rank,
        tables.WIDTH.value: width,
        tables.LINE_STEP.value: line[0],
        tables.LINE_RANK.value: line[1],
        tables.ACROSS_STEP.value: other[0],
        tables.ACROSS_RANK.value: other[1],
    }
    arrays = {tables.LINES.value: np.ravel(lines), tables.ACROSS.value: np.ravel(across)}
    return Layout(tables.LOW_RANK.value, arrays, numbers, chunk.scaling)


def _rescaled(chunks: Sequence[ChunkTerm], base: Callable[[ChunkTerm], Bits]) -> Layout:
    """Products with gains: the fine-tuned values themselves, which the kernel takes the base from."""
    values = [rescaled(chunk, base(chunk)) for chunk in chunks if isinstance(chunk, LowRankChunk)]
    pieces = [_plain(each.view(np.uint32), None) for each in values]
    return Layout(
        kind=tables.EXACT.value | tables.ALL.value << 3 | DTYPE["F32"] << DTYPE_SHIFT,
        arrays={tables.VALUES.value: _joined([piece.values for piece in pieces])},
        numbers={tables.THRESHOLD.value: FULL},
    )


def _joined(arrays: Sequence[Array]) -> Array:
    """All after one another, and behind them as much as the last program may read."""
    dtype = arrays[0].dtype
    behind = np.zeros((SPAN + _READ_BEHIND) * max(1, dtype.itemsize) // dtype.itemsize, dtype)
    return np.concatenate([*arrays, behind])


def _signed(key: int) -> int:
    return key - (1 << 64) if key >= 1 << 63 else key


def _damaged(chunk: KeptChunk) -> IntegrityFailure:
    return IntegrityFailure(
        f"{chunk.where}: {len(chunk.data)} bytes do not hold the values that the mask keeps",
        hint="the skill is damaged: register it again, or import it from a copy",
    )
