"""How a tensor's encoded chunks lie in its payload: a table of sizes, then one zstd frame per chunk.

    payload = table, frames          table = for each chunk: stored size, decoded size (two uint32)

A chunk covers ``CHUNK`` consecutive elements of the tensor, so chunks decode independently and in any order. A
chunk whose kept values are all zero has no frame: both its sizes are 0. Every frame declares its size and
carries a checksum; every size is checked against what the manifest allows before anything is decoded.
"""

from __future__ import annotations

import itertools
import os
import struct
import threading
from collections.abc import Sequence
from dataclasses import dataclass

import zstandard

from storage.errors import IntegrityFailure

CHUNK = 1 << 20
"""Elements per chunk; a multiple of the mask generator's 8 lanes and of every block size."""

LEVEL = 1
"""Of zstd. Higher ones take longer and save nothing: what is random stays, and the rest is found at this level."""
_FINISH, _NEW_BLOCK = zstandard.COMPRESSOBJ_FLUSH_FINISH, zstandard.COMPRESSOBJ_FLUSH_BLOCK
_BYTE, _FRAME = 4, 1024  # bytes that take most: a zstd block for each, and what is around them
_ENTRY = struct.Struct("<II")
_OWN = threading.local()


def chunk_count(elements: int) -> int:
    """How many chunks a tensor of this many elements has."""
    return -(-elements // CHUNK)


def chunk_span(index: int, elements: int) -> tuple[int, int]:
    """First element and number of elements of one chunk."""
    start = index * CHUNK
    return start, min(CHUNK, elements - start)


def compress(data: bytes, cuts: Sequence[int] = (), level: int = LEVEL) -> bytes:
    """One independent zstd frame with its size and a checksum; nothing for a chunk without content.

    ``cuts`` are ascending offsets at which the data becomes of another kind. A new zstd block begins there, with
    statistics of its own, or codes and scales would share a table that suits neither.
    """
    if not data:
        return b""
    compressor = zstandard.ZstdCompressor(level=level, write_checksum=True, write_content_size=True)
    stream, view, pieces = compressor.compressobj(size=len(data)), memoryview(data), []
    for begin, end in itertools.pairwise((0, *cuts, len(data))):
        pieces.append(stream.compress(view[begin:end]))
        pieces.append(stream.flush(_FINISH if end == len(data) else _NEW_BLOCK))
    return b"".join(pieces)


def table(sizes: list[tuple[int, int]]) -> bytes:
    """The table that stands before the frames: (stored, decoded) sizes in chunk order."""
    return b"".join(_ENTRY.pack(stored, decoded) for stored, decoded in sizes)


@dataclass(frozen=True)
class FrameTable:
    """Where each chunk's frame lies: absolute file offset, stored size, decoded size, all in bytes."""

    frames: tuple[tuple[int, int, int], ...]

    @property
    def stored(self) -> int:
        """Bytes of all frames together."""
        return sum(frame[1] for frame in self.frames)


def read_table(fd: int, offset: int, nbytes: int, elements: int, largest: int, where: str) -> FrameTable:
    """Read and check the table of a payload of ``nbytes`` at ``offset``.

    ``largest`` is the most bytes that one chunk of this encoding can decode to. Raises IntegrityFailure.
    """
    count = chunk_count(elements)
    width = count * _ENTRY.size
    if nbytes < width:
        raise IntegrityFailure(f"{where}: payload of {nbytes} bytes is too small for {count} chunks")
    raw = read_exactly(fd, width, offset, where)
    frames, position = [], offset + width
    for stored, decoded in _ENTRY.iter_unpack(raw):
        if decoded > largest or (stored == 0) != (decoded == 0):
            raise IntegrityFailure(f"{where}: a chunk claims {decoded} bytes, at most {largest} are possible")
        if stored > _BYTE * decoded + _FRAME:
            raise IntegrityFailure(f"{where}: a chunk of {decoded} bytes claims to be stored in {stored}")
        frames.append((position, stored, decoded))
        position += stored
    if position != offset + nbytes:
        raise IntegrityFailure(f"{where}: frames end at byte {position}, the payload at {offset + nbytes}")
    return FrameTable(tuple(frames))


def read_frame(fd: int, frame: tuple[int, int, int], where: str) -> bytes:
    """Decode one chunk's frame. Raises IntegrityFailure when it is damaged."""
    offset, stored, decoded = frame
    if not stored:
        return b""
    raw = read_exactly(fd, stored, offset, where)
    try:
        # The size a frame declares is what the decoder allocates, so it is compared before decoding.
        if zstandard.frame_content_size(raw) != decoded:
            raise IntegrityFailure(f"{where}: a frame does not have the {decoded} bytes its table says")
        data = _decompressor().decompress(raw, max_output_size=decoded, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise IntegrityFailure(f"{where}: damaged frame at byte {offset}: {error}") from error
    if len(data) != decoded:
        raise IntegrityFailure(f"{where}: a frame decodes to {len(data)} bytes, its table says {decoded}")
    return data


def _decompressor() -> zstandard.ZstdDecompressor:
    """That of this thread: making one takes memory that is paid for again each time."""
    if not hasattr(_OWN, "decompressor"):
        _OWN.decompressor = zstandard.ZstdDecompressor()
    made: zstandard.ZstdDecompressor = _OWN.decompressor
    return made


def read_exactly(fd: int, count: int, offset: int, where: str) -> bytes:
    """``count`` bytes at ``offset``, in one piece. Raises IntegrityFailure at the end of the file."""
    parts = []
    while count:
        part = os.pread(fd, count, offset)
        if not part:
            raise IntegrityFailure(f"{where}: the file ends at byte {offset}, {count} more were expected")
        parts.append(part)
        count -= len(part)
        offset += len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)
