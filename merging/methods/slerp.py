"""slerp: along the sphere between two models."""

from merging.methods.method import Coefficients, Method, Products, Spanned
from merging.methods.span import coefficients, span_of


def _between(given: Products) -> Coefficients:
    span, weights = span_of(given), given.weights
    if span.skills == 1:
        return coefficients(span.between(span.model(None), span.model(0), weights[0]), around_base=False)
    share = weights[1] / (weights[0] + weights[1])
    return coefficients(span.between(span.model(0), span.model(1), share), around_base=False)


METHOD = Method(
    "slerp",
    "spherical interpolation from the base to a fine-tuned model, or between two of them",
    "(sin((1−t)Ω)·θ₁ + sin(tΩ)·θ₂)/sin Ω, Ω the angle between them; t = w of one skill, w₂/(w₁+w₂) of two",
    "Shoemake 1985, https://doi.org/10.1145/325334.325242",
    Spanned(_between, sums=True),
    needs=frozenset({"unsparsified"}),
    exactness="library",
    skills=(1, 2),
)
