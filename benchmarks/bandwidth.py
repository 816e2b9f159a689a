"""The physical limits of this machine, in GB/s, as JSON.

    python -m benchmarks.bandwidth FILE

``memory``: bytes copied per second between two regions that are in use already, by all threads; ``page cache``:
reading FILE, which is in memory, into a buffer that is used again; ``disk read``: reading FILE past the page cache,
where the file system can; ``disk write``: writing as many bytes and flushing them. With a CUDA device: ``device copy``
(bytes read plus bytes written per second), ``host to device`` and ``device to host`` from pinned memory.
"""

from __future__ import annotations

import json
import mmap
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from benchmarks.measure import cores

REGION = 256 << 20
PIECE = 8 << 20
TRIALS = 5


def limits(path: Path) -> dict[str, float]:
    """Every limit that this machine has, the best of a few trials each."""
    found = {"memory": memory(), "page cache": page_cache(path)}
    direct = disk_read(path)
    if direct is not None:
        found["disk read"] = direct
    return {**found, "disk write": disk_write(path.parent), **device()}


def memory() -> float:
    """Bytes copied a second: each is read once and written once."""
    source, target = np.ones(REGION, np.uint8), np.zeros(REGION, np.uint8)
    parts = [slice(start, start + PIECE) for start in range(0, REGION, PIECE)]
    with ThreadPoolExecutor(cores()) as pool:
        return REGION / best(lambda: list(pool.map(lambda part: np.copyto(target[part], source[part]), parts))) / 1e9


def page_cache(path: Path) -> float:
    """One thread reading a file that is in memory."""
    buffer = bytearray(PIECE)
    return path.stat().st_size / best(lambda: _read(os.open(path, os.O_RDONLY), buffer)) / 1e9


def disk_read(path: Path) -> float | None:
    """A few threads reading a file past the page cache; None where there is no such thing."""
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_DIRECT))
    except (OSError, AttributeError):
        return None
    size, width = path.stat().st_size, 4
    starts = range(0, size - size % PIECE, PIECE)
    if not starts:
        return None
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECT)
    regions = [mmap.mmap(-1, PIECE) for _ in range(width)]  # O_DIRECT wants aligned memory

    def read(lane: int) -> None:
        for start in starts[lane::width]:
            os.preadv(descriptor, [regions[lane]], start)

    try:
        with ThreadPoolExecutor(width) as pool:
            return len(starts) * PIECE / best(lambda: list(pool.map(read, range(width))), 2) / 1e9
    finally:
        os.close(descriptor)


def disk_write(folder: Path) -> float:
    """One thread writing a new file and flushing it."""
    data, path = os.urandom(PIECE), folder / "written.tmp"

    def write() -> None:
        with path.open("wb", buffering=0) as file:
            for _ in range(REGION // PIECE):
                file.write(data)
            os.fsync(file.fileno())
        path.unlink()

    return REGION / best(write, 3) / 1e9


def device() -> dict[str, float]:
    """Bandwidths of the CUDA device; nothing where there is none."""
    try:
        import torch
    except ImportError:
        return {}
    if not torch.cuda.is_available():
        return {}
    pinned = torch.empty(REGION, dtype=torch.uint8, pin_memory=True)
    here, there = (torch.empty(4 * REGION, dtype=torch.uint8, device="cuda") for _ in range(2))

    def gigabytes(nbytes: int, copy: Callable[[], object]) -> float:
        def work() -> None:
            for _ in range(10):
                copy()
            torch.cuda.synchronize()

        return 10 * nbytes / best(work) / 1e9

    return {
        "device copy": gigabytes(2 * here.nbytes, lambda: there.copy_(here)),
        "host to device": gigabytes(REGION, lambda: here[:REGION].copy_(pinned, non_blocking=True)),
        "device to host": gigabytes(REGION, lambda: pinned.copy_(here[:REGION], non_blocking=True)),
    }


def best(work: Callable[[], object], trials: int = TRIALS) -> float:
    """Seconds of the fastest trial, after one that is not counted."""
    seconds = []
    for _ in range(trials + 1):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return min(seconds[1:])


def _read(descriptor: int, buffer: bytearray) -> None:
    with open(descriptor, "rb", buffering=0) as file:
        while file.readinto(buffer):
            pass


if __name__ == "__main__":
    print(json.dumps(limits(Path(sys.argv[1]))))
