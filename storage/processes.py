"""Which process something is of, and whether that one lives: as far as this host can tell."""

from __future__ import annotations

import contextlib
import hashlib
import os
import socket
from pathlib import Path


def process_name(number: int | None = None) -> str:
    """What tells the running process from all others, of all hosts; or another one of this host, by its number."""
    return f"{this_host()}.{number or os.getpid()}"


def is_dead(process: str) -> bool:
    """Whether a process, by its ``process_name`` and whatever follows it, is known to live no more.

    Of one of another host nothing is known.
    """
    host, number, *_ = [*process.split("."), ""]
    return host == this_host() and number.isdigit() and not _alive(int(number))


def is_of_this_host(path: Path) -> bool:
    """Whether a ``temporary_path`` was made on this host, since its start."""
    return path.name.split(".")[-4:-3] == [this_host()]


def is_leftover(path: Path) -> bool:
    """Whether a ``temporary_path`` is of a process that is known to live no more."""
    return is_dead(".".join(path.name.split(".")[-4:-2]))


def this_host() -> str:
    """Where a process number means something: this host since its start, this container."""
    marks = [socket.gethostname()]
    with contextlib.suppress(OSError):
        marks.append(Path("/proc/sys/kernel/random/boot_id").read_text())
        marks.append(str(Path("/proc/self/ns/pid").stat().st_ino))
    return hashlib.sha256("\n".join(marks).encode()).hexdigest()[:8]


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # somebody else's, but alive
    return True
