"""What deltas are thinned out by: their largest values, a band of magnitudes, or chance.

Chance is the one thing that is not mergekit's: it draws from torch's global generator, so that no result can be had
again. Here a value stays where its counter-based 16-bit draw (``storage.encodings.philox``) is below round(p·65536).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from storage.encodings.philox import FULL, lanes
from storage.errors import InputRefused

if TYPE_CHECKING:
    from torch import Tensor

    from merging.mergekit.models import Model

Thin = Callable[["Tensor", "Model", str], "Tensor"]
"""A delta with most values set to zero, given the model's parameters and the tensor's name."""
_TINY = 1e-7
_PIECE = 1 << 20  # elements drawn at a time: the generator takes much room


def keep_largest(delta: Tensor, model: Model, name: str) -> Tensor:
    """floor(density·n) values of largest magnitude, but one at least. Which of equal ones is up to torch's sorting."""
    import torch

    density = float(model.parameters["density"])
    if density >= 1:
        return delta
    if density <= 0:
        return torch.zeros_like(delta)
    order = torch.argsort(_magnitudes(delta), descending=True)
    return _masked(delta, _at(order[: max(1, int(density * delta.numel()))], delta), model)


def keep_band(delta: Tensor, model: Model, name: str) -> Tensor:
    """Without floor(γn) values of largest magnitude, then floor(density·n) of the largest; fewer go where too few
    would stay.
    """
    import torch

    density, count = float(model.parameters["density"]), delta.numel()
    if density >= 1:
        return delta
    kept, top = int(density * count), int(float(model.parameters["gamma"]) * count)
    order = torch.sort(_magnitudes(delta), descending=False).indices
    first = max(0, count - kept - top)
    return _masked(delta, _at(order[first : first + kept], delta), model)


def keep_by_chance(delta: Tensor, model: Model, name: str) -> Tensor:
    """Each value with the probability ``density``, rounded to the dtype that mergekit draws in."""
    import torch

    density = float(model.parameters["density"])
    if density >= 1:
        return delta
    wide = _drawn_in(delta)
    probabilities = torch.full_like(delta, density, dtype=wide)
    return _masked(delta.to(wide), drawn(probabilities, model.key), model).to(delta.dtype)


def keep_by_rank(delta: Tensor, model: Model, name: str) -> Tensor:
    """Each value with a probability from density − ε to density + ε, by the rank of its magnitude in its row.

    Raises InputRefused for rows of one value, which have no ranks: there mergekit fails.
    """
    import torch

    density, epsilon = float(model.parameters["density"]), float(model.parameters["epsilon"])
    if density >= 1:
        return delta
    if density <= 0:
        return torch.zeros_like(delta)
    rows = delta.unsqueeze(0) if delta.ndim == 1 else delta
    if rows.ndim < 2 or rows.shape[1] < 2:
        raise InputRefused(
            f"tensor {name!r}: magnitudes are ranked along its second axis, and its shape is {tuple(delta.shape)}",
            hint="mergekit fails here too: choose another method, or density 1",
        )
    wide = _drawn_in(delta)
    ranks = torch.argsort(rows.abs(), dim=1, descending=False).argsort(dim=1).to(wide) + 1
    least, most = (bound.values for bound in (ranks.min(dim=1, keepdim=True), ranks.max(dim=1, keepdim=True)))
    place = ((ranks - least) / (most - least)).clamp(0, 1)
    probabilities = (density - epsilon) + place * 2 * epsilon
    return _masked(rows.to(wide), drawn(probabilities, model.key), model).to(delta.dtype).reshape(delta.shape)


def drawn(probabilities: Tensor, key: int) -> Tensor:
    """1 where a value stays, else 0, in the dtype and shape of its probabilities."""
    import torch

    flat = probabilities.reshape(-1)
    mask = torch.empty_like(flat)
    for start in range(0, flat.numel(), _PIECE):
        piece = flat[start : start + _PIECE]
        draws = torch.from_numpy(lanes(key, start, piece.numel()).astype(np.int32))
        mask[start : start + _PIECE] = draws < torch.round(piece.double() * FULL)
    return mask.reshape(probabilities.shape)


def _drawn_in(delta: Tensor) -> Any:
    """The dtype that mergekit draws in, and has its probabilities in."""
    import torch

    return torch.bfloat16 if delta.dtype == torch.bfloat16 else torch.float32


def _magnitudes(delta: Tensor) -> Tensor:
    """Flat, and in fp32: on a CPU mergekit sorts nothing narrower."""
    return delta.abs().reshape(-1).float()


def _at(places: Tensor, delta: Tensor) -> Tensor:
    import torch

    mask = torch.zeros(delta.numel(), dtype=delta.dtype)
    mask[places] = 1
    return mask.reshape_as(delta)


def _masked(delta: Tensor, mask: Tensor, model: Model) -> Tensor:
    """What the mask leaves; with ``rescale``, made as long in the L1 norm as the whole was, unless that is nothing."""
    kept = delta * mask
    if not model.parameters["rescale"]:
        return kept
    before, after = delta.abs().sum(), kept.abs().sum()
    if before < _TINY or after < _TINY:
        return kept
    return kept * (before / after)
