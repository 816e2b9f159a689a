"""multislerp: the mean direction of any number of deltas, at their mean length."""

import numpy as np

from merging.methods.method import Coefficients, Method, Products, Spanned
from merging.methods.span import Span, Vector, coefficients, span_of
from storage.errors import InputRefused

_OPPOSED = 1e-8


def _mean(given: Products) -> Coefficients:
    span, shares = span_of(given), np.array(given.weights) / sum(given.weights)
    deltas = [span.delta(skill) for skill in range(span.skills)]
    if not any(span.norm(delta) for delta in deltas):
        return coefficients(np.zeros(span.skills + 1), around_base=True)
    units = [share * span.unit(delta) for share, delta in zip(shares, deltas, strict=True)]
    direction: Vector = sum(units, np.zeros(span.skills + 1))
    length = sum(share * span.norm(delta) for share, delta in zip(shares, deltas, strict=True))
    return coefficients(_directed(span, direction, given.tensor) * length, around_base=True)


def _directed(span: Span, direction: Vector, tensor: str) -> Vector:
    if span.norm(direction) < _OPPOSED:
        raise InputRefused(
            f"multislerp: the skills' deltas of {tensor!r} cancel each other, so they have no mean direction",
            hint="choose other weights, or another method",
        )
    return span.unit(direction)


METHOD = Method(
    "multislerp",
    "the weighted mean direction of the deltas, at their weighted mean length",
    "θ₀ + (Σ wₖ‖δₖ‖)·m/‖m‖, m = Σ wₖ·δₖ/‖δₖ‖, weights normalized",
    "Goddard 2025, https://goddard.blog/posts/multislerp-wow-what-a-cool-idea",
    Spanned(_mean, sums=True),
    needs=frozenset({"unsparsified"}),
    exactness="library",
    skills=(2, None),
)
