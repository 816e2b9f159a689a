"""sce: where the skills differ most, weighted by their energy, without what goes against the majority."""

import numpy as np

from merging.engines.dense import add_up, agreeing
from merging.methods.method import Computed, Inputs, Method
from merging.methods.parameters import LAMBDA, Parameter
from storage.encodings.numeric import Floats

_SELECT = Parameter("select", 0.1, "share of each tensor's elements that is selected", 0.0, 1.0, open_low=True)


def _fused(given: Inputs) -> Floats:
    """Select, calculate, erase. Where the skills have no energy at all, they have equal shares."""
    selected, nothing = _selected(given), np.float32(0)
    deltas: list[Floats] = [np.where(selected, part.delta, nothing) for part in given.parts]
    energies = [
        part.weight * float(np.mean(np.square(delta, dtype=np.float64))) if delta.size else 0.0
        for part, delta in zip(given.parts, deltas, strict=True)
    ]
    total = sum(energies)
    shares = [energy / total if total > 0 else 1 / len(energies) for energy in energies]
    merged, divisor = np.zeros_like(given.base), np.zeros_like(given.base)
    for delta, share, agrees in zip(deltas, shares, agreeing(deltas), strict=True):
        merged += np.where(agrees, np.float32(share) * delta, np.float32(0))
        divisor += np.where(agrees, np.float32(share), np.float32(0))
    merged /= np.where(divisor > 0, divisor, np.float32(1))
    return given.base + np.float32(given.parameters["lambda"]) * merged


def _selected(given: Inputs) -> np.ndarray:
    """The floor(select·n) elements of largest variance over the skills, of those where it is not zero."""
    deltas = [part.delta for part in given.parts]
    mean = add_up(deltas) / np.float32(len(deltas))
    variance = add_up([np.square(delta - mean) for delta in deltas])
    keep = int(float(given.parameters["select"]) * np.count_nonzero(variance))
    chosen = np.zeros(variance.shape, bool)
    order = np.argsort(-variance, axis=None, kind="stable")
    chosen.reshape(-1)[order[:keep]] = True
    return chosen


METHOD = Method(
    "sce",
    "select where the skills differ most, weight them by their energy there, erase minority signs",
    "θ₀ + λ·Σ ηₖδₖ / Σ ηₖ over what agrees in sign, ηₖ ∝ wₖ·mean δₖ², in the elements of largest variance over k",
    "Wan et al. 2024 (FuseChat), https://arxiv.org/abs/2408.07990",
    Computed(_fused, whole=True),
    (LAMBDA, _SELECT),
    needs=frozenset({"unsparsified"}),
    skills=(2, None),
)
