"""ram, ramplus_tl: what one model alone changed is taken as it is, what several changed is averaged."""

from __future__ import annotations

from typing import TYPE_CHECKING

from merging.methods.method import Arithmetic, Method
from merging.methods.parameters import Parameter

if TYPE_CHECKING:
    from torch import Tensor

    from merging.mergekit.models import Models

_EPSILON = Parameter("epsilon", 1e-5, "magnitude above which a value counts as changed", 0.0, 1e30)
_R = Parameter("r", 0.1, "how much the share of what others changed too adds to what one alone changed", -1e30, 1e30)
_ALPHA = Parameter("alpha", 0.2, "most of that share that counts", 0.0, 1e30)


def _plain(given: Models) -> Tensor:
    return _merge(given, scaled=False)


def _scaled(given: Models) -> Tensor:
    """What one alone changed, times 1 + r·(share of what others changed too): in fp32, and so is the result."""
    return _merge(given, scaled=True)


def _merge(given: Models, scaled: bool) -> Tensor:
    import torch

    base = given.origin
    deltas = torch.stack([tensor - base for tensor in given.tensors], dim=0).view(len(given.others), -1)
    epsilon = float(given.parameters["epsilon"])
    changed = deltas.abs() > epsilon
    counts = changed.sum(dim=0, keepdim=True)
    shared, alone = counts > 1, counts == 1
    deltas = deltas * changed
    unique = deltas * alone
    if scaled:
        ratio = (changed & shared).sum(dim=1) / (changed & alone).sum(dim=1).clamp(min=epsilon)
        factor = 1 + float(given.parameters["r"]) * ratio.clamp(min=0, max=float(given.parameters["alpha"]))
        unique = unique * factor.unsqueeze(-1)
    merged = (unique + deltas * shared / counts.clamp(min=1)).sum(dim=0, keepdim=True)
    return base + merged.reshape_as(base)


RAM = Method(
    "ram",
    "what one model alone changed as it is, what several changed averaged",
    "θ₀ + δₖ where only k changes, + mean of those that change where several do",
    "https://arxiv.org/abs/2601.13572",
    Arithmetic(_plain, base="required"),
    (_EPSILON,),
    needs=frozenset({"unsparsified"}),
    exactness="torch",
    weighted=False,
)
RAMPLUS_TL = Method(
    "ramplus_tl",
    "ram, with what one model alone changed made larger",
    "θ₀ + (1 + r·min(ρₖ, α))·δₖ where only k changes, + mean of those that change where several do; ρₖ = shared/alone",
    "https://arxiv.org/abs/2601.13572",
    Arithmetic(_scaled, base="required", widens=True),
    (_R, _ALPHA, _EPSILON),
    needs=frozenset({"unsparsified"}),
    exactness="torch",
    weighted=False,
)
