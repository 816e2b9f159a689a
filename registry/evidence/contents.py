"""The files of a published folder as they are now, by SHA-256."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

from registry.directories import is_inside
from storage.files import disk_errors, open_to_read
from storage.pipeline import run_all, thread_count
from storage.progress import Progress

_READ = 8 << 20


def file_digests(folder: Path, names: Iterable[str], progress: Progress) -> dict[str, str]:
    """``sha256:…`` of files of a folder, several at once; what is not there, or no plain file of it, is left out."""
    there = [name for name in sorted(names) if _is_there(folder, folder / name)]
    found: dict[str, str] = {}

    def work(name: str) -> None:
        found[name] = _hashed(folder / name, progress)

    progress.start(f"SHA-256 of {folder}", sum((folder / name).stat().st_size for name in there))
    try:
        run_all(work, there, thread_count(None))
    finally:
        progress.finish()
    return dict(sorted(found.items()))


def _is_there(folder: Path, path: Path) -> bool:
    try:
        return is_inside(folder, path)
    except (OSError, ValueError):
        return False


def _hashed(path: Path, progress: Progress) -> str:
    hasher, buffer = hashlib.sha256(), bytearray(_READ)
    with disk_errors(f"cannot read {path}"), os.fdopen(open_to_read(path), "rb", buffering=0) as file:
        while count := file.readinto(buffer):
            hasher.update(memoryview(buffer)[:count])
            progress.advance(count)
    return "sha256:" + hasher.hexdigest()
