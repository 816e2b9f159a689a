"""Files and folders that work which was cut short has left in a store, and that nothing will go on with."""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from registry.home import Home
from registry.outside import NOTE, beside, notes
from storage.files import remove_tree
from storage.locks import held
from storage.processes import is_leftover, is_of_this_host

_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Leftover:
    """A file or folder, the bytes in it, and when it was last changed."""

    path: Path
    bytes: int
    changed_at: datetime

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready values."""
        return {"path": str(self.path), "bytes": self.bytes, "changed_at": self.changed_at.isoformat()}


def leftovers(home: Home, before: datetime) -> Iterator[Leftover]:
    """Temporary files of dead processes, also beside outputs elsewhere that this store was to write, and collections of
    statistics that nothing has changed since ``before``.

    Who on another host is dead nobody can see from here: what is theirs is left over after a day without a change. A
    collection is gone on with by whoever asks for it again.
    """
    yesterday = min(before, datetime.now(UTC) - _DAY)
    for folder in (home.root / "tmp", home.cache, home.backups, home.collecting):
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            temporary = path.suffix.startswith(".tmp")  # or .tmp-journal: what SQLite has beside it
            if not temporary and folder != home.collecting:
                continue
            if not temporary and _is_held(path.with_suffix(".lock")):
                continue
            if path.suffix == ".lock" and path.with_suffix("").exists():
                continue  # it goes with its folder
            found = measured(path)
            if _is_given_up(found, yesterday) if temporary else found.changed_at < before:
                yield found
    for path in notes(home):
        if not _is_given_up(note := measured(path), yesterday):
            continue
        there = [measured(each) for each in beside(path)]
        given_up = [each for each in there if _is_given_up(each, yesterday)]
        yield from given_up
        if len(given_up) == len(there):  # else somebody may still be at it, on another host for days
            yield note


def _is_given_up(found: Leftover, yesterday: datetime) -> bool:
    """Whether something temporary is of a process that is dead, or seems to be."""
    return is_leftover(found.path) or (not is_of_this_host(found.path) and found.changed_at < yesterday)


def clear_up(home: Home, found: Iterable[Leftover]) -> list[Leftover]:
    """Delete leftovers; which were deleted: not what somebody has gone on with since they were found."""
    return [each for each in found if _cleared(home, each)]


def _cleared(home: Home, leftover: Leftover) -> bool:
    path, lock = leftover.path, leftover.path.with_suffix(".lock")
    if path.suffix == NOTE and any(map(is_leftover, beside(path))):
        return False  # what it tells of is still there
    if path.parent != home.collecting or path.suffix.startswith(".tmp"):
        with contextlib.suppress(PermissionError):  # beside an output that is somebody else's
            remove_tree(path)
        return not os.path.lexists(path)
    with contextlib.suppress(FileNotFoundError), held(lock) as ours:  # where the folder of all collections went
        if ours and measured(path) == leftover:
            remove_tree(path)
            lock.unlink(missing_ok=True)
            return True
    return False


def _is_held(lock: Path) -> bool:
    """Whether a process holds the lock of a collection."""
    try:
        descriptor = os.open(lock, os.O_RDONLY)  # a store that can only be read has some too
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def measured(path: Path) -> Leftover:
    """What is in a file or folder; as far as it does not vanish meanwhile."""
    size, newest = 0, 0.0
    with contextlib.suppress(FileNotFoundError):
        for each in (path, *path.rglob("*")):
            found = os.lstat(each)
            size += found.st_size if not stat.S_ISDIR(found.st_mode) else 0
            newest = max(newest, found.st_mtime)
    return Leftover(path, size, datetime.fromtimestamp(newest, UTC))
