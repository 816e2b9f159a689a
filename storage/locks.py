"""Locks of the system, which end with the process that has them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from storage.files import disk_errors


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """A block that of all processes of this host only one is in at a time; the others wait."""
    import fcntl

    with disk_errors(f"cannot open {folder}"):
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with contextlib.suppress(OSError):  # of a network's filesystem, which may know no locks of folders
            fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


@contextlib.contextmanager
def held(lock: Path) -> Iterator[bool]:
    """Whether this process has the file's lock for the time of the block; where another has it, nobody waits.

    Whoever has it may delete the file. OSError where it cannot be opened or made.
    """
    import fcntl

    while True:
        fd = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            if _is_at(fd, lock):  # else whoever had it deleted it just before
                yield True
                return
        finally:
            os.close(fd)


def _is_at(fd: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), path.stat())
    except FileNotFoundError:
        return False
