"""Tensors whose sizes or names are known only at the end: collected in a spool file, then written in one stream.

Sizes stand in a safetensors header, before the data.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from storage.checkpoints.safetensors_file import SafetensorsWriter, layout
from storage.encodings.frames import read_exactly
from storage.files import disk_errors, write_all

_COPY = 8 << 20

Segment = tuple[int, int]
"""Offset in the spool file, and number of bytes."""


@dataclass(frozen=True)
class _Spooled:
    """A tensor in the spool file: its dtype, shape and the pieces of its bytes, in order."""

    dtype: str
    shape: tuple[int, ...]
    segments: tuple[Segment, ...]


class Spool:
    """Collects tensors in the new file ``spool``, which is deleted at the end of the context."""

    def __init__(self, spool: Path):
        self._spool = spool
        self._entries: dict[str, _Spooled] = {}
        self._end = 0
        with disk_errors(f"cannot write {spool}"):
            self._fd = os.open(spool, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        os.close(self._fd)
        self._spool.unlink(missing_ok=True)

    def append(self, data: bytes | memoryview) -> Segment:
        """Store some bytes, and tell where they lie."""
        start = self._end
        with disk_errors(f"cannot write {self._spool}"):
            write_all(self._fd, data)
        self._end += len(data)
        return start, len(data)

    def add(self, name: str, dtype: str, shape: tuple[int, ...], segments: Iterable[Segment]) -> None:
        """Make a tensor of bytes that were stored; the same bytes may be those of several."""
        self._entries[name] = _Spooled(dtype, shape, tuple(segments))

    def add_raw(self, name: str, dtype: str, shape: tuple[int, ...], pieces: Iterable[bytes | memoryview]) -> None:
        """Store a tensor as it is, from consecutive pieces of its raw bytes."""
        self.add(name, dtype, shape, [self.append(piece) for piece in pieces])

    def write(self, path: Path, metadata: Mapping[str, str]) -> SafetensorsWriter:
        """Write all tensors to the new safetensors file ``path``. Its writer, closed, knows the file's digest."""
        entries = [(name, spooled.dtype, spooled.shape) for name, spooled in sorted(self._entries.items())]
        with SafetensorsWriter(path, entries, metadata) as writer:
            for name, _, _ in layout(entries):
                for piece in self.read(name):
                    writer.write(name, piece)
        return writer

    def read(self, name: str) -> Iterable[bytes]:
        """A tensor's bytes, in consecutive pieces."""
        for offset, nbytes in self._entries[name].segments:
            for start in range(0, nbytes, _COPY):
                yield read_exactly(self._fd, min(_COPY, nbytes - start), offset + start, str(self._spool))
