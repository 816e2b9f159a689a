"""What a tensor in a checkpoint is, and the one contract through which its bytes are read."""

from __future__ import annotations

import math
import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from storage.errors import EnvironmentFailure, InputRefused
from storage.files import disk_errors, open_to_read, refused_by_the_system

_LONGEST_SHOWN = 120


@dataclass(frozen=True, slots=True)
class TensorEntry:
    """Where one tensor lies: ``file`` is relative to the checkpoint's root, ``offset`` counts from the file's start.

    ``dtype`` is a key of ``DTYPES``. Tensors of a pickled checkpoint have no stable place: their offset is 0.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    file: str
    offset: int
    nbytes: int

    @property
    def elements(self) -> int:
        """Number of elements; a 0-d tensor has one."""
        return math.prod(self.shape)


class TensorSource(Protocol):
    """Tensors by name, as raw little-endian bytes, wherever they are kept."""

    @property
    def entries(self) -> Mapping[str, TensorEntry]:
        """Every tensor, in sorted name order."""

    def read_into(self, name: str, start: int, out: memoryview) -> None:
        """Fill ``out`` with bytes ``[start, start + len(out))`` of a tensor; threads may call this at once."""

    def close(self) -> None:
        """Let go of open files."""


def quoted(name: str) -> str:
    """A name that came from outside, safe to print: escapes spelled out, very long ones cut."""
    text = repr(name)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…'"


def listed(names: Iterable[str], limit: int = 5) -> str:
    """The first ``limit`` names, quoted, and how many more there are."""
    every = list(names)
    shown = ", ".join(quoted(name) for name in every[:limit])
    return f"{shown} and {len(every) - limit} more" if len(every) > limit else shown


def open_regular(path: Path) -> tuple[int, int]:
    """Open a regular file for reading: its descriptor and size. Pipes, devices and folders are refused unopened."""
    try:
        with refused_by_the_system(f"cannot open {path}"):
            status = path.stat()
    except FileNotFoundError:
        raise InputRefused(f"{path}: no such file", hint="check the path") from None
    except NotADirectoryError:
        raise InputRefused(f"{path}: no such file: a part of the path is not a folder") from None
    except EnvironmentFailure:
        raise
    except OSError as error:
        raise InputRefused(f"{path}: cannot be opened: {error.strerror}") from error
    if not stat.S_ISREG(status.st_mode):
        raise InputRefused(f"{path}: not a regular file", hint="give a file, or the folder that holds the model")
    with disk_errors(f"cannot open {path}"):
        descriptor = open_to_read(path)
    return descriptor, os.fstat(descriptor).st_size


Stamp = tuple[int, int, int, int]
"""Which file stands at a path, and in which state: device, inode, size, time of its last change."""


def stamp_of(file: Path | int) -> Stamp | None:
    """The stamp of a path or an open file; None where there is none."""
    try:
        status = os.stat(file)  # noqa: PTH116 - of a descriptor too
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def changed_meanwhile(path: Path) -> InputRefused:
    """The refusal of a file that is not the one whose header was read."""
    return InputRefused(
        f"{path}: was replaced or written to while it was being read",
        hint="try again when nothing writes there any more",
    )


def pread_into(descriptor: int, path: Path | str, offset: int, out: memoryview) -> None:
    """Fill ``out`` from ``offset`` on, in as many reads as it takes. Raises InputRefused where the file ends early."""
    done = 0
    with disk_errors(f"cannot read {path}"):
        while done < len(out):
            count = os.preadv(descriptor, [out[done:]], offset + done)
            if count == 0:
                raise InputRefused(
                    f"{path}: ends at byte {offset + done}, expected {len(out) - done} more",
                    hint="the file was cut short after it was opened: copy or download it again",
                )
            done += count
