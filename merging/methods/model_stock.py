"""model_stock: from the base towards the average, as far as the angle between the deltas says."""

import itertools

from merging.methods.method import Coefficients, Method, Products, Spanned
from merging.methods.span import span_of

_SINGULAR = 1e-6


def _stock(given: Products) -> Coefficients:
    span = span_of(given)
    units = [span.unit(span.delta(skill)) for skill in range(span.skills)]
    pairs = list(itertools.combinations(units, 2))
    cosine = sum(span.dot(one, other) for one, other in pairs) / len(pairs)
    divisor = 1 + (span.skills - 1) * cosine
    # Deltas that cancel out tell nothing of where the centre is: the base stays.
    t = span.skills * cosine / divisor if abs(divisor) >= _SINGULAR else 0.0
    return Coefficients(1.0, (t / span.skills,) * span.skills)


METHOD = Method(
    "model_stock",
    "from the base towards the average of the models, as far as the angle between their deltas says",
    "θ₀ + t·mean δₖ, t = N cos θ/(1 + (N−1) cos θ), cos θ the mean over all pairs, per tensor",
    "Jang et al. 2024, https://arxiv.org/abs/2403.19522",
    Spanned(_stock),
    needs=frozenset({"unsparsified"}),
    weighted=False,
    skills=(2, None),
)
