"""How the dense fp32 terms of skills combine, in plain numpy: added up, or averaged where they agree with a sign."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from storage.encodings.numeric import Floats

SMALLEST_DIVISOR = 1e-8


def add_up(terms: Sequence[Floats]) -> Floats:
    """t₁ + t₂ + …, in order."""
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total


def agreeing(terms: Sequence[Floats]) -> list[np.ndarray]:
    """Where each term has the sign of their sum, an exact zero counting as plus; zeros never agree."""
    positive = add_up(terms) >= 0
    return [(term != 0) & ((term > 0) == positive) for term in terms]


def elect(terms: Sequence[Floats], weights: Sequence[float] | None) -> Floats:
    """The average of what agrees: divided by the count of agreeing terms, or by the sum of their ``weights``."""
    merged = np.zeros_like(terms[0])
    divisor = np.zeros_like(terms[0])
    for place, (term, agrees) in enumerate(zip(terms, agreeing(terms), strict=True)):
        merged = merged + np.where(agrees, term, np.float32(0))
        share = np.float32(1 if weights is None else weights[place])
        divisor = divisor + np.where(agrees, share, np.float32(0))
    divisor = np.where(np.abs(divisor) < np.float32(SMALLEST_DIVISOR), np.float32(1), divisor)
    return merged / divisor
