"""The folders of a store: objects, cache and temporary files under one home."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from storage.blobs import BlobStore
from storage.files import disk_errors


@dataclass(frozen=True)
class Home:
    """Where a store's bytes lie. ``objects`` are immutable; ``cache`` can be emptied at any time."""

    root: Path
    spare: Callable[[str], None] | None = None
    """Called with the digest of an object that is there already, before a new record relies on it."""
    quota: int | None = None
    """How many bytes of objects may be on record, as this process was told; the store may have a quota of its own."""

    @property
    def cache(self) -> Path:
        """Materialized models, one folder a recipe."""
        return self.root / "cache"

    @property
    def collecting(self) -> Path:
        """Statistics under way, one folder each: a collection that was cut short goes on from there."""
        return self.root / "collecting"

    @property
    def quarantine(self) -> Path:
        """Damaged objects that repair has put others in the place of."""
        return self.root / "quarantine"

    @property
    def backups(self) -> Path:
        """The registry as it was before each change of its schema."""
        return self.root / "backups"

    @property
    def policy(self) -> Path:
        """The policy that always holds here, where there is one."""
        return self.root / "policy.yaml"

    @property
    def blobs(self) -> BlobStore:
        """The immutable objects."""
        return BlobStore(self.root / "objects", self.root / "tmp", self.spare)

    def prepare(self) -> None:
        """Make the folders that are missing."""
        with disk_errors(f"cannot make a store in {self.root}"):
            for folder in (self.root / "objects", self.cache, self.root / "tmp"):
                folder.mkdir(parents=True, exist_ok=True)
