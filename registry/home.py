"""The folders of a store: objects, cache and temporary files under one home."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from storage.blobs import BlobStore
from storage.files import disk_errors, folder_of_this_process, make_folder
from storage.objects.contract import Objects

if TYPE_CHECKING:
    from storage.objects.bucket import Bucket


@dataclass(frozen=True)
class Home:
    """Where a store's bytes lie. ``objects`` are immutable; ``cache`` can be emptied at any time."""

    root: Path
    spare: Callable[[str], None] | None = None
    """Called with the digest of an object that a new record will rely on, before it is looked for."""
    quota: int | None = None
    """How many bytes of objects may be on record, as this process was told; the store may have a quota of its own."""

    storage: str | None = None
    """The object storage that holds the objects, as ``s3://bucket/prefix``; None: they lie in this folder."""

    cache_limit: int | None = None
    """Bytes that copies of remote objects take in this folder at most, unless the usual is meant."""

    claim: Callable[[Bucket], None] | None = None
    """Called before the first object is stored in an object storage: Conflict where that is another store's."""

    @property
    def cache(self) -> Path:
        """Materialized models, one folder a recipe."""
        return self.root / "cache"

    def cached(self, recipe_digest: str) -> Path:
        """The folder of a recipe's result in the cache."""
        return self.cache / recipe_digest.removeprefix("sha256:")

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
    def tracking(self) -> Path:
        """MLflow's database of this store, where provenance goes unless a server or another database is named."""
        return self.root / "mlflow.db"

    @property
    def policy(self) -> Path:
        """The policy that always holds here, where there is one."""
        return self.root / "policy.yaml"

    @property
    def movable(self) -> tuple[Path, ...]:
        """The folders between which files are moved, ``tmp`` first. Not each of them is there yet."""
        own = self.root / "objects"
        objects = (own, own / "blake3", self.quarantine) if self.storage is None else (self.root / "objects-cache",)
        return (self.root / "tmp", *objects)

    @property
    def written(self) -> tuple[Path, ...]:
        """The folders in which something is made. Not each of them is there yet."""
        return (self.root, *self.movable, self.cache, self.collecting, self.backups)

    @cached_property
    def blobs(self) -> Objects:
        """The immutable objects."""
        if self.storage is None:
            return BlobStore(self.root / "objects", self.root / "tmp", self.spare)
        from storage.objects.bucket import Bucket
        from storage.objects.read_cache import LIMIT, ReadCache
        from storage.objects.remote import RemoteObjects

        copies, temporary = self.root / "objects-cache", self.root / "tmp"
        if not all(os.access(folder, os.W_OK) for folder in (self.root, copies, temporary) if folder.exists()):
            own = folder_of_this_process()
            copies, temporary = own / "objects-cache", own / "tmp"
        cache = ReadCache(copies, self.cache_limit or LIMIT)
        return RemoteObjects(Bucket(self.storage), cache, temporary, self.spare, self.claim)

    def prepare(self) -> None:
        """Make the folders that are missing."""
        with disk_errors(f"cannot make a store in {self.root}"):
            own = [self.root / "objects"] if self.storage is None else []
            for folder in (*own, self.cache, self.root / "tmp"):
                make_folder(folder)
