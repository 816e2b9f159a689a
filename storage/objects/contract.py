"""What a store asks of the place where its objects are, be it a folder or an object storage."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from storage.blobs import Blob


class Ranges(Protocol):
    """The bytes of one object that is nowhere on this machine."""

    def read_into(self, position: int, out: memoryview) -> None:
        """Fill ``out`` from ``position`` on; threads may call this at once. IntegrityFailure where it ends early."""


class Objects(Protocol):
    """Immutable objects named by the BLAKE3 digest of their bytes: there whole, or not at all.

    Each method raises EnvironmentFailure where the disk or the object storage fails it.
    """

    def path(self, digest: str) -> Path:
        """A file with the object's bytes, to be opened soon. IntegrityFailure for what can be no digest."""

    def checked(self, digest: str) -> Path:
        """The same of bytes that were just compared with their digest. IntegrityFailure where they are not its."""

    def ranges(self, digest: str) -> Ranges | None:
        """How to read parts of a large object; None where the file at ``path`` is at hand."""

    def has(self, digest: str) -> bool:
        """Whether an object of this digest is stored."""

    def size(self, digest: str) -> int | None:
        """Bytes of an object; None when there is none."""

    def absence(self, digest: str) -> str:
        """What is wrong with an object that has no size, as a predicate: ``is missing``."""

    def sizes(self, *, lenient: bool = False) -> Iterator[tuple[str, int]]:
        """Every object there is, in order of digests, and its bytes.

        ``lenient``: what this process has no right to look at is left out, where it raises else.
        """

    def digests(self) -> Iterator[str]:
        """Every name that is taken, in order, whatever stands there."""

    def strangers(self) -> Iterator[Path | str]:
        """What lies among the objects and is none: nothing of ours, and nothing of ours to delete."""

    def scratch(self, label: str) -> Path:
        """A fresh path on this machine, to be written and given to ``adopt``."""

    def adopt(self, temporary: Path, blob: Blob | None = None) -> Blob:
        """Take over a finished file, whose digest and size ``blob`` tells; the same content twice is stored once."""

    def verify(self, digest: str, sha256: str | None = None) -> Blob:
        """Read an object where it is stored, and compare it with its name and its recorded SHA-256.

        Raises IntegrityFailure when it is missing or has changed.
        """

    def set_aside(self, digest: str, place: Path) -> None:
        """Move whatever stands in an object's place to a file on this machine, beside what was there earlier.

        Where nothing stands, nothing is done.
        """

    def remove(self, digest: str) -> None:
        """Delete an object, durably; absent is fine. Whoever calls makes sure that nobody needs it."""
