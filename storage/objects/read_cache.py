"""Copies of objects on this machine, within a size: those that were not used for longest go first.

Copies have their objects' names, appear by a rename, and are compared with their digests before this process uses them
for the first time. They can be deleted at any time: who has one open reads on.
"""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from storage.blobs import Blob, hash_file, key_of
from storage.files import disk_errors, disk_failure

LIMIT = 20_000_000_000
"""Bytes that the copies take at most, unless it is said otherwise."""

_GRACE = 30.0  # seconds in which whoever was given a path opens it

Mark = tuple[int, int, int]


@dataclass(frozen=True)
class _Copy:
    path: Path
    bytes: int
    used: float  # seconds since the epoch


class ReadCache:
    """The folder of copies. ``limit``: bytes that it takes, unless more was used within the last half minute."""

    def __init__(self, folder: Path, limit: int = LIMIT, grace: float = _GRACE):
        self.folder = folder
        self.limit = limit
        self._grace = grace
        self._sound: dict[str, Mark] = {}

    def find(self, digest: str) -> Path | None:
        """The copy of an object, if there is a sound one; it counts as used just now."""
        path = self._place(digest)
        try:
            mark = _mark(path)
            if self._sound.get(digest) != mark:
                if hash_file(path).digest != digest:
                    path.unlink(missing_ok=True)
                    return None
                self._sound[digest] = mark
            _use(path, mark)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise disk_failure(error, f"cannot use the copy {path}") from error
        return path

    def keep(self, temporary: Path, blob: Blob) -> Path:
        """Take over a file that holds this object: it was hashed while it was written."""
        path = self._place(blob.digest)
        with disk_errors(f"cannot keep a copy in {self.folder}"):
            self.folder.mkdir(parents=True, exist_ok=True)
            self._make_room(blob.size)
            os.utime(temporary)
            mark = _mark(temporary)
            temporary.rename(path)
        self._sound[blob.digest] = mark
        return path

    def drop(self, digest: str) -> None:
        """Delete the copy of an object, if there is one."""
        self._place(digest).unlink(missing_ok=True)

    def _place(self, digest: str) -> Path:
        return self.folder / Path(key_of(digest)).name

    def _make_room(self, size: int) -> None:
        copies = sorted(self._copies(), key=lambda each: each.used)
        surplus = sum(each.bytes for each in copies) + size - self.limit
        recent = time.time() - self._grace
        for each in copies:
            if surplus <= 0 or each.used > recent:
                break
            each.path.unlink(missing_ok=True)
            surplus -= each.bytes

    def _copies(self) -> Iterator[_Copy]:
        for entry in os.scandir(self.folder):
            with contextlib.suppress(FileNotFoundError):  # another process makes room too
                status = entry.stat(follow_symlinks=False)
                yield _Copy(Path(entry.path), status.st_size, status.st_atime)


def _use(path: Path, mark: Mark) -> None:
    """Let a copy count as used just now, where this user may: another's is used all the same."""
    try:
        os.utime(path, ns=(time.time_ns(), mark[2]))
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise


def _mark(path: Path) -> Mark:
    status = path.lstat()
    return status.st_ino, status.st_size, status.st_mtime_ns
