"""Where evidence is put: into a file, whole, and never over other evidence."""

from __future__ import annotations

import os
from pathlib import Path

from registry.evidence.envelope import LARGEST
from registry.publishing import MANIFEST
from storage.errors import Conflict, UsageError
from storage.files import disk_errors, open_to_read, resolved, write_file


def refuse_place(path: Path) -> None:
    """Raise UsageError for a path that cannot become a file, before anything is done."""
    if path.is_dir() or not path.absolute().parent.is_dir():
        what = "is a folder" if path.is_dir() else f"cannot be: there is no folder {path.absolute().parent}"
        raise UsageError(f"{path} {what}", hint="name a file in a folder that is there")


def refuse_other_folder(path: Path, folder: Path, target: object) -> None:
    """Raise UsageError where evidence about one published folder, which ``target`` means, would go into another."""
    holders = (parent for parent in resolved(path).parents if (parent / MANIFEST).is_file())
    other = next(holders, None)
    if other is not None and other != folder.resolve():
        raise UsageError(
            f"{path} lies in another published folder than the one that {target} means, {folder}",
            hint=f"to attest what it lies in: mergestore attest {other}; or choose a file elsewhere",
        )


def held(path: Path) -> bytes | None:
    """What a file holds already, as far as evidence can be as long; None where there is none."""
    if not path.exists():
        return None
    with disk_errors(f"cannot read {path}"), os.fdopen(open_to_read(path), "rb") as file:
        return file.read(LARGEST + 1)


def other_content(path: Path, hint: str = "choose another file, or delete it") -> Conflict:
    """The Conflict of a file that has the name, and other content."""
    return Conflict(f"{path} exists already, and holds something else", hint=hint)


def put(path: Path, data: bytes, over: bytes | None = None) -> None:
    """Write evidence durably, whole or not at all. Raises Conflict where the file holds anything but ``over``."""
    there = held(path)
    if there == data:
        return
    if there != over:
        raise other_content(path)
    write_file(path.absolute(), data)
