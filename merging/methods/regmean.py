"""regmean: the linear layer whose outputs are nearest to those of all the models', each on its own data."""

import numpy as np
from numpy.typing import NDArray

from merging.methods.method import Computed, Inputs, Method, Part
from merging.methods.parameters import Parameter
from storage.encodings.numeric import Floats
from storage.errors import InputRefused

Matrix = NDArray[np.float64]
_ALPHA = Parameter("alpha", 0.9, "α, share of the Gram matrices' values off the diagonal that is kept", 0.0, 1.0)


def _solve(given: Inputs) -> Floats:
    """W = W₀ + (Σ G̃ₖ)⁻¹ Σ G̃ₖ·δₖ, on the transposes, in fp64: the same as of the models, as Σ G̃ₖ·W₀ stands in both.

    Inputs that no data ever set are averaged: their rows of every Gram matrix are zero.
    """
    if any(part.statistics is None for part in given.parts):
        return _average(given)
    grams = [_shrunk(part, float(given.parameters["alpha"])) for part in given.parts]
    total: Matrix = sum(grams, np.zeros_like(grams[0]))
    sums = [gram @ _columns(part) for gram, part in zip(grams, given.parts, strict=True)]
    wanted = sum(sums, np.zeros(_shape(given)))
    live = np.diag(total) > 0
    merged = np.array(_mean(given).reshape(_lines(given), -1).T)
    merged[live] = _solved(total[np.ix_(live, live)], wanted[live], given.tensor)
    return (given.base.astype(np.float64) + merged.T.reshape(given.base.shape)).astype(np.float32)


def _shrunk(part: Part, alpha: float) -> Matrix:
    """G̃ = w·(αG + (1 − α)·diag(G))."""
    assert part.statistics is not None
    gram: Matrix = part.weight * alpha * part.statistics.astype(np.float64)
    np.fill_diagonal(gram, part.weight * np.diag(part.statistics))
    return gram


def _solved(total: Matrix, wanted: Matrix, tensor: str) -> Matrix:
    try:
        np.linalg.cholesky(total)  # a sum of Gram matrices that is no longer definite would be solved to noise
        solved = np.asarray(np.linalg.solve(total, wanted), np.float64)
    except np.linalg.LinAlgError:
        raise InputRefused(
            f"regmean: the Gram matrices of {tensor!r} add up to a singular matrix",
            hint="take alpha below 1 (0.9 is usual), or collect statistics over more examples",
        ) from None
    return solved


def _average(given: Inputs) -> Floats:
    return (given.base + _mean(given).astype(np.float32)).astype(np.float32)


def _mean(given: Inputs) -> Matrix:
    total = sum(part.weight for part in given.parts)
    return sum(
        (part.weight / total * part.delta.astype(np.float64) for part in given.parts),
        np.zeros(given.base.shape),
    )


def _columns(part: Part) -> Matrix:
    """The delta's transpose: (inputs, outputs)."""
    return part.delta.reshape(len(part.delta), -1).astype(np.float64).T


def _lines(given: Inputs) -> int:
    return len(given.base)


def _shape(given: Inputs) -> tuple[int, int]:
    return given.base.size // max(1, _lines(given)), _lines(given)


METHOD = Method(
    "regmean",
    "the linear layers whose outputs come nearest to those of every model on its own data",
    "W = (Σ G̃ₖ)⁻¹ Σ G̃ₖWₖ, Gₖ = XₖᵀXₖ of the layer's inputs, G̃ = w(αG + (1−α)diag G); other tensors Σ wₖθₖ / Σ wₖ",
    "Jin et al. 2023, https://arxiv.org/abs/2212.09849",
    Computed(_solve, whole=True, averages=True),
    (_ALPHA,),
    needs=frozenset({"gram"}),
    exactness="close",
)
