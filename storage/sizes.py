"""Sizes as people write them, and as programs give them."""

from __future__ import annotations

import re

from storage.errors import UsageError

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?", re.IGNORECASE)
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}
_MOST = (1 << 53) - 1  # of a whole number in JSON


def parse_size(text: str) -> int:
    """Bytes from ``5GB``, ``500MB``, ``2GiB`` or a plain number. Raises UsageError."""
    found = _SIZE.fullmatch(text.strip())
    size = int(float(found[1]) * (1024 if found[3] else 1000) ** _POWERS[found[2].lower()]) if found else 0
    if found and size < 1:
        raise UsageError(f"{text!r} is not a size that can be had here", hint="The smallest is one byte: 1.")
    if not found:
        raise UsageError(f"{text!r} is not a size", hint="Write a number and a unit: 500MB, 5GB, 2GiB, or plain bytes.")
    return size


def parse_quota(text: str | None) -> int | None:
    """Bytes from a size, 0 for ``0``, None where nothing was said."""
    if text is None or text.strip() == "0":
        return None if text is None else 0
    if (size := parse_size(text)) > _MOST:
        raise UsageError(f"{text!r} is more than {_MOST:,} bytes", hint="write a smaller one, or 0 for none")
    return size


def check_bytes(what: str, given: object, *, least: int = 0) -> None:
    """Raise UsageError where a program gives no number of bytes that can be meant: whole, and ``least`` at least."""
    if isinstance(given, bool) or not isinstance(given, int) or not least <= given <= _MOST:
        hint = f"give bytes as a whole number from {least} on, such as 5_000_000_000"
        raise UsageError(f"{what} cannot be {given!r}", hint=hint)
