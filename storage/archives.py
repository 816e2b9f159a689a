"""An uncompressed tar of plain files whose names and sizes are known beforehand: what leaves a store in one piece.

Every byte beside the contents is determined by names and sizes: no times, no owners, no links. A reader makes the
headers that have to be there and compares, so that it never acts on what an archive from outside says of itself.
"""

from __future__ import annotations

import tarfile
from collections.abc import Callable, Iterator
from typing import Protocol

from storage.errors import IntegrityFailure

BLOCK = 512
_END = bytes(2 * BLOCK)
_READ = 1 << 20
_LONGEST_NAME = 99

Consumer = Callable[[bytes], object]


class Readable(Protocol):
    """What can be read."""

    def read(self, size: int, /) -> bytes:
        """So many bytes, or fewer at the end."""


def header(name: str, size: int) -> bytes:
    """The 512 bytes before a file of this name and size (GNU tar; sizes from 8 GiB on in base 256)."""
    if not name.isascii() or not 0 < len(name) <= _LONGEST_NAME:
        raise ValueError(f"not the name of a member: {name!r}")
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.mtime = size, 0o644, 0
    return info.tobuf(tarfile.GNU_FORMAT)


def padding(size: int) -> bytes:
    """The zeros after so many bytes of content."""
    return bytes(-size % BLOCK)


def length(members: Iterator[tuple[str, int]]) -> int:
    """Bytes of an archive of these (name, size)."""
    return sum(BLOCK + size + len(padding(size)) for _, size in members) + len(_END)


def finish() -> bytes:
    """The last bytes of an archive."""
    return _END


class Reader:
    """An archive from outside, read once from front to end.

    Raises IntegrityFailure for anything but what must be there.
    """

    def __init__(self, file: Readable, where: str):
        self._file = file
        self._where = where

    def first(self, name: str, largest: int) -> bytes:
        """The content of the first member, which has this name and at most so many bytes."""
        found = self._file.read(BLOCK)
        size = _told_size(found)
        if size is None or found != header(name, size):
            raise IntegrityFailure(f"{self._where} is no bundle: it does not begin with {name}")
        if size > largest:
            raise IntegrityFailure(f"{self._where}: {name} has {size:,} bytes, more than the {largest:,} that are read")
        content = bytearray()
        self._content(name, size, content.extend)
        return bytes(content)

    def member(self, name: str, size: int, consume: Consumer) -> None:
        """The next member, which has this name and size, in pieces."""
        if self._file.read(BLOCK) != header(name, size):
            raise IntegrityFailure(f"{self._where}: {name} of {size:,} bytes is not where it must be")
        self._content(name, size, consume)

    def end(self) -> None:
        """Nothing but the end may follow."""
        if self._file.read(len(_END) + 1) != _END:
            raise IntegrityFailure(f"{self._where}: there is something else after its last member")

    def _content(self, name: str, size: int, consume: Consumer) -> None:
        left = size
        while left:
            piece = self._file.read(min(left, _READ))
            if not piece:
                raise IntegrityFailure(f"{self._where} ends early: {name} lacks {left:,} of {size:,} bytes")
            consume(piece)
            left -= len(piece)
        pad = padding(size)
        if self._file.read(len(pad)) != pad:
            raise IntegrityFailure(f"{self._where}: {name} is not followed by what must follow")


def _told_size(found: bytes) -> int | None:
    """The size that a header tells in octal digits, as of a small first member."""
    digits = found[124:135]
    return int(digits, 8) if len(found) == BLOCK and digits.isdigit() and not set(digits) & set(b"89") else None
