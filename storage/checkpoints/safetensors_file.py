"""Safetensors files: ``read_header`` reads one strictly, ``SafetensorsWriter`` writes one in a single pass."""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Self

from storage.checkpoints.safetensors_header import METADATA, Spec, encode_header, layout, read_header, spec_bytes
from storage.checkpoints.shards import index_json, plan_shards, shard_names
from storage.checkpoints.tensors import quoted
from storage.dtypes import DTYPES
from storage.errors import Conflict
from storage.files import disk_errors, write_at
from storage.writeback import Writeback, reserve

__all__ = ["SafetensorsWriter", "Spec", "index_json", "layout", "plan_shards", "read_header", "shard_names"]


class SafetensorsWriter:
    """Writes one file whose tensors are known beforehand.

    Either ``write`` their bytes in ``layout`` order, piece by piece; or ``put`` pieces anywhere, on any threads, and
    give the same pieces to ``follow`` in file order, each after it was put. ``size`` and ``sha256`` describe what has
    been written so far, and the whole file after ``close``. One that cannot be begun is not there; on a later error the
    partial file stays for the caller, who writes in a folder of temporary files, to delete.
    """

    def __init__(self, path: Path, entries: Sequence[Spec], metadata: Mapping[str, str] | None = None):
        self.path = path
        self.layout = tuple(_checked(entries))
        self.size = 0
        self._hash = hashlib.sha256()
        self._position = 0
        self._left = 0
        header, data = encode_header(self.layout, metadata or {})
        self._total = len(header) + data
        self._places = _places(self.layout, len(header))
        self._put = 0
        self._counting = threading.Lock()
        self._fd = self._create()
        self._writeback = Writeback(self._fd)
        self._enter(0)
        self._begin(header)

    def _create(self) -> int:
        with disk_errors(f"cannot create {self.path}"):
            try:
                return os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
            except FileExistsError:
                raise Conflict(f"{self.path} exists already", hint="write to a new folder") from None

    def _begin(self, header: bytes) -> None:
        try:
            with self._writing():
                reserve(self._fd, self._total)
            self._put_at(memoryview(header), 0)
            self.follow(header)
        except BaseException:
            self.abandon()
            with contextlib.suppress(OSError):  # another thread that wants to write meets the trouble, not the file
                self.path.unlink()
            raise

    @property
    def sha256(self) -> str:
        """``sha256:…`` of the bytes written so far."""
        return "sha256:" + self._hash.hexdigest()

    @property
    def complete(self) -> bool:
        """Whether every byte has been written."""
        return self.size == self._put == self._total

    def write(self, name: str, data: memoryview | bytes | bytearray) -> None:
        """Append the next bytes of tensor ``name``; ValueError when the layout has another tensor or byte next."""
        view = memoryview(data).cast("B")
        if not view:
            return
        expected = self.layout[self._position][0] if self._position < len(self.layout) else None
        if name != expected:
            raise ValueError(f"{self.path}: bytes of {quoted(name)} came where the layout has {expected!r}")
        if len(view) > self._left:
            raise ValueError(f"{self.path}: {len(view)} bytes for {quoted(name)}, which has room for {self._left}")
        self._put_at(view, self.size)
        self.follow(view)
        self._left -= len(view)
        if not self._left:
            self._enter(self._position + 1)

    def put(self, name: str, start: int, data: memoryview) -> None:
        """Write bytes ``[start, …)`` of tensor ``name``, each once; several threads may do so at the same time."""
        place, nbytes = self._places[name]
        if start < 0 or start + len(data) > nbytes:
            raise ValueError(f"{self.path}: bytes {start} to {start + len(data)} of {quoted(name)}, which has {nbytes}")
        self._put_at(data, place + start)

    def follow(self, data: memoryview | bytes) -> None:
        """Take the next bytes of the file, which have been put, into its SHA-256; one call at a time."""
        self._hash.update(data)
        self.size += len(data)
        self._writeback.reach(self.size)

    def _enter(self, position: int) -> None:
        """Move to the next tensor that has any bytes."""
        while position < len(self.layout) and not (left := spec_bytes(self.layout[position])):
            position += 1
        self._position = position
        self._left = left if position < len(self.layout) else 0

    def _put_at(self, view: memoryview, position: int) -> None:
        if self._fd < 0:
            raise ValueError(f"{self.path}: written to after it was closed")
        with self._writing():
            write_at(self._fd, view, position)
        with self._counting:
            self._put += len(view)

    def _writing(self) -> AbstractContextManager[None]:
        return disk_errors(f"cannot write {self.path} ({self._put} of {self._total} bytes written)")

    def close(self) -> None:
        """Finish the file: every byte must be there, and on the disk when this returns."""
        if self._fd < 0:
            return
        try:
            self._check_complete()
            with disk_errors(f"cannot flush {self.path} to the disk"):
                os.fsync(self._fd)
        finally:
            self.abandon()

    def _check_complete(self) -> None:
        reached = min(self.size, self._put)
        if reached < self._total:
            name = next(name for name, (place, nbytes) in self._places.items() if place + nbytes > reached)
            raise ValueError(f"{self.path}: closed {self._total - reached} bytes early, within {quoted(name)}")

    def abandon(self) -> None:
        """Let go of the file, finished or not."""
        if self._fd >= 0:
            self._writeback.end()
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.abandon()


def _places(specs: Iterable[Spec], position: int) -> dict[str, tuple[int, int]]:
    """Where each tensor's bytes lie in the file, and how many there are."""
    places = {}
    for spec in specs:
        nbytes = spec_bytes(spec)
        places[spec[0]] = (position, nbytes)
        position += nbytes
    return places


def _checked(entries: Sequence[Spec]) -> list[Spec]:
    names = [name for name, _, _ in entries]
    if len(set(names)) < len(names) or METADATA in names:
        raise ValueError("tensor names must be unique, and none may be " + METADATA)
    for name, dtype, shape in entries:
        if dtype not in DTYPES or any(size < 0 for size in shape):
            raise ValueError(f"tensor {quoted(name)}: cannot write {dtype} of shape {list(shape)}")
    return layout(entries)
