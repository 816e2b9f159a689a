"""Where work outside of the store is under way: noted in it, so that ``gc`` finds what a kill leaves there.

A file or folder is written beside its place under a name that tells whose it is, and renamed when it is whole.
"""

from __future__ import annotations

import contextlib
import glob
import os
import re
from collections.abc import Iterator
from pathlib import Path

from registry.home import Home
from storage.files import disk_errors, resolved, temporary_path

NOTE = ".note"
"""How the name of a note ends."""

_OURS = re.compile(rb"\.[0-9a-f]{8}\.\d+\.[0-9a-f]{32}\.tmp")


@contextlib.contextmanager
def noted(home: Home, target: Path) -> Iterator[None]:
    """A block in which ``target`` is written by way of something temporary beside it."""
    place = resolved(target.parent) / target.name
    if resolved(home.root) in place.parents:
        yield  # there it is found without
        return
    folder = home.root / "tmp"
    note = temporary_path(folder, "output").with_suffix(NOTE)  # which nobody sweeps away but who has read it
    try:
        with disk_errors(f"cannot write in {folder}"):
            folder.mkdir(exist_ok=True)
            note.write_bytes(os.fsencode(place))
        yield
    finally:
        with contextlib.suppress(OSError):
            note.unlink()


def notes(home: Home) -> list[Path]:
    """What is noted, by whomever."""
    return sorted((home.root / "tmp").glob(f"*{NOTE}"))


def beside(note: Path) -> list[Path]:
    """What lies beside the place that a note tells of under the names of unfinished work, whoever's it is."""
    try:
        place = Path(os.fsdecode(note.read_bytes()))
    except OSError:
        return []
    if not place.is_absolute():  # it was cut short
        return []
    start = os.fsencode(f".{place.name}")
    found = place.parent.glob(f".{glob.escape(place.name)}.*.tmp")
    return sorted(each for each in found if _OURS.fullmatch(os.fsencode(each.name)[len(start) :]))
