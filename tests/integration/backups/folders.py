"""What is in a folder of a backup or a store, to be looked at and damaged."""

from __future__ import annotations

from pathlib import Path


def objects_of(folder: Path) -> list[Path]:
    return sorted(path for path in (folder / "objects").rglob("*") if path.is_file())


def path_of(folder: Path, digest: str) -> Path:
    (found,) = (folder / "objects").rglob(digest.partition(":")[2])
    return found


def flip(folder: Path, digest: str) -> None:
    path = path_of(folder, digest)
    path.chmod(0o644)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
