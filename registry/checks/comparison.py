"""The interference of a merge's skills as an answer: by reference instead of by place, group by group."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from merging.passes.interference import WHOLE, Interference, Overlap


def compared(found: Interference, names: Sequence[str], *, adds: bool = True) -> dict[str, Any]:
    """``names``: the skills' references, in the recipe's order. ``adds``: the deltas are added up, and may cancel.

    {skills, estimated (of those that were dropped), whole, groups}; a group is {name, elements, norms by skill, pairs,
    cancelled, unrelated}, a pair {one, other, cosine, error, agreement, overlap}.
    """
    return {
        "skills": list(names),
        "estimated": [name for name, estimated in zip(names, found.estimated, strict=True) if estimated],
        "whole": _group(WHOLE, found.whole, names, adds=adds),
        "groups": [_group(label, group, names, adds=adds) for label, group in found.groups],
    }


def pairs(count: int) -> list[tuple[int, int]]:
    """Every two of so many skills once, in order."""
    return [(one, other) for one in range(count) for other in range(one + 1, count)]


def _group(label: str, group: Overlap, names: Sequence[str], *, adds: bool) -> dict[str, Any]:
    return {
        "name": label,
        "elements": group.elements,
        "norms": {name: group.norm(place) for place, name in enumerate(names)},
        "pairs": [
            {
                "one": names[one],
                "other": names[other],
                "cosine": group.cosine(one, other),
                "error": group.error(one, other),
                "agreement": group.agreement(one, other),
                "overlap": group.overlap(one, other),
            }
            for one, other in pairs(len(names))
        ],
        "cancelled": group.cancelled() if adds else None,
        "unrelated": group.unrelated() if adds else None,
    }
