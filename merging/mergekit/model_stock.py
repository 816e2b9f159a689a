"""model_stock: as far from the base towards the models' average as the angles between them say."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

from merging.methods.method import Arithmetic, Method
from merging.methods.parameters import Parameter

if TYPE_CHECKING:
    from torch import Tensor

    from merging.mergekit.models import Models

_FILTER_WISE = Parameter("filter_wise", False, "an angle for each row instead of one for the tensor")


def _towards_average(given: Models) -> Tensor:
    import torch

    base, tensors = given.origin, given.tensors
    if not given.parameters["filter_wise"]:
        base, tensors = base.reshape(-1), [tensor.reshape(-1) for tensor in tensors]
    elif base.ndim == 1:
        base, tensors = base.unsqueeze(0), [tensor.unsqueeze(0) for tensor in tensors]
    deltas = [tensor - base for tensor in tensors]
    cosines = []
    for one, other in combinations(deltas, 2):
        lengths = torch.norm(one, dim=-1) * torch.norm(other, dim=-1)
        cosines.append(((one * other).sum(dim=-1) / lengths.clamp(min=1e-6)).clamp(-1, 1))
    cosine = torch.stack(cosines).mean(dim=0).unsqueeze(-1)
    count = len(tensors)
    divisor = 1 + (count - 1) * cosine
    nowhere = divisor.abs() < 1e-6  # the models cancel each other: the base stays
    t = torch.where(nowhere, torch.zeros_like(cosine), count * cosine / torch.where(nowhere, 1, divisor))
    average = sum(tensors[1:], 0 + tensors[0]) / count
    return (t * average + (1 - t) * base).reshape(given.origin.shape)


METHOD = Method(
    "model_stock",
    "towards the models' average, as far as the angles between them say",
    "t·mean(θₖ) + (1−t)·θ₀, t = N·cos / (1 + (N−1)·cos), cos the mean over all pairs of deltas",
    "Jang et al. 2024, https://arxiv.org/abs/2403.19522",
    Arithmetic(_towards_average, base="required"),
    (_FILTER_WISE,),
    needs=frozenset({"unsparsified"}),
    exactness="torch",
    weighted=False,
    skills=(2, None),
)
