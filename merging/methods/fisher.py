"""fisher: the average of models weighted, element by element, by how much each depends on that element."""

import numpy as np

from merging.methods.method import Computed, Inputs, Method
from merging.methods.parameters import Parameter
from storage.encodings.numeric import Floats

_FLOOR = Parameter("floor", 1e-6, "ε, least Fisher information of an element", 0.0, 1e30, open_low=True)
_SCALE = Parameter(
    "scale",
    "none",
    "norm: divide each skill's Fisher information by the root of its mean square over the model",
    choices=("none", "norm"),
)


def _average(given: Inputs) -> Floats:
    """θ₀ + Σ wₖFₖδₖ / Σ wₖFₖ: the same average, and where no skill differs from the base, the base to the bit."""
    known = all(part.statistics is not None for part in given.parts)
    total = np.zeros_like(given.base)
    divisor = np.zeros_like(given.base)
    for part in given.parts:
        share = np.full_like(given.base, np.float32(part.weight))
        if known and part.statistics is not None:
            share *= np.maximum(part.statistics.astype(np.float32), np.float32(given.parameters["floor"]))
        total += share * part.delta
        divisor += share
    return given.base + total / divisor


METHOD = Method(
    "fisher",
    "average of the fine-tuned models, weighted element by element by their Fisher information",
    "Σ wₖFₖθₖ / Σ wₖFₖ, Fₖ the diagonal Fisher information of skill k, at least ε; where none is known, Σ wₖθₖ / Σ wₖ",
    "Matena and Raffel 2022, https://arxiv.org/abs/2111.09832",
    Computed(_average, whole=False, averages=True),
    (_FLOOR, _SCALE),
    signed=False,
    needs=frozenset({"fisher"}),
)
