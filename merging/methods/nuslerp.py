"""nuslerp: along the sphere between two deltas."""

from merging.methods.method import Coefficients, Method, Products, Spanned
from merging.methods.span import coefficients, span_of


def _between(given: Products) -> Coefficients:
    span, (one, other) = span_of(given), given.weights
    return coefficients(span.between(span.delta(0), span.delta(1), other / (one + other)), around_base=True)


METHOD = Method(
    "nuslerp",
    "spherical interpolation between the deltas of two skills",
    "θ₀ + (sin((1−t)Ω)·δ₁ + sin(tΩ)·δ₂)/sin Ω, Ω the angle between them, t = w₂/(w₁+w₂)",
    "mergekit, https://github.com/arcee-ai/mergekit",
    Spanned(_between, sums=True),
    needs=frozenset({"unsparsified"}),
    exactness="library",
    skills=(2, 2),
)
