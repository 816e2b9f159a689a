"""What may be asked of each kind of thing, and what is no question."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields

from registry.records.names import is_storable
from registry.records.tables import ENCODINGS, STATES
from storage.errors import UsageError

KINDS = ("bases", "skills", "merges", "materializations", "events")
LARGEST_PAGE = 1000
_LARGEST = 2**63 - 1  # of numbers in a database
_WORDS = {"state": STATES, "encoding": ENCODINGS, "never": ("materialized", "evaluated")}


@dataclass(frozen=True)
class Filters:
    """What is asked for; None asks nothing. Names are references; ``since`` and ``until`` are ISO dates or moments.

    ``contains``: a version that goes into it, directly or through others. ``never``: materialized or evaluated.
    ``licence``: alone or within an expression; of a merge, stated by what goes into it; NOASSERTION for none.
    ``software``: the version of mergestore that computed it. ``meta``: what was said of a training.
    """

    contains: str | None = None
    base: str | None = None
    method: str | None = None
    encoding: str | None = None
    seed: int | None = None
    licence: str | None = None
    state: str | None = None
    never: str | None = None
    software: str | None = None
    device: str | None = None
    action: str | None = None
    subject: str | None = None
    by: str | None = None
    since: str | None = None
    until: str | None = None
    meta: Mapping[str, str] = field(default_factory=dict)


_TAKES = {
    "bases": {"licence", "state", "by", "since", "until", "meta", "contains"},
    "skills": {"base", "encoding", "seed", "licence", "state", "by", "since", "until", "meta", "contains"},
    "merges": {
        *("contains", "base", "method", "seed", "licence", "state", "never", "software", "by", "since", "until")
    },
    "materializations": {"contains", "method", "software", "device", "by", "since", "until"},
    "events": {"action", "subject", "by", "since", "until"},
}


def check(kind: str, filters: Filters, limit: int, page: int) -> None:
    """Raise UsageError for what cannot be asked."""
    if kind not in KINDS:
        raise UsageError(f"{kind!r} is nothing that can be asked for", hint=f"choose one of {', '.join(KINDS)}")
    given = {each.name: getattr(filters, each.name) for each in fields(filters)}
    given = {name: value for name, value in given.items() if value is not None and value != {}}
    if odd := sorted(given.keys() - _TAKES[kind]):
        takes = ", ".join(f"--{name}" for name in sorted(_TAKES[kind]))
        raise UsageError(f"--{odd[0]} says nothing of {kind}", hint=f"{kind} are chosen by {takes}")
    for name, value in given.items():
        if isinstance(value, str) and not value.strip():
            raise UsageError(f"--{name} is empty", hint="say what it should be, or leave it out")
        if not all(map(is_storable, _texts(value))):
            raise UsageError(f"--{name} holds what no record can: NUL, or bytes that are not UTF-8")
        if name in _WORDS and value not in _WORDS[name]:
            raise UsageError(f"--{name} {value!r} is none", hint=f"choose {' or '.join(_WORDS[name])}")
    if filters.seed is not None and not 0 <= filters.seed <= _LARGEST:
        raise UsageError(f"--seed {filters.seed} is none", hint="seeds are 0 to 2^63 - 1")
    if not 1 <= limit <= LARGEST_PAGE:
        raise UsageError(f"a page of {limit} rows is none", hint=f"--limit is 1 to {LARGEST_PAGE}")
    if not 1 <= page <= _LARGEST // LARGEST_PAGE:
        raise UsageError(f"there is no page {page}", hint="pages are counted from 1, which has the newest")


def _texts(value: object) -> list[str]:
    if isinstance(value, Mapping):
        return [str(part) for pair in value.items() for part in pair]
    return [value] if isinstance(value, str) else []
