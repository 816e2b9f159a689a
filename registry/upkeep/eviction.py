"""The cache of results kept within a size: those that were not used for longest go first."""

from __future__ import annotations

import contextlib
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
        gone = drop(context, each.path) if apply else True
        if gone is None:  # by somebody else, since it was looked at
            surplus -= each.bytes
        elif gone:
            surplus -= each.bytes
            told.append(each.to_dict("evicted" if apply else "to be evicted"))
    return told


def drop(context: Context, path: Path) -> bool | None:
    """Delete a result from the cache: whether it was, which it is not while somebody is at it; None if it is gone."""
    with if_free(context.engine, in_cache(f"sha256:{path.name}")) as free:
        if not free:
            return False
        # Out of sight in one step: a result is there whole, or not at all.
        aside = temporary_path(path.parent, "evicted")
        try:
            path.rename(aside)
        except FileNotFoundError:
            return None
        fsync_path(path.parent)
        remove_tree(aside)
        return True


def _cached(folder: Path) -> Iterator[Cached]:
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.is_dir() and not path.name.endswith(".tmp"):
            with contextlib.suppress(FileNotFoundError):  # another process evicts it, or puts another in its place
                used = os.lstat(path).st_mtime_ns
                yield Cached(path, sum(os.lstat(each).st_size for each in path.rglob("*")), used)
