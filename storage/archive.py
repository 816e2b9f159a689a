"""A tar file in one spelling: nothing is read but what would be written, so that nothing can hide in it.

Every member is a regular file without owner, time or permissions of its own, its header one block of GNU's format
(sizes from 8 GiB on in base 256), its data padded with zeros to whole blocks; after the last one zeros, two blocks at
least, up to a whole record. Format: https://www.gnu.org/software/tar/manual/html_node/Standard.html
"""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from storage.checkpoints.tensors import open_regular, pread_into, quoted
from storage.errors import IntegrityFailure
from storage.files import write_all

BLOCK, RECORD = tarfile.BLOCKSIZE, tarfile.RECORDSIZE
PIECE = 4 << 20  # bytes read at once
_HINT = "it is not as mergestore wrote it: get another copy, or export it again"


@dataclass(frozen=True)
class Member:
    """A file in the archive: where its data begins, and their size in bytes."""

    name: str
    start: int
    size: int

    @property
    def end(self) -> int:
        """Where the next header stands."""
        return self.start + self.size + -self.size % BLOCK


def header(name: str, size: int) -> bytes:
    """The block that stands before a member. ``name``: at most 100 characters, ASCII."""
    entry = tarfile.TarInfo(name)
    entry.size = size
    return entry.tobuf(tarfile.GNU_FORMAT)


def ending(size: int) -> int:
    """How many zeros end an archive whose members take so many bytes."""
    return 2 * BLOCK + -(size + 2 * BLOCK) % RECORD


class ArchiveWriter:
    """Writes members one after the other to an open file."""

    def __init__(self, fd: int):
        self._fd = fd
        self.size = 0

    def add(self, name: str, size: int, pieces: Iterable[bytes | memoryview]) -> None:
        """Write a member; ValueError where the pieces are not of that size together."""
        written = 0
        self._write(header(name, size))
        for piece in pieces:
            self._write(piece)
            written += len(piece)
        if written != size:
            raise ValueError(f"{name}: {written} bytes instead of {size}")
        self._write(bytes(-size % BLOCK))

    def finish(self) -> None:
        """Write the end."""
        self._write(bytes(ending(self.size)))

    def _write(self, data: bytes | memoryview) -> None:
        write_all(self._fd, data)
        self.size += len(data)


class ArchiveReader:
    """An archive opened for reading. Every method raises IntegrityFailure where the file is not as it was written."""

    def __init__(self, path: Path):
        self.path = path
        self._fd, self.size = open_regular(path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        os.close(self._fd)

    def begins_with(self, name: str) -> bool:
        """Whether a member of this name stands first."""
        block = self._block(0)
        return block is not None and _size(block, name) is not None

    def member(self, at: int, name: str, limit: int) -> Member:
        """The member of this name whose header stands at ``at``, of at most ``limit`` bytes."""
        block = self._block(at)
        if block is None:
            raise self._fault(f"is cut short: it ends before the member {name}")
        size = _size(block, name)
        if size is None:
            raise self._fault(f"byte {at} begins {_shown(block)}, expected is the member {name}")
        if size > limit:
            raise self._fault(f"the member {name} claims {size:,} bytes, at most {limit:,} are allowed")
        member = Member(name, at + BLOCK, size)
        if member.end > self.size:
            raise self._fault(f"is cut short: it ends within the member {name}")
        return member

    def read(self, member: Member) -> bytes:
        """All bytes of a small member."""
        return b"".join(bytes(piece) for piece in self.pieces(member))

    def pieces(self, member: Member) -> Iterator[memoryview]:
        """A member's bytes, in pieces that are each overwritten by the next."""
        room = memoryview(bytearray(min(PIECE, member.size)))
        for start in range(0, member.size, PIECE):
            piece = room[: min(PIECE, member.size - start)]
            pread_into(self._fd, self.path, member.start + start, piece)
            yield piece
        self._check_zeros(member.start + member.size, member.end, f"the padding of {member.name}")

    def check_size(self, end: int) -> None:
        """That a file whose members end at ``end`` has all of them, its ending and nothing else."""
        expected = end + ending(end)
        if self.size != expected:
            what = "is cut short" if self.size < expected else "goes on after its end"
            raise self._fault(f"{what}: it has {self.size:,} bytes, and should have {expected:,}")
        self._check_zeros(end, expected, "its end")

    def _check_zeros(self, start: int, end: int, what: str) -> None:
        room = bytearray(end - start)
        pread_into(self._fd, self.path, start, memoryview(room))
        if any(room):
            raise self._fault(f"{what} is not all zeros")

    def _block(self, at: int) -> bytes | None:
        if at + BLOCK > self.size:
            return None
        room = bytearray(BLOCK)
        pread_into(self._fd, self.path, at, memoryview(room))
        return bytes(room)

    def _fault(self, what: str) -> IntegrityFailure:
        return IntegrityFailure(f"{self.path}: {what}", hint=_HINT)


def _size(block: bytes, name: str) -> int | None:
    """The size that a header states, if it is just the header that a member of this name and size has."""
    try:
        size = tarfile.TarInfo.frombuf(block, "ascii", "strict").size
        return size if size >= 0 and header(name, size) == block else None
    except (tarfile.HeaderError, ValueError, OverflowError):
        return None


def _shown(block: bytes) -> str:
    try:
        entry = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except (tarfile.HeaderError, ValueError):
        return "no member"
    kind = "" if entry.isreg() else " (a folder)" if entry.isdir() else " (a link)" if entry.linkname else " (no file)"
    return f"the member {quoted(entry.name)}{kind}"
