"""What every careful copy costs, stage by stage on one thread: CPU seconds for a file's bytes, as JSON.

    python -m benchmarks.stages FILE

What a merge takes beyond these and its start-up is decoding and merging.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from blake3 import blake3

PIECE = 2 << 20
TRIALS = 3


def stages(path: Path) -> dict[str, float]:
    """CPU seconds of each stage, the least of a few trials."""
    data, size = memoryview(bytearray(os.urandom(PIECE))), path.stat().st_size
    return {
        "reading the base": _least(lambda: _read(path, data)),
        "BLAKE3 of what is read": _least(lambda: _repeat(blake3().update, data, size)),
        "BLAKE3 of what is written": _least(lambda: _repeat(blake3().update, data, size)),
        "SHA-256 of the file": _least(lambda: _repeat(hashlib.sha256().update, data, size)),
        "writing": _least(lambda: _write(path.with_name("stages.tmp"), data, size)),
    }


def _repeat(work: Callable[[memoryview], object], data: memoryview, size: int) -> None:
    for start in range(0, size, PIECE):
        work(data[: min(PIECE, size - start)])


def _read(path: Path, data: memoryview) -> None:
    with path.open("rb", buffering=0) as file:
        while file.readinto(data):
            pass


def _write(path: Path, data: memoryview, size: int) -> None:
    with path.open("wb", buffering=0) as file:
        _repeat(file.write, data, size)
    path.unlink()


def _least(work: Callable[[], None]) -> float:
    seconds = []
    for _ in range(TRIALS):
        started = time.process_time()
        work()
        seconds.append(time.process_time() - started)
    return min(seconds)


if __name__ == "__main__":
    print(json.dumps(stages(Path(sys.argv[1]))))
