"""Paths as they are given: what no file can be called is refused before any work, in the same words everywhere."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from storage.errors import UsageError

_LONGEST, _LONGEST_NAME = 4095, 255  # bytes: Linux's PATH_MAX less its NUL, and NAME_MAX
_SHOWN = 60


def as_path(given: str | os.PathLike[str]) -> Path:
    """A path that can be used, told as JSON and put on record. Raises UsageError for one that cannot: it must be UTF-8,
    without NUL, of names of 255 bytes at most and 4,095 bytes in all.
    """
    text = os.fspath(given) if isinstance(given, str | os.PathLike) else given
    if not isinstance(text, str):
        raise UsageError(f"{given!r} cannot be a path here", hint="give a str or a pathlib.Path")
    try:
        encoded = text.encode()
    except UnicodeEncodeError as error:
        raise _refused(text, "it is not UTF-8") from error
    if not text:
        raise UsageError("an empty path is none", hint="write . for the current folder")
    if b"\0" in encoded:
        raise _refused(text, "it holds the character NUL")
    if len(encoded) > _LONGEST or any(len(name) > _LONGEST_NAME for name in encoded.split(b"/")):
        raise _refused(text, "it is too long")
    return Path(text)


def as_paths(what: str, given: Iterable[str | os.PathLike[str]]) -> list[Path]:
    """Paths that can be used, of a list. Raises UsageError for what is none, as one path alone."""
    if isinstance(given, str | bytes | os.PathLike) or not isinstance(given, Iterable):
        raise UsageError(f"{what} cannot be {given!r}", hint="give a list of paths, also where it is one")
    return [as_path(each) for each in given]


def _refused(text: str, why: str) -> UsageError:
    shown = ascii(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")
    hint = f"paths are UTF-8 text; a name in them has {_LONGEST_NAME} bytes at most"
    return UsageError(f"{shown} cannot be a path here: {why}", hint=hint)
