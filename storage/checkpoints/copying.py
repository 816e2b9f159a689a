"""One reading of a file, however much is wanted from it: a copy, its digest, and those of the tensors in it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from blake3 import blake3

from storage.blobs import Blob
from storage.checkpoints.inputs import PIECE, digest_of, refuse_not_finite, tensor_hasher
from storage.checkpoints.tensors import TensorEntry, pread_into
from storage.files import disk_errors, open_to_read, share_blocks, write_at
from storage.memory import Buffers
from storage.pipeline import in_order
from storage.writeback import Writeback, reserve


@dataclass(frozen=True)
class Copied:
    """What one reading of a file found: its digest and size, and the digest of each of its tensors."""

    blob: Blob
    tensors: dict[str, str]


@dataclass(frozen=True)
class _Part:
    """Bytes ``[start, stop)`` of a file; those of one tensor, or of none (the header)."""

    entry: TensorEntry | None
    start: int
    stop: int


_Span = tuple[_Part, ...]  # consecutive parts that are read at once


def copy_hashed(
    source: Path,
    target: Path,
    entries: Iterable[TensorEntry] = (),
    *,
    where: str,
    threads: int,
    advance: Callable[[int], None],
) -> Copied:
    """Copy a file to the new file ``target`` and hash it and the tensors it holds, reading it once.

    Where the filesystem can, the copy shares the blocks of the original. Reading, writing and looking for NaN
    happen on ``threads``, hashing in order beside them. Raises InputRefused at a NaN or infinite value, in the order
    of the file; ``target`` may then hold a part of it, for the caller to delete.
    """
    tensors = sorted(entries, key=lambda entry: (entry.offset, entry.nbytes))
    with (
        disk_errors(f"cannot copy {source} to {target}"),
        os.fdopen(open_to_read(source), "rb", buffering=0) as reader,
        target.open("x+b", buffering=0) as writer,
    ):
        shared = share_blocks(reader.fileno(), writer.fileno())
        # Whoever changes the original from now on does not change the copy: that is what has to be hashed.
        readable = writer if shared else reader
        size = os.fstat(readable.fileno()).st_size
        end = max([size, *(entry.offset + entry.nbytes for entry in tensors)])  # cut short, reading will find out
        buffers, writeback = Buffers(min(PIECE, end)), Writeback(writer.fileno())
        if not shared:
            reserve(writer.fileno(), size)

        def transfer(span: _Span) -> tuple[_Span, memoryview]:
            start = span[0].start
            data = buffers.take(span[-1].stop - start)
            pread_into(readable.fileno(), source, start, data)
            if not shared:
                write_at(writer.fileno(), data, start)
            for part in span:
                if part.entry is not None:
                    piece = data[part.start - start : part.stop - start]
                    refuse_not_finite(part.entry, piece, part.start - part.entry.offset, where)
            return span, data

        hashing = _Hashing(tensors, size)
        try:
            with closing(in_order(transfer, _spans(tensors, size), threads)) as transferred:
                for span, data in transferred:
                    hashing.update(span, data)
                    buffers.give(data)
                    writeback.reach(span[-1].stop)
                    advance(len(data))
        finally:
            writeback.end()
        return Copied(Blob(digest_of(hashing.file), size), hashing.digests)


def _spans(tensors: list[TensorEntry], size: int) -> Iterator[_Span]:
    """The whole file in spans of up to ``PIECE`` bytes, cut between elements; small tensors share a span."""
    span: list[_Part] = []
    for part in _parts(tensors, size):
        if span and part.stop - span[0].start > PIECE:
            yield tuple(span)
            span = []
        span.append(part)
    if span:
        yield tuple(span)


def _parts(tensors: list[TensorEntry], size: int) -> Iterator[_Part]:
    cursor = 0
    for entry in tensors:
        yield from _cut(None, cursor, entry.offset)
        cursor = entry.offset + entry.nbytes
        yield from _cut(entry, entry.offset, cursor)
    yield from _cut(None, cursor, size)


def _cut(entry: TensorEntry | None, start: int, stop: int) -> Iterator[_Part]:
    for at in range(start, stop, PIECE):
        yield _Part(entry, at, min(at + PIECE, stop))


class _Hashing:
    """Digests of a file and of its tensors, from its spans in order."""

    def __init__(self, tensors: Iterable[TensorEntry], size: int):
        self.file = tensor_hasher(size)
        self.digests = {entry.name: digest_of(blake3()) for entry in tensors if not entry.nbytes}
        self._tensor = blake3()

    def update(self, span: _Span, data: memoryview) -> None:
        """Take in the next span."""
        self.file.update(data)
        for part in span:
            if (entry := part.entry) is None:
                continue
            if part.start == entry.offset:
                self._tensor = tensor_hasher(entry.nbytes)
            self._tensor.update(data[part.start - span[0].start : part.stop - span[0].start])
            if part.stop == entry.offset + entry.nbytes:
                self.digests[entry.name] = digest_of(self._tensor)
