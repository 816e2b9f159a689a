"""Where evidence is put: into a file, whole, and never over other evidence."""

from __future__ import annotations

from pathlib import Path

from storage.errors import Conflict, UsageError
from storage.files import disk_errors, write_file


def refuse_place(path: Path) -> None:
    """Raise UsageError for a path that cannot become a file, before anything is done."""
    if path.is_dir() or not path.absolute().parent.is_dir():
        what = "is a folder" if path.is_dir() else f"cannot be: there is no folder {path.absolute().parent}"
        raise UsageError(f"{path} {what}", hint="name a file in a folder that is there")


def put(path: Path, data: bytes) -> None:
    """Write evidence durably. Raises Conflict where something else has this name."""
    with disk_errors(f"cannot read {path}"):
        if path.exists() and path.read_bytes() == data:
            return
    if path.exists():
        raise Conflict(f"{path} exists already, and holds something else", hint="choose another file, or delete it")
    write_file(path.absolute(), data)
