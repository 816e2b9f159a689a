"""Content-addressed blobs: immutable files named by the BLAKE3 digest of their bytes."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import itertools
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from blake3 import blake3

from storage.digests import is_digest
from storage.errors import EnvironmentFailure, IntegrityFailure
from storage.files import (
    disk_errors,
    fsync_path,
    open_to_read,
    publish_file,
    regular_size,
    settle,
    sweep,
    temporary_path,
)

_READ = 8 << 20
_NO_FILE = {
    errno.ENOENT: "stored file is missing",
    **dict.fromkeys((errno.EISDIR, errno.ENXIO), "there is no file in the place of a stored file"),
}
RESTORE = "run `mergestore repair`, restore it from a backup, or register the same content again"
"""What to do about an object that is gone or damaged."""


@dataclass(frozen=True, slots=True)
class Blob:
    """One stored file: digest of its bytes and its size in bytes."""

    digest: str
    size: int


def hash_file(path: Path, public: hashlib._Hash | None = None) -> Blob:
    """Read a file once and name it; ``public``: another hash that is to be taken on the way."""
    hasher = blake3(max_threads=blake3.AUTO)
    buffer = bytearray(_READ)
    size = 0
    with disk_errors(f"cannot read {path}"), os.fdopen(open_to_read(path), "rb", buffering=0) as file:
        while count := file.readinto(buffer):
            hasher.update(memoryview(buffer)[:count])
            if public is not None:
                public.update(memoryview(buffer)[:count])
            size += count
    return Blob("blake3:" + hasher.hexdigest(), size)


def key_of(digest: str) -> str:
    """Where an object of this digest lies among the others. Raises IntegrityFailure for what is no digest."""
    if not is_digest(digest):
        raise IntegrityFailure(f"not a blob digest: {digest!r}")
    algorithm, name = digest.split(":")
    return f"{algorithm}/{name[:2]}/{name}"


def digest_of(key: str) -> str | None:
    """Which object lies there among the others; None where none does."""
    algorithm, _, name = key.partition("/")
    digest = f"{algorithm}:{name[3:]}"
    return digest if is_digest(digest) and key == key_of(digest) else None


def scratch_path(temporary: Path, label: str) -> Path:
    """A fresh path in a folder of temporary files, where what dead processes have left is cleared up."""
    with disk_errors(f"cannot write in {temporary}"):
        temporary.mkdir(parents=True, exist_ok=True)
        sweep(temporary)
    return temporary_path(temporary, label)


def free_place(place: Path) -> Path:
    """A path, its folder made; or ``NAME.2``, ``NAME.3``… where something has been put there before."""
    place.parent.mkdir(parents=True, exist_ok=True)
    others = (place.with_name(f"{place.name}.{number}") for number in itertools.count(2))
    return next(each for each in itertools.chain([place], others) if not os.path.lexists(each))


def compare(
    digest: str, place: Path | str, found: Blob, public: hashlib._Hash | None = None, sha256: str | None = None
) -> Blob:
    """What was ``found`` in the place of an object. IntegrityFailure where that is not it, or not of its SHA-256."""
    if found.digest != digest:
        raise IntegrityFailure(f"blob {digest} is damaged: {place} now hashes to {found.digest}", hint=RESTORE)
    if public is not None and f"sha256:{public.hexdigest()}" != sha256:
        told = f"blob {digest} has the SHA-256 sha256:{public.hexdigest()}, but on record is {sha256}"
        raise IntegrityFailure(told, hint="restore the database from a backup; the blob is not affected")
    return found


class BlobStore:
    """The ``objects/`` folder of a store. A blob is there whole under its name, or not at all."""

    folders = 3
    """How many folders a blob stands in, ``objects/blake3/ab``: each may have been made for it."""

    def __init__(self, objects: Path, temporary: Path, spare: Callable[[str], None] | None = None):
        """``spare``: called with the digest of a blob before it is looked at, because something new will rely on it."""
        self.objects = objects
        self.temporary = temporary
        self._spare = spare

    def path(self, digest: str) -> Path:
        """Where the blob of this digest lies, or would lie."""
        return self.objects / key_of(digest)

    def checked(self, digest: str) -> Path:
        """The same, after its bytes were compared with the digest. Raises IntegrityFailure where they are not its."""
        self.verify(digest)
        return self.path(digest)

    def ranges(self, digest: str) -> None:
        """None: the file is at hand."""

    def has(self, digest: str) -> bool:
        """Whether a blob of this digest is stored."""
        return self.path(digest).is_file()

    def scratch(self, label: str) -> Path:
        """A fresh temporary path on the blobs' filesystem, to be written and given to ``adopt``."""
        return scratch_path(self.temporary, label)

    def adopt(self, temporary: Path, blob: Blob | None = None) -> Blob:
        """Take over a finished temporary file; the same content twice is stored once.

        ``blob``: its digest and size, where whoever wrote it has taken them; else it is read for them.
        """
        try:
            blob = blob or hash_file(temporary)
            path = self.path(blob.digest)
            if self._spare is not None:
                # First of all, whether it is there or not: what was found to be garbage may be deleted until then.
                self._spare(blob.digest)
            if self._intact(blob):
                # Another process may have given it this name just now, and not flushed it yet.
                fsync_path(path)
                settle(path, self.folders)
                temporary.unlink()
            else:
                publish_file(temporary, path, self.folders)
            return blob
        finally:
            temporary.unlink(missing_ok=True)

    def verify(self, digest: str, sha256: str | None = None) -> Blob:
        """Read a blob whole and compare it with its name, and with the SHA-256 that is on record of it, if one is.

        Raises IntegrityFailure when it is missing, a link to elsewhere, or its bytes have changed.
        """
        path = self.path(digest)
        if self.size(digest) is None:
            raise IntegrityFailure(f"blob {digest} {self.absence(digest)}: expected {path}", hint=RESTORE)
        public = hashlib.sha256() if sha256 is not None else None
        return compare(digest, path, hash_file(path, public), public, sha256)

    def digests(self) -> Iterator[str]:
        """Every blob name present, in sorted order."""
        return (digest for digest, _ in self._entries())

    def sizes(self, *, lenient: bool = False) -> Iterator[tuple[str, int]]:
        """Every blob present, in sorted order, and its bytes; ``lenient``: but for what nobody may look at."""
        passed_over = (FileNotFoundError, PermissionError) if lenient else (FileNotFoundError,)  # deleted just now
        for digest, entry in self._entries(lenient):
            with contextlib.suppress(*passed_over):
                found = entry.stat(follow_symlinks=False)
                if stat.S_ISREG(found.st_mode):
                    yield digest, found.st_size

    def strangers(self) -> Iterator[Path]:
        """What lies among the blobs and is none: nothing of ours, and nothing of ours to delete."""
        found = []
        for place, folders, files in os.walk(self.objects):
            folder = Path(place)
            ours = folder.parent.parent == self.objects
            for name in (*files, *(each for each in folders if _is_link(folder / each))):
                if not (ours and _belongs(folder.parent.name, folder.name, name)):
                    found.append(folder / name)
        yield from sorted(found)

    def _entries(self, lenient: bool = False) -> Iterator[tuple[str, os.DirEntry[str]]]:
        """What lies in the places of blobs, in the order of their names: plain calls, for there may be a million."""
        for algorithm in _listed(self.objects, lenient):
            for part in _listed(algorithm, lenient) if algorithm.is_dir() else ():
                for entry in _listed(part, lenient) if part.is_dir() else ():
                    if _belongs(algorithm.name, part.name, entry.name):
                        yield f"{algorithm.name}:{entry.name}", entry

    def size(self, digest: str) -> int | None:
        """Bytes of a blob's file; None when there is none, or a link or folder in its place."""
        return regular_size(self.path(digest), follow=False)

    def absence(self, digest: str) -> str:
        """What is wrong with a blob that has no size."""
        path = self.path(digest)
        if path.is_symlink():
            return "is replaced by a link"
        return "is replaced by what is no file" if path.exists() else "is missing"

    def set_aside(self, digest: str, place: Path) -> None:
        """Move whatever lies in a blob's place elsewhere on its filesystem, beside what is there; nothing is fine."""
        path = self.path(digest)
        with disk_errors(f"cannot move {path}"):
            if path.is_symlink() or path.exists():
                path.rename(free_place(place))
                fsync_path(place.parent)

    def remove(self, digest: str) -> None:
        """Delete a blob; absent is fine. Whoever calls makes sure that nobody needs it.

        Not flushed: one that a power cut brings back is garbage that is found again.
        """
        path = self.path(digest)
        with disk_errors(f"cannot delete {path}"):
            path.unlink(missing_ok=True)

    def _intact(self, blob: Blob) -> bool:
        # A damaged object of this name is replaced by the good bytes at hand.
        path = self.path(blob.digest)
        there = path.is_file() and not path.is_symlink()
        return there and path.stat().st_size == blob.size and hash_file(path) == blob


def _listed(place: Path | os.DirEntry[str], lenient: bool) -> list[os.DirEntry[str]]:
    """What is in a folder, by name; nothing where that is not there."""
    try:
        with os.scandir(place) as entries:
            return sorted(entries, key=lambda each: each.name)
    except FileNotFoundError:
        return []
    except PermissionError:
        if not lenient:
            raise
        return []


def _is_link(path: Path) -> bool:
    with contextlib.suppress(PermissionError):
        return path.is_symlink()
    return False


def _belongs(algorithm: str, part: str, name: str) -> bool:
    """Whether a blob of this name lies in this folder."""
    return name[:2] == part and is_digest(f"{algorithm}:{name}")


def open_blob(path: Path) -> int:
    """A read-only file descriptor of a stored file; IntegrityFailure when it is gone, or no file."""
    try:
        with disk_errors(f"cannot open {path}"):
            return open_to_read(path)
    except EnvironmentFailure as error:
        if error.errno not in _NO_FILE:
            raise
        raise IntegrityFailure(f"{_NO_FILE[error.errno]}: {path}", hint="run `mergestore verify`") from error
