"""Reading whole tensors of a source in bounded pieces: their digests, and whether their values are sound."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing

import numpy as np
from blake3 import blake3

from storage.checkpoints.tensors import TensorEntry, TensorSource
from storage.digests import model_digest
from storage.dtypes import DTYPES, MERGEABLE
from storage.encodings.frames import CHUNK
from storage.encodings.numeric import as_bits, finite, widen
from storage.errors import InputRefused, IntegrityFailure
from storage.memory import Buffers, as_view
from storage.pipeline import in_order
from storage.progress import Progress

PIECE = 4 * CHUNK
"""Bytes read at once: a whole number of elements of every dtype."""
_SHARED = 1 << 20  # bytes from which hashing one piece on all cores is quicker
# Dtypes that are carried but not merged: how to view their floats, and the bits that are all ones in exactly those
# that are NaN or infinite (F8_E4M3 has no infinity).
_CARRIED: dict[str, tuple[str, int]] = {
    "F64": ("<u8", 0x7FF0000000000000),
    "C64": ("<u4", 0x7F800000),
    "F8_E4M3": ("u1", 0x7F),
    "F8_E5M2": ("u1", 0x7C),
}


def read_chunk(source: TensorSource, name: str, start: int, count: int, buffers: Buffers | None = None) -> memoryview:
    """Raw bytes of ``count`` elements of a tensor from element ``start`` on, in memory of ``buffers`` if given."""
    itemsize = DTYPES[source.entries[name].dtype].itemsize
    nbytes = count * itemsize
    raw = buffers.take(nbytes) if buffers else memoryview(bytearray(nbytes))
    if count:
        source.read_into(name, start * itemsize, raw)
    return raw


def pieces(source: TensorSource, entry: TensorEntry, buffer: memoryview | None = None) -> Iterator[memoryview]:
    """A tensor's raw bytes in consecutive pieces of up to ``PIECE`` bytes, each overwritten by the next.

    They are read into ``buffer``, which may be smaller but holds whole elements, or into one of their own.
    """
    room = as_view(np.empty(min(PIECE, entry.nbytes), np.uint8)) if buffer is None else buffer
    for start in range(0, entry.nbytes, max(1, len(room))):
        piece = room[: min(len(room), entry.nbytes - start)]
        source.read_into(entry.name, start, piece)
        yield piece


def rest(source: TensorSource, entry: TensorEntry, first: int, last: int) -> Iterator[memoryview]:
    """Bytes ``[first, last)`` of a tensor, as ``pieces`` gives the whole."""
    room = as_view(np.empty(min(PIECE, last - first), np.uint8))
    for start in range(first, last, PIECE):
        piece = room[: min(PIECE, last - start)]
        source.read_into(entry.name, start, piece)
        yield piece


def tensor_hasher(nbytes: int) -> blake3:
    """A hasher for a tensor of so many bytes, which uses all cores where that is worth while."""
    return blake3(max_threads=blake3.AUTO if nbytes >= _SHARED else 1)


def inspected(
    source: TensorSource, entry: TensorEntry, hasher: blake3, where: str, buffer: memoryview | None = None
) -> Iterator[memoryview]:
    """``pieces`` of a tensor, hashed and checked on the way. Raises InputRefused at a NaN or infinite value."""
    start = 0
    for piece in pieces(source, entry, buffer):
        hasher.update(piece)
        refuse_not_finite(entry, piece, start, where)
        yield piece
        start += len(piece)


def tensor_digests(
    source: TensorSource, threads: int, progress: Progress, label: str, where: str, names: Iterable[str] | None = None
) -> dict[str, str]:
    """Digest of every tensor (or of ``names``), hashed in parallel, one tensor a thread.

    Raises InputRefused naming the first tensor, in sorted order, with a NaN or infinite value.
    """
    chosen = [source.entries[name] for name in sorted(source.entries if names is None else names)]
    buffers = Buffers(min(PIECE, max((entry.nbytes for entry in chosen), default=0)))

    def digest(entry: TensorEntry) -> str:
        hasher, buffer = blake3(), buffers.take(buffers.size)
        for _ in inspected(source, entry, hasher, where, buffer):
            pass
        buffers.give(buffer)
        return digest_of(hasher)

    progress.start(label, sum(entry.nbytes for entry in chosen))
    digests: dict[str, str] = {}
    try:
        with closing(in_order(digest, chosen, threads)) as answers:
            for entry, found in zip(chosen, answers, strict=True):
                digests[entry.name] = found
                progress.advance(entry.nbytes)
    finally:
        progress.finish()
    return digests


def digest_of(hasher: blake3) -> str:
    """``blake3:…`` of what a hasher was given."""
    return "blake3:" + hasher.hexdigest()


def check_digest(what: str, found: str, recorded: str) -> None:
    """Raise IntegrityFailure where the bytes of ``what`` (a tensor, in words) are not those that are on record."""
    if found != recorded:
        raise IntegrityFailure(
            f"{what} hashes to {found}, recorded is {recorded}",
            hint="the stored or referenced file has changed: run `mergestore verify`",
        )


def refuse_not_finite(entry: TensorEntry, piece: memoryview, start: int, where: str) -> None:
    """Raise InputRefused for the first NaN or infinite value in the bytes of a tensor from byte ``start`` on."""
    found = _first_not_finite(entry.dtype, piece)
    if found is None:
        return
    byte, value = found
    element = (start + byte) // DTYPES[entry.dtype].itemsize
    raise InputRefused(
        f"{where}: tensor {entry.name!r}: element {element} is {value}",
        hint="the checkpoint is broken (a diverged or badly converted model): it cannot be merged",
    )


def _first_not_finite(dtype: str, piece: memoryview) -> tuple[int, str] | None:
    """Where in a piece the first value that is NaN or infinite stands, in bytes, and what it is."""
    if dtype in MERGEABLE:
        bits = as_bits(piece, dtype)
        if finite(bits, dtype):
            return None
        values = widen(bits, dtype)
        position = int(np.flatnonzero(~np.isfinite(values))[0])
        return position * bits.itemsize, str(values[position])
    if dtype not in _CARRIED:
        return None
    view, ones = _CARRIED[dtype]
    patterns = np.frombuffer(piece, np.dtype(view))
    positions = np.flatnonzero((patterns & patterns.dtype.type(ones)) == ones)
    return (int(positions[0]) * patterns.itemsize, "not a finite number") if positions.size else None


def source_digest(entries: Mapping[str, TensorEntry], digests: Mapping[str, str]) -> str:
    """The model digest of a source whose tensor digests are known."""
    return model_digest((name, entry.dtype, entry.shape, digests[name]) for name, entry in entries.items())
