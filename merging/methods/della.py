"""della: values dropped at random, the likelier the smaller they are within their row; della_linear: and added up."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from merging.engines.dense import add_up, elect
from merging.methods.method import Computed, Inputs, Method, Part
from merging.methods.parameters import DIVISOR, LAMBDA, Parameter, ParameterValue
from storage.encodings.numeric import Floats
from storage.encodings.philox import FULL, lanes
from storage.errors import UsageError

_DROP_RATE = Parameter("drop_rate", 0.7, "p, mean drop rate", 0.0, 1.0, open_high=True, each=True)
_SEED = Parameter("seed", 0, "seed of the masks", 0, (1 << 53) - 1)
_EPSILON = Parameter("epsilon", 0.15, "ε, how far drop rates lie above and below p", 0.0, 0.5, each=True)


def _pruned(given: Inputs) -> list[Floats]:
    return [_drop(part) * np.float32(part.weight) for part in given.parts]


def _drop(part: Part) -> Floats:
    """m⊙δ/(1 − pᵢ): pᵢ runs from p + ε of a row's smallest magnitude to p − ε of its largest, in equal steps."""
    rows = part.delta.reshape(part.delta.shape[0] if part.delta.ndim > 1 else 1, -1)
    thresholds = _thresholds(rows, float(part.parameters["drop_rate"]), float(part.parameters["epsilon"]))
    kept = lanes(part.key, 0, rows.size).reshape(rows.shape) < thresholds
    # The threshold is what is kept in 65536 draws: rescaling by it is unbiased.
    rescale = np.float32(FULL) / np.maximum(thresholds, 1).astype(np.float32)
    return np.where(kept, rows * rescale, np.float32(0)).reshape(part.delta.shape)


def _thresholds(rows: Floats, drop_rate: float, epsilon: float) -> NDArray[np.uint32]:
    """Of each element: how many of 65536 draws keep it. Equal magnitudes rank in the order of their places."""
    least, most = 1 - drop_rate - epsilon, 1 - drop_rate + epsilon
    width = rows.shape[1]
    steps = np.linspace(least, most, width) if width > 1 else np.array([1 - drop_rate])
    by_rank = np.rint(steps * FULL).astype(np.uint32)
    order = np.argsort(np.abs(rows), axis=1, kind="stable")
    thresholds = np.empty(rows.shape, np.uint32)
    np.put_along_axis(thresholds, order, np.broadcast_to(by_rank, rows.shape), axis=1)
    return thresholds


def _check(parameters: Mapping[str, ParameterValue]) -> None:
    drop_rate, epsilon = float(parameters["drop_rate"]), float(parameters["epsilon"])
    if not (drop_rate + epsilon < 1 and drop_rate - epsilon >= 0):
        raise UsageError(
            f"drop rates from {drop_rate - epsilon:g} to {drop_rate + epsilon:g} are not all at least 0 and below 1",
            hint=f"with drop_rate {drop_rate:g} epsilon must be "
            + (f"below {1 - drop_rate:g}" if drop_rate >= 0.5 else f"at most {drop_rate:g}"),
        )


def _sum(given: Inputs) -> Floats:
    return given.base + np.float32(given.parameters["lambda"]) * add_up(_pruned(given))


def _elected(given: Inputs) -> Floats:
    weights = [part.weight for part in given.parts] if given.parameters["divisor"] == "weights" else None
    return given.base + np.float32(given.parameters["lambda"]) * elect(_pruned(given), weights)


METHOD = Method(
    "della",
    "drop values at random, the likelier the smaller they are, then sign election and disjoint averaging",
    "θ₀ + λ·mean of the agreeing non-zero wₖ·(mₖ⊙δₖ)/(1−pᵢ), pᵢ from p+ε to p−ε by the magnitude's rank in its row",
    "Deep et al. 2024, https://arxiv.org/abs/2406.11617",
    Computed(_elected, whole=True),
    (LAMBDA, _DROP_RATE, _EPSILON, _SEED, DIVISOR),
    needs=frozenset({"unsparsified"}),
    consistent=_check,
)
LINEAR = Method(
    "della_linear",
    "drop values at random, the likelier the smaller they are, and add up what stays",
    "θ₀ + λ Σ wₖ·(mₖ⊙δₖ)/(1−pᵢ), pᵢ from p+ε to p−ε by the magnitude's rank in its row",
    "Deep et al. 2024, https://arxiv.org/abs/2406.11617",
    Computed(_sum, whole=True),
    (LAMBDA, _DROP_RATE, _EPSILON, _SEED),
    needs=frozenset({"unsparsified"}),
    consistent=_check,
)
