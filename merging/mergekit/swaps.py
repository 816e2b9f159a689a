"""Between the base and one other model, element by element: nearswap, arcee_fusion."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from merging.methods.method import Arithmetic, Method
from merging.methods.parameters import SEED, Parameter
from storage.encodings.philox import lanes

if TYPE_CHECKING:
    from torch import Tensor

    from merging.mergekit.models import Models

_T = Parameter("t", 0.001, "distance from the base up to which a value is taken whole", -1e30, 1e30)
_SAMPLE = 1_000_000  # elements that quartiles are taken of, where a tensor has more


def _near(given: Models) -> Tensor:
    import torch

    base, other = given.origin, given.others[0].tensor
    share = (float(given.parameters["t"]) / torch.abs(base - other).clamp(min=1e-6)).clamp(min=0, max=1)
    return share * other + (1 - share) * base


def _important(given: Models) -> Tensor:
    """The other model's values where they matter most, else the base's. The mask is fp32, and so is the result."""
    base, other = given.origin, given.others[0].tensor
    importance = _importance(other, base)
    mask = (importance >= _threshold(_sample(importance.reshape(-1), given.others[0].key))).float()
    return base + (other - base) * mask


def _importance(other: Tensor, base: Tensor) -> Tensor:
    """|δ| times the Kullback-Leibler divergence of the two rows' softmax."""
    import torch

    distance = (other - base).abs()
    one, two = (torch.softmax(tensor, dim=-1) + 1e-8 for tensor in (other, base))
    return distance * torch.sum(one * torch.log(one / two), dim=-1, keepdim=True)


def _threshold(values: Tensor) -> Tensor:
    """The median and 1.5 times the distance between the quartiles."""
    import torch

    ordered = torch.sort(values).values
    places = (torch.tensor([0.25, 0.5, 0.75], dtype=torch.float32) * (ordered.numel() - 1)).long()
    low, median, high = ordered[places]
    threshold: Tensor = median + 1.5 * (high - low)
    return threshold


def _sample(values: Tensor, key: int) -> Tensor:
    """A million of the values, drawn with replacement, where there are more: place i is floor(d·n / 2^32), where d
    has draw 2i of the key as its low 16 bits and draw 2i + 1 as its high ones. mergekit draws from torch's generator.
    """
    import torch

    if values.numel() <= _SAMPLE:
        return values
    draws = lanes(key, 0, 2 * _SAMPLE).astype(np.uint64)
    wide = draws[0::2] | (draws[1::2] << np.uint64(16))
    return values[torch.from_numpy(((wide * np.uint64(values.numel())) >> np.uint64(32)).astype(np.int64))]


NEARSWAP = Method(
    "nearswap",
    "the other model's values where they are near the base's, less of it the farther",
    "s·θ₁ + (1−s)·θ₀, s = t/|θ₁ − θ₀| within 0 and 1",
    "alchemonaut, https://huggingface.co/alchemonaut/QuartetAnemoi-70B-t0.0001",
    Arithmetic(_near, base="required"),
    (_T,),
    needs=frozenset({"unsparsified"}),
    exactness="torch",
    weighted=False,
    skills=(1, 1),
)
ARCEE_FUSION = Method(
    "arcee_fusion",
    "the other model's values where they matter most",
    "θ₀ + δ where |δ|·KL(softmax θ₁ ‖ softmax θ₀) is at least the median and 1.5 interquartile ranges; else θ₀",
    "Arcee, https://arcee.ai; mergekit, https://github.com/arcee-ai/mergekit",
    Arithmetic(_important, base="required", widens=True),
    (SEED,),
    needs=frozenset({"unsparsified"}),
    exactness="torch",
    weighted=False,
    skills=(1, 1),
)
