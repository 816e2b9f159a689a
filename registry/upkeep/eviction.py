"""The cache of results kept within a size: those that were not used for longest go first."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from registry.cache import in_cache
from registry.records.alone import if_free
from registry.wish import Context
from storage.files import fsync_path, remove_tree, temporary_path


@dataclass(frozen=True)
class Cached:
    """A result in the cache: the bytes it takes, and when it was last used, in nanoseconds since the epoch."""

    path: Path
    bytes: int
    used: int

    @property
    def recipe(self) -> str:
        """The digest of its recipe."""
        return f"sha256:{self.path.name}"

    def to_dict(self, state: str) -> dict[str, Any]:
        """As JSON-ready values."""
        return {"path": str(self.path), "bytes": self.bytes, "state": state}


def cached(folder: Path) -> list[Cached]:
    """The results in the cache, those first that were not used for longest."""
    return sorted(_cached(folder), key=lambda each: (each.used, each.path.name))


def evict(context: Context, limit: int, *, apply: bool) -> list[dict[str, Any]]:
    """Delete results, those that were not used for longest first, until the cache takes ``limit`` bytes at most.

    One that a process is writing or reading out just now stays. What goes is computed again when it is asked for.
    """
    there = cached(context.home.cache)
    surplus = sum(each.bytes for each in there) - limit
    told = []
    for each in there:
        if surplus <= 0:
            break
        gone = not apply or _deleted(context, each)
        if gone:
            surplus -= each.bytes
            told.append(each.to_dict("evicted" if apply else "to be evicted"))
    return told


def _deleted(context: Context, each: Cached) -> bool:
    with if_free(context.engine, in_cache(each.recipe)) as free:
        if free:
            # Out of sight in one step: a result is there whole, or not at all.
            aside = temporary_path(each.path.parent, "evicted")
            each.path.rename(aside)
            fsync_path(each.path.parent)
            remove_tree(aside)
        return free


def _cached(folder: Path) -> Iterator[Cached]:
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.is_dir() and not path.name.endswith(".tmp"):
            files = [os.lstat(each) for each in path.rglob("*")]
            yield Cached(path, sum(each.st_size for each in files), os.lstat(path).st_mtime_ns)
