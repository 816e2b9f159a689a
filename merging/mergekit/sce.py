"""sce: where the models differ most, weighted by their energy, without what goes against the majority."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from merging.mergekit.deltas import INT8_MASK, agreeing
from merging.methods.method import Arithmetic, Method
from merging.methods.parameters import Parameter

if TYPE_CHECKING:
    from torch import Tensor

    from merging.mergekit.models import Models

_SELECT = Parameter("select_topk", 1.0, "share of the elements that is selected, of those that differ", 0.0, 1.0)


def _fused(given: Models) -> Tensor:
    import torch

    base, small = given.origin, bool(given.parameters["int8_mask"])
    deltas = torch.stack([tensor - base for tensor in given.tensors], dim=0)
    share = float(given.parameters["select_topk"])
    if share < 1:
        deltas = deltas * _selected(deltas, share, torch.int8 if small else base.dtype).unsqueeze(0)
    agrees = agreeing(deltas, small)
    weights = _energies(deltas).reshape(-1, *(1,) * base.ndim) * agrees
    merged = (deltas * weights).sum(dim=0)
    return base + merged / torch.sum(weights, dim=0).clamp(min=1e-6)


def _selected(deltas: Tensor, share: float, dtype: Any) -> Tensor:
    """1 at the elements of largest variance over the models; which of equal ones is up to torch's selection."""
    import torch

    mask = torch.zeros_like(deltas[0], dtype=dtype)
    variance = torch.var(deltas, dim=0, unbiased=False)
    count = int(torch.count_nonzero(variance) * share)
    if share > 0 and count > 0:
        mask.view(-1)[torch.topk(variance.abs().view(-1), k=count, largest=True).indices] = 1
    return mask


def _energies(deltas: Tensor) -> Tensor:
    """Mean squares, divided by their sum; equal shares where that is next to nothing."""
    import torch

    weights = deltas.square().reshape(deltas.shape[0], -1).mean(dim=1)
    total = torch.sum(weights).item()
    return torch.ones_like(weights) / weights.shape[0] if abs(total) < 1e-6 else weights / total


METHOD = Method(
    "sce",
    "select where the models differ most, weight them by their energy there, erase minority signs",
    "θ₀ + Σ ηₖδₖ / Σ ηₖ over what agrees in sign, ηₖ ∝ mean δₖ², in the elements of largest variance over k",
    "Wan et al. 2024 (FuseChat), https://arxiv.org/abs/2408.07990",
    Arithmetic(_fused, base="required"),
    (_SELECT, INT8_MASK),
    needs=frozenset({"unsparsified"}),
    exactness="torch",
    weighted=False,
)
