"""What is meant by a target that names nothing in the store: a folder, or else which mistake."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from registry.records.names import parse_reference
from storage.errors import MergestoreError, NotFound, UsageError

_MANIFEST = "mergestore.json"  # said here too: this is asked at every start, without what publishing stands on


def folder_instead(target: str | Path, refusal: MergestoreError) -> Path:
    """The folder that a target is which names nothing. Raises what is wrong with one that is none, or the refusal."""
    text = str(target)
    _refuse_mistakes(text)
    if not _is_folder(text):
        raise refusal
    return Path(text)


def published_folder(target: str) -> Path | None:
    """The published folder that a target is, where there is no store to ask; None for what may be a name.

    Raises UsageError or NotFound for what is a path, and of no such folder.
    """
    _refuse_mistakes(target)
    if os.path.lexists(Path(target, _MANIFEST)) or (_is_folder(target) and not _is_name(target)):
        return Path(target)
    return None


def _refuse_mistakes(text: str) -> None:
    if not text.strip():
        raise UsageError("no model is named", hint="name a version, a published folder, or a digest")
    if _is_folder(text) or _is_name(text):
        return
    if _mode(text) is not None:
        raise UsageError(f"{text} is a file", hint="name the folder that it lies in")
    if "/" in text:
        raise NotFound(f"there is no folder {text}", hint="check the path; names have one '/' at most, and no './'")


def _is_folder(text: str) -> bool:
    return stat.S_ISDIR(_mode(text) or 0)


def _mode(text: str) -> int | None:
    """What a path leads to; None for nothing, and for what no path can be."""
    try:
        return Path(text).stat().st_mode
    except (OSError, ValueError):
        return None


def _is_name(text: str) -> bool:
    try:
        parse_reference(text)
    except UsageError:
        return False
    return True
