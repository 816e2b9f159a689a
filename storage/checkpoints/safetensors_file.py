"""Safetensors files: ``read_header`` reads one strictly, ``SafetensorsWriter`` streams one out in a single pass."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from storage.checkpoints.safetensors_header import METADATA, Spec, encode_header, layout, read_header, spec_bytes
from storage.checkpoints.shards import index_json, plan_shards, shard_names
from storage.checkpoints.tensors import quoted
from storage.dtypes import DTYPES
from storage.errors import Conflict
from storage.files import disk_errors, write_all

__all__ = ["SafetensorsWriter", "Spec", "index_json", "layout", "plan_shards", "read_header", "shard_names"]


class SafetensorsWriter:
    """Writes one file whose tensors are known beforehand; their bytes come in ``layout`` order, piece by piece.

    ``size`` and ``sha256`` describe what has been written so far, and the whole file after ``close``. On an error
    the partial file stays for the caller, who writes in a folder of temporary files, to delete.
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
        self._fd = self._create()
        self._enter(0)
        self._put(memoryview(header))

    def _create(self) -> int:
        with disk_errors(f"cannot create {self.path}"):
            try:
                return os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
            except FileExistsError:
                raise Conflict(f"{self.path} exists already", hint="write to a new folder") from None

    @property
    def sha256(self) -> str:
        """``sha256:…`` of the bytes written so far."""
        return "sha256:" + self._hash.hexdigest()

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
        self._put(view)
        self._left -= len(view)
        if not self._left:
            self._enter(self._position + 1)

    def _enter(self, position: int) -> None:
        """Move to the next tensor that has any bytes."""
        while position < len(self.layout) and not (left := spec_bytes(self.layout[position])):
            position += 1
        self._position = position
        self._left = left if position < len(self.layout) else 0

    def _put(self, view: memoryview) -> None:
        if self._fd < 0:
            raise ValueError(f"{self.path}: written to after it was closed")
        with disk_errors(f"cannot write {self.path} ({self.size} of {self._total} bytes written)"):
            write_all(self._fd, view)
        self._hash.update(view)
        self.size += len(view)

    def close(self) -> None:
        """Finish the file: every byte must be there, and on the disk when this returns."""
        if self._fd < 0:
            return
        try:
            if self.size != self._total:
                name = self.layout[self._position][0]
                raise ValueError(f"{self.path}: closed {self._total - self.size} bytes early, within {quoted(name)}")
            with disk_errors(f"cannot flush {self.path} to the disk"):
                os.fsync(self._fd)
        finally:
            self._release()

    def _release(self) -> None:
        if self._fd >= 0:
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
            self._release()


def _checked(entries: Sequence[Spec]) -> list[Spec]:
    names = [name for name, _, _ in entries]
    if len(set(names)) < len(names) or METADATA in names:
        raise ValueError("tensor names must be unique, and none may be " + METADATA)
    for name, dtype, shape in entries:
        if dtype not in DTYPES or any(size < 0 for size in shape):
            raise ValueError(f"tensor {quoted(name)}: cannot write {dtype} of shape {list(shape)}")
    return layout(entries)
