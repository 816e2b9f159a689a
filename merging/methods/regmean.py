"""regmean: the linear layer whose outputs are nearest to those of all the models', each on its own data."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from merging.methods.method import Computed, Inputs, Method, Part
from merging.methods.parameters import Parameter
from storage.encodings.numeric import Floats
from storage.errors import InputRefused

Matrix = NDArray[np.float64]
_ROUNDING = float(np.finfo(np.float32).eps)
_ALPHA = Parameter("alpha", 0.9, "α, share of the Gram matrices' values off the diagonal that is kept", 0.0, 1.0)


def _solve(given: Inputs) -> Floats:
    """W = W₀ + (Σ G̃ₖ)⁻¹ Σ G̃ₖ·δₖ, on the transposes, in fp64: the same as of the models, as Σ G̃ₖ·W₀ stands in both.

    Inputs that no data ever set are averaged: their rows of every Gram matrix are zero.
    """
    if any(part.statistics is None for part in given.parts):
        return (given.base + _mean(given, lambda part: part.delta).astype(np.float32)).astype(np.float32)
    grams = [_shrunk(part, float(given.parameters["alpha"])) for part in given.parts]
    total: Matrix = sum(grams, np.zeros_like(grams[0]))
    sums = [gram @ _columns(part) for gram, part in zip(grams, given.parts, strict=True)]
    wanted: Matrix = sum(sums, np.zeros_like(sums[0]))
    live = np.diag(total) > 0
    merged = _mean(given, _columns)
    merged[live] = _solved(total[np.ix_(live, live)], wanted[live], given.tensor)
    turned = merged if given.parts[0].transposed else merged.T
    return (given.base.astype(np.float64) + turned).astype(np.float32)


def _shrunk(part: Part, alpha: float) -> Matrix:
    """G̃ = w·(αG + (1 − α)·diag(G))."""
    assert part.statistics is not None
    gram: Matrix = part.weight * alpha * part.statistics.astype(np.float64)
    np.fill_diagonal(gram, part.weight * np.diag(part.statistics))
    return gram


def _solved(total: Matrix, wanted: Matrix, tensor: str) -> Matrix:
    """The solution, scaled to a diagonal of ones meanwhile: inputs of different sizes then lose no digits."""
    if not total.size:
        return wanted
    scale = 1 / np.sqrt(np.diag(total))[:, None]
    matrix = total * scale * scale.T
    try:
        # Squared, each is the share of an input that those before it do not explain, and the Gram matrices are fp32:
        # below their rounding there is nothing to solve, only noise.
        least = float(np.diag(np.linalg.cholesky(matrix)).min()) ** 2
    except np.linalg.LinAlgError:
        least = 0.0
    if not least > len(matrix) * _ROUNDING:
        raise InputRefused(
            f"regmean: the Gram matrices of {tensor!r} add up to a singular matrix",
            hint="take alpha below 1 (0.9 is usual), or collect statistics over more examples",
        )
    solved: Matrix = scale * np.linalg.solve(matrix, scale * wanted)
    return solved


def _mean(given: Inputs, values: Callable[[Part], NDArray[np.floating]]) -> Matrix:
    total = sum(part.weight for part in given.parts)
    found = [part.weight / total * values(part).astype(np.float64) for part in given.parts]
    return sum(found, np.zeros_like(found[0]))


def _columns(part: Part) -> Matrix:
    """The delta as the formula has it: (inputs, outputs)."""
    delta = part.delta.astype(np.float64)
    return delta if part.transposed else delta.T


METHOD = Method(
    "regmean",
    "the linear layers whose outputs come nearest to those of every model on its own data",
    "W = (Σ G̃ₖ)⁻¹ Σ G̃ₖWₖ, Gₖ = XₖᵀXₖ of the layer's inputs, G̃ = w(αG + (1−α)diag G); other tensors Σ wₖθₖ / Σ wₖ",
    "Jin et al. 2023, https://arxiv.org/abs/2212.09849",
    Computed(_solve, whole=True, averages=True),
    (_ALPHA,),
    signed=False,
    needs=frozenset({"gram"}),
    exactness="close",
)
