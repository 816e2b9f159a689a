"""Numbers as people read them: sizes in decimal units, counts, durations, digests cut short."""

from __future__ import annotations

import re
from datetime import timedelta

from mergestore import UsageError
from storage.sizes import parse_quota as parse_quota
from storage.sizes import parse_size as parse_size

_SCALES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*([smhd]?)", re.IGNORECASE)
_LONGEST = 1000 * 365 * 86400
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def size_text(size: float) -> str:
    """Bytes in decimal units: ``90900000`` is ``90.9 MB``."""
    return f"{_scaled(size)}B"


def count_text(count: float) -> str:
    """A count in thousands, millions or billions: ``22700000`` is ``22.7 M``."""
    return _scaled(count).rstrip()


def number_text(count: int, things: str) -> str:
    """So many of what is named in the plural: ``1 skill``, ``1,200 skills``, ``1 policy``."""
    one = f"{things[:-3]}y" if things.endswith("ies") else things if things == "statistics" else things[:-1]
    return f"{count:,} {one if count == 1 else things}"


def seconds_text(seconds: float) -> str:
    """A duration with the precision a person needs: ``0.42 s``, ``12.3 s``, ``3 min 5 s``, ``14 days 0 h``."""
    if seconds < 10:
        return f"{seconds:.2f} s"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 48 else f"{hours // 24} days {hours % 24} h"


def time_text(moment: str) -> str:
    """An ISO time in UTC to the second: ``2026-11-21 07:42:17 UTC``."""
    return f"{moment[:19].replace('T', ' ')} UTC"


def digest_text(digest: str | None) -> str:
    """The prefix and the first twelve digits of a digest; whole digests are in ``--json`` and ``show``."""
    algorithm, _, digits = (digest or "").partition(":")
    return f"{algorithm}:{digits[:12]}" if digits else algorithm


def parse_duration(text: str) -> timedelta:
    """A duration from ``90s``, ``30m``, ``12h`` or ``14d``; ``0`` is none at all."""
    found = _DURATION.fullmatch(text.strip())
    if found is None or (not found[2] and float(found[1])):
        raise UsageError(f"{text!r} is not a duration", hint="Write a number and a unit: 90s, 30m, 12h, 14d.")
    seconds = float(found[1]) * _SECONDS.get(found[2].lower(), 0)
    if seconds > _LONGEST:
        raise UsageError(f"{text!r} is longer than {_LONGEST // (365 * 86400)} years", hint="Write a shorter one: 14d.")
    return timedelta(seconds=seconds)


def _scaled(value: float) -> str:
    for scale, letter in _SCALES:
        if value >= scale:
            return f"{value / scale:.3g} {letter}" if value < 1000 * scale else f"{value / scale:.0f} {letter}"
    return f"{value:.0f} "
