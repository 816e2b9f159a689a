"""breadcrumbs: of each tensor's delta neither the largest nor the smallest values; breadcrumbs_ties: elected too."""

from collections.abc import Mapping

import numpy as np

from merging.engines.dense import add_up, elect
from merging.methods.method import Computed, Inputs, Method
from merging.methods.parameters import DIVISOR, LAMBDA, Parameter, ParameterValue
from storage.encodings.numeric import Floats

_DENSITY = Parameter("density", 0.9, "share of each tensor's values that stays", 0.0, 1.0, open_low=True, each=True)
_GAMMA = Parameter(
    "gamma", 0.01, "γ, share of each tensor's values that goes as the largest", 0.0, 1.0, open_high=True, each=True
)


def _masked(given: Inputs) -> list[Floats]:
    return [_band(part.delta, part.parameters) * np.float32(part.weight) for part in given.parts]


def _band(delta: Floats, parameters: Mapping[str, ParameterValue]) -> Floats:
    """The delta without floor(γn) largest magnitudes, and of the rest the floor(density·n) largest.

    Of values that are as large as each other the one that stands first counts as the smaller.
    """
    count = delta.size
    kept, top = int(float(parameters["density"]) * count), int(float(parameters["gamma"]) * count)
    order = np.argsort(np.abs(delta), axis=None, kind="stable")
    first = max(0, count - kept - top)
    out = np.zeros_like(delta)
    places = order[first : first + kept]
    out.reshape(-1)[places] = delta.reshape(-1)[places]
    return out


def _sum(given: Inputs) -> Floats:
    return given.base + np.float32(given.parameters["lambda"]) * add_up(_masked(given))


def _elected(given: Inputs) -> Floats:
    weights = [part.weight for part in given.parts] if given.parameters["divisor"] == "weights" else None
    return given.base + np.float32(given.parameters["lambda"]) * elect(_masked(given), weights)


METHOD = Method(
    "breadcrumbs",
    "add deltas without their largest and their smallest values, tensor by tensor",
    "θ₀ + λ Σ wₖ·m(δₖ), m drops the share γ that is largest, and keeps of the rest the largest, `density` of all",
    "Davari and Belilovsky 2024, https://arxiv.org/abs/2312.06795",
    Computed(_sum, whole=True),
    (LAMBDA, _DENSITY, _GAMMA),
    needs=frozenset({"unsparsified"}),
)
TIES = Method(
    "breadcrumbs_ties",
    "breadcrumbs, then sign election and disjoint averaging",
    "θ₀ + λ·mean of the agreeing non-zero wₖ·m(δₖ)",
    "Davari and Belilovsky 2024, https://arxiv.org/abs/2312.06795; Yadav et al. 2023, https://arxiv.org/abs/2306.01708",
    Computed(_elected, whole=True),
    (LAMBDA, _DENSITY, _GAMMA, DIVISOR),
    needs=frozenset({"unsparsified"}),
)
