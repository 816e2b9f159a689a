"""Which folders a model may be written to: none that holds anything but a model of ours, and only where it fits."""

from __future__ import annotations

import os
from pathlib import Path

from registry import publishing
from registry.directories import read_manifest
from registry.home import Home
from storage.errors import Conflict, EnvironmentFailure, IntegrityFailure, UsageError
from storage.files import resolved


def refuse_output(home: Home, output: Path, *, force: bool) -> None:
    """Raise where writing a model to ``output`` would take something away. Conflict: it exists, and cannot be replaced.

    UsageError: a place that is never replaced.
    """
    if not force and (output.exists() or output.is_symlink()):
        raise Conflict(f"{output} exists already", hint="choose another folder, or pass --force to replace it")
    _refuse_kept(home, output)
    _refuse_foreign(output)


def _refuse_kept(home: Home, output: Path) -> None:
    """Nothing may take the place of the store or a part of it, of the working folder, of one's home or of a disk."""
    root, place = resolved(home.root), resolved(output)
    if place == root or root in place.parents or place in root.parents:
        raise UsageError(f"{output} lies in the store {root}, or holds it", hint="choose a folder outside of the store")
    for kept, what in ((Path.cwd(), "the working folder"), (Path.home().resolve(), "the home folder")):
        if place == kept or place in kept.parents:
            raise UsageError(f"{output} is {what}, or holds it", hint="name the new folder to write")
    if place.is_mount():
        raise UsageError(f"{output} is where a disk is mounted", hint=f"name a new folder in it: {output / 'model'}")


def _refuse_foreign(output: Path) -> None:
    """What --force replaces is an empty folder or a published model: never work that cannot be had again."""
    if os.path.lexists(output) and (output.is_symlink() or not output.is_dir() or _foreign(output)):
        raise Conflict(
            f"{output} exists and is not, or not only, a model that mergestore published",
            hint="--force replaces published models only: choose another folder, or delete this one yourself",
        )


def _foreign(folder: Path) -> list[str]:
    """What a folder holds beside the files of a published model."""
    if not any(folder.iterdir()):
        return []
    try:
        return publishing.strange_files(folder, read_manifest(folder))
    except (IntegrityFailure, UsageError):
        return [publishing.MANIFEST]


def require_space(needed: int, target: Path) -> None:
    """Raise EnvironmentFailure where the disk of ``target`` has no room for so many bytes."""
    free = publishing.free_space(target.parent)
    if needed > free:
        raise EnvironmentFailure(
            f"no space left for {target}: {needed:,} bytes are needed, {free:,} are free",
            hint="free some space, or choose another disk with -o",
        )
