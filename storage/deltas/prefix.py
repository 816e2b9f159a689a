"""How the names in one checkpoint become those in another: by one prefix, the same for every tensor."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from storage.checkpoints.tensors import listed, quoted
from storage.errors import InputRefused

_DEEPEST = 8  # segments that a prefix may have


@dataclass(frozen=True, order=True)
class Prefix:
    """``added``: what the fine-tune's names have before the base's; ``removed``: what the base's have before its."""

    added: str = ""
    removed: str = ""

    def fine_tuned(self, base_name: str) -> str | None:
        """What the fine-tune calls a tensor of the base; None when it can have no name for it."""
        if not base_name.startswith(self.removed):
            return None
        return self.added + base_name[len(self.removed) :]

    def describe(self) -> str:
        """The prefix in words."""
        if self.added:
            return f"the fine-tune's names begin with {quoted(self.added)}, the base's do not"
        if self.removed:
            return f"the base's names begin with {quoted(self.removed)}, the fine-tune's do not"
        return "the names are equal"


def find_prefix(base: Collection[str], fine_tuned: Collection[str]) -> Prefix | None:
    """The prefix under which most tensors of the base are found; None when nothing is found under any.

    Raises InputRefused when some tensors are found only under another prefix than the others, or when two prefixes
    serve equally well (a model of two towers, say); equal names then go before a prefix.
    """
    counts = _candidates(base, fine_tuned)
    if not counts:
        return None
    most = max(counts.values())
    best, *others = sorted(prefix for prefix, count in counts.items() if count == most)
    if others and best != Prefix():
        raise InputRefused(
            f"the fine-tune holds the base {len(others) + 1} times: {best.describe()}; {others[0].describe()}",
            hint="save the part that is meant as a model of its own",
        )
    _refuse_mixture(base, fine_tuned, best, counts)
    return best


def _candidates(base: Collection[str], fine_tuned: Collection[str]) -> Counter[Prefix]:
    counts: Counter[Prefix] = Counter()
    base_names, names = frozenset(base), frozenset(fine_tuned)
    counts[Prefix()] = len(base_names & names)
    for name in names:
        counts.update(Prefix(added=head) for head, tail in _splits(name) if tail in base_names)
    for name in base_names:
        counts.update(Prefix(removed=head) for head, tail in _splits(name) if tail in names)
    return +counts


def _splits(name: str) -> Iterator[tuple[str, str]]:
    at = -1
    for _ in range(_DEEPEST):
        at = name.find(".", at + 1)
        if at < 0:
            return
        yield name[: at + 1], name[at + 1 :]


def _refuse_mixture(base: Collection[str], fine_tuned: Collection[str], best: Prefix, counts: Counter[Prefix]) -> None:
    names = frozenset(fine_tuned)
    used = {best.fine_tuned(name) for name in base} & names
    free = names - used
    strays = {
        name: other
        for name in sorted(base)
        if best.fine_tuned(name) not in used
        for prefix in sorted(counts)
        if (other := prefix.fine_tuned(name)) in free
    }
    if strays:
        raise InputRefused(
            f"names do not correspond in one way: {best.describe()} ({counts[best]} tensors), "
            f"but {listed(f'{name} is {other}' for name, other in strays.items())}",
            hint="rename the fine-tune's tensors so that one prefix, or none, holds for all",
            details={"tensors": sorted(strays)},
        )
