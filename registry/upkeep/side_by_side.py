"""What lies somewhere beside what should: two streams of objects in order of digests, neither held in memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from heapq import merge
from itertools import groupby
from operator import itemgetter

Sizes = Iterable[tuple[str, int]]
"""Objects in order of digests, and the bytes of each."""


def side_by_side(ones: Sizes, others: Sizes) -> Iterator[tuple[str, int | None, int | None]]:
    """Each digest that either has, once, and its size in the one and in the other; None where it is not there."""
    both = merge(((digest, 0, size) for digest, size in ones), ((digest, 1, size) for digest, size in others))
    for digest, found in groupby(both, key=itemgetter(0)):
        known = {side: size for _, side, size in found}
        yield digest, known.get(0), known.get(1)
