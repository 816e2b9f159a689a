"""karcher: the Riemannian mean of models on the sphere."""

import math

import numpy as np

from merging.methods.method import Coefficients, Method, Products, Spanned
from merging.methods.parameters import Parameter
from merging.methods.span import Span, Vector, coefficients, span_of
from storage.errors import InputRefused

_MAX_ITER = Parameter("max_iter", 10, "most steps towards the mean", 1, 10_000)
_TOLERANCE = Parameter("tol", 1e-5, "length of a step that ends the search", 0.0, 1.0)


def _mean(given: Products) -> Coefficients:
    span = span_of(given)
    models = [span.model(skill) for skill in range(span.skills)]
    norms = [span.norm(model) for model in models]
    weighed = zip(given.weights, models, norms, strict=True)
    points = [(weight, span.unit(model)) for weight, model, norm in weighed if norm]
    if not points:
        return coefficients(models[0], around_base=False)  # nothing but zeros
    total = math.fsum(given.weights)
    length = math.fsum(weight * norm for weight, norm in zip(given.weights, norms, strict=True)) / total
    mean = _search(span, points, int(given.parameters["max_iter"]), float(given.parameters["tol"]), given.tensor)
    return coefficients(length * mean, around_base=False)


def _search(span: Span, points: list[tuple[float, Vector]], most: int, tolerance: float, tensor: str) -> Vector:
    total = math.fsum(weight for weight, _ in points)
    start: Vector = sum((weight / total * point for weight, point in points), np.zeros(span.skills + 1))
    if span.norm(start) < 1e-12:
        raise InputRefused(
            f"karcher: the models' {tensor!r} cancel each other, so they have no mean direction",
            hint="choose other weights, or another method",
        )
    mean = span.unit(start)
    for _ in range(most):
        step: Vector = sum((weight / total * _towards(span, mean, point) for weight, point in points), 0 * mean)
        size = span.norm(step)
        if size <= tolerance:
            break
        mean = span.unit(math.cos(size) * mean + math.sin(size) / size * step)
    return mean


def _towards(span: Span, mean: Vector, point: Vector) -> Vector:
    """The tangent at ``mean`` that leads to ``point`` (the logarithm on the sphere)."""
    across = point - span.dot(mean, point) * mean
    size = span.norm(across)
    return across * (math.atan2(size, span.dot(mean, point)) / size) if size > 1e-12 else 0 * mean


METHOD = Method(
    "karcher",
    "the Riemannian mean of the fine-tuned models on the sphere, at their mean length",
    "(Σ wₖ‖θₖ‖)·argmin over unit m of Σ wₖ·∠(m, θₖ)², weights normalized",
    "Karcher 1977, https://doi.org/10.1002/cpa.3160300502; for models: https://arxiv.org/abs/2603.04972",
    Spanned(_mean, sums=True),
    (_MAX_ITER, _TOLERANCE),
    needs=frozenset({"unsparsified"}),
    exactness="library",
    skills=(2, None),
)
