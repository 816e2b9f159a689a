"""The tensors of models whose vocabularies are brought together, row by row of the result."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from merging.mergekit.alignment import Alignment
from storage.errors import InputRefused

if TYPE_CHECKING:
    from torch import Tensor


def aligned(tensors: Mapping[str, Tensor], alignment: Alignment, rows: int) -> dict[str, Tensor]:
    """Each model's tensor [its rows, …] as [``rows``, …], all of one dtype; by digest, in the order of the models.

    In mergekit's arithmetic: averages are sums in the tensors' dtype, model after model, divided by how many have the
    token; padding is the mean of the rows before it.
    """
    import torch

    own = {model: torch.tensor(alignment.own(model), dtype=torch.int64) for model in tensors}
    defaults, forced = _defaults(tensors, own, alignment)
    found = {}
    for model, tensor in tensors.items():
        taken = (own[model] >= 0) & ~forced
        whole = tensor.new_zeros((rows, *tensor.shape[1:]))
        part = whole[: alignment.tokens]
        part[taken] = tensor[own[model][taken]]
        part[~taken] = defaults[~taken]
        if rows > alignment.tokens:
            whole[alignment.tokens :] = torch.mean(part, dim=0)
        found[model] = whole
    return found


def _defaults(tensors: Mapping[str, Tensor], own: Mapping[str, Tensor], alignment: Alignment) -> tuple[Tensor, Tensor]:
    """For each token the row of models that lack it; and whether all are to have that one."""
    import torch

    first = next(iter(tensors.values()))
    defaults = first.new_zeros((alignment.tokens, *first.shape[1:]))
    forced = torch.zeros(alignment.tokens, dtype=torch.bool)
    ruled = torch.zeros(alignment.tokens, dtype=torch.bool)
    for rule in alignment.rules:
        ruled[rule.id], forced[rule.id] = True, rule.force
    has = {model: rows >= 0 for model, rows in own.items()}
    count = torch.stack(list(has.values())).sum(0)
    open_ = (count > 0) & (count < len(own)) & ~ruled
    preferred = has.get(alignment.prefer or "", torch.zeros_like(open_))
    for model, tensor in tensors.items():
        donated = open_ & has[model] & ((count == 1) | (preferred if model == alignment.prefer else False))
        defaults[donated] = tensor[own[model][donated]]
    averaged = open_ & (count > 1) & ~preferred
    for model, tensor in tensors.items():
        part = averaged & has[model]
        defaults[part] = defaults[part] + tensor[own[model][part]]
    for number in torch.unique(count[averaged]).tolist():
        part = averaged & (count == number)
        defaults[part] = defaults[part] / number
    for rule in alignment.rules:
        if rule.force or count[rule.id] < len(own):
            _apply(rule.model, rule.row, tensors, rule.text, defaults[rule.id])
    return defaults, forced


def _apply(model: str | None, row: int, tensors: Mapping[str, Tensor], text: str, into: Tensor) -> None:
    if model is None:
        return
    if model not in tensors:
        raise InputRefused(
            f"the token {text!r} is to have a row of {model}, which is none of the models that are merged here",
            hint="name another model in its rule: one of every slice",
        )
    into.copy_(tensors[model][row])
