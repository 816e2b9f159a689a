"""Where lost bytes may still be found: copies that somebody names, and the folders that versions came from."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from storage.blobs import hash_file
from storage.errors import MergestoreError, NotFound
from storage.files import disk_failure, is_shortage


class Copies:
    """Files under some folders, by size; those of a size that is asked for are read until one is the object."""

    def __init__(self, folders: Iterable[Path]):
        """Raises NotFound for a folder or file that is not there."""
        self._by_size: dict[int, list[Path]] = {}
        self._digests: dict[Path, str] = {}
        for folder in folders:
            if not folder.exists():
                raise NotFound(f"there is no copy at {folder}", hint="name a folder, a file, or another store's folder")
            for path in _files(folder):
                self._by_size.setdefault(path.stat().st_size, []).append(path)

    def find(self, digest: str, size: int) -> Path | None:
        """A file that holds the object of this digest."""
        found = self._by_size.get(size, [])
        # In a copy of a store it has its name; nothing else need be read then.
        for path in sorted(found, key=lambda path: path.name != digest.partition(":")[2]):
            if self._digest(path) == digest:
                return path
        return None

    def _digest(self, path: Path) -> str:
        if path not in self._digests:
            try:
                self._digests[path] = hash_file(path).digest
            except MergestoreError as error:  # what cannot be read is no copy
                if is_shortage(error):
                    raise
                self._digests[path] = ""
        return self._digests[path]


def origins(sources: Mapping[str, str | None], version: str, path: str) -> Path | None:
    """The file of a version in the folder that it was registered from, if that is still there."""
    source = sources.get(version)
    place = Path(source or "")
    if not place.is_absolute():
        return None
    with contextlib.suppress(PermissionError):  # where nobody may look is no copy
        file = place / path if place.is_dir() else place
        return file if file.is_file() else None
    return None


def _files(folder: Path) -> Iterable[Path]:
    if folder.is_file():
        yield folder
        return
    for place, _, names in os.walk(folder, onerror=_end_if_short):
        for name in names:
            path = Path(place, name)
            with contextlib.suppress(PermissionError):
                if path.is_file() and not path.is_symlink():
                    yield path


def _end_if_short(error: OSError) -> None:
    if is_shortage(error):
        raise disk_failure(error, f"cannot read {error.filename}")
