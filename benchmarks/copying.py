"""The yardstick: copies a folder as carefully as a merge is published, and does nothing else.

    python -m benchmarks.copying FROM TO

Every file is read once into memory that is used again, written, flushed to the disk, and hashed as a merge is: BLAKE3
of what is read, BLAKE3 of what is written, SHA-256 of the file. SHA-256, the slowest, has a thread of its own.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from blake3 import blake3

PIECE = 1 << 20  # so that it stays in the processor's cache while it is hashed
_BUFFERS = 8


def copy_folder(source: Path, target: Path) -> dict[str, str]:
    """Copy all files of a folder; their SHA-256 by name."""
    target.mkdir()
    with ThreadPoolExecutor(1) as hasher:
        digests = {path.name: _copy(path, target / path.name, hasher) for path in sorted(source.iterdir())}
    _flush(target)
    return digests


def _copy(source: Path, target: Path, hasher: ThreadPoolExecutor) -> str:
    read, written, whole = blake3(), blake3(), hashlib.sha256()
    buffers: list[tuple[bytearray, Future[None] | None]] = [(bytearray(PIECE), None) for _ in range(_BUFFERS)]
    with source.open("rb", buffering=0) as reader, target.open("xb", buffering=0) as writer:
        _reserve(writer.fileno(), source.stat().st_size)
        turn = 0
        while True:
            buffer, busy = buffers[turn % _BUFFERS]
            if busy is not None:
                busy.result()
            count = reader.readinto(buffer)
            if not count:
                break
            data = memoryview(buffer)[:count]
            buffers[turn % _BUFFERS] = (buffer, hasher.submit(whole.update, data))
            read.update(data)
            writer.write(data)
            written.update(data)
            turn += 1
        for _, busy in buffers:
            if busy is not None:
                busy.result()
        os.fsync(writer.fileno())
    assert read.digest() == written.digest()
    return whole.hexdigest()


def _reserve(descriptor: int, size: int) -> None:
    """Ask for the room at once, which is cheaper than piece by piece."""
    if size:
        with contextlib.suppress(OSError):
            os.posix_fallocate(descriptor, 0, size)


def _flush(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


if __name__ == "__main__":
    copy_folder(Path(sys.argv[1]), Path(sys.argv[2]))
