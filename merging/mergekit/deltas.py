"""Task arithmetic and what builds on it: deltas from the base, thinned out, weighed, elected, added up."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

from merging.mergekit.masks import Thin, keep_band, keep_by_chance, keep_by_rank, keep_largest
from merging.methods.method import Arithmetic, Method
from merging.methods.parameters import LAMBDA, SEED, Parameter, ParameterValue
from storage.errors import UsageError

if TYPE_CHECKING:
    from torch import Tensor

    from merging.mergekit.models import Models

INT8_MASK = Parameter("int8_mask", False, "keep signs as int8, which takes less memory and gives the same result")
_DENSITY = Parameter("density", 1.0, "share of the values that stay; 1 keeps all", 0.0, 1.0)
_GAMMA = Parameter("gamma", 0.01, "γ, share of the values that go as the largest", 0.0, 1.0)
_EPSILON = Parameter("epsilon", 0.15, "ε, how far probabilities lie above and below the density", 0.0, 1.0)
_OWN = frozenset({"density", "gamma", "epsilon"})


def _merge(given: Models, thin: Thin | None, elects: bool) -> Tensor:
    import torch

    base = given.origin
    deltas = base.new_empty((len(given.others), *base.shape))
    for index, model in enumerate(given.others):
        delta = model.tensor - base
        deltas[index] = delta if thin is None else thin(delta, model, given.name)
    weights = torch.tensor([model.weight for model in given.others], dtype=deltas.dtype)
    weights = weights.reshape(-1, *(1,) * base.ndim)
    deltas.mul_(weights)
    if elects:
        agrees = agreeing(deltas, bool(given.parameters["int8_mask"]))
        merged, divisor = (deltas * agrees).sum(dim=0), (weights * agrees).sum(dim=0)
        divisor[divisor == 0] = 1
    else:
        merged, divisor = deltas.sum(dim=0), weights.sum(dim=0)
        divisor[divisor.abs() < 1e-8] = 1
    if given.parameters["normalize"]:
        merged /= divisor
    if given.parameters["lambda"] != 1:
        merged *= float(given.parameters["lambda"])
    return (base + merged).to(base.dtype)


def agreeing(deltas: Tensor, small: bool) -> Tensor:
    """Where each delta has the sign of their sum; a sum of zero counts as positive. ``small``: by way of int8."""
    import torch

    dtype = torch.int8 if small else deltas.dtype
    majority = (deltas.sum(dim=0) >= 0).to(dtype) * 2 - 1
    return deltas.sign().to(dtype) == majority


def _ranks(parameters: Mapping[str, ParameterValue]) -> None:
    density, epsilon = float(parameters["density"]), float(parameters["epsilon"])
    if 0 < density < 1 and not (density + epsilon < 1 and density - epsilon > 0):
        raise UsageError(
            f"probabilities from {density - epsilon:g} to {density + epsilon:g} are not all between 0 and 1",
            hint="choose a smaller epsilon",
        )


def _method(
    name: str,
    summary: str,
    formula: str,
    source: str,
    *more: Parameter,
    thin: Thin | None = None,
    elects: bool = False,
    normalizes: bool = False,
    rescales: bool = False,
) -> Method:
    normalize = Parameter("normalize", normalizes, "divide by the sum of the weights")
    rescale = Parameter("rescale", rescales, "make what stays of a delta as long as all of it was, in the L1 norm")
    thinning = (_DENSITY, rescale, *more) if thin is not None else ()
    return Method(
        name,
        summary,
        formula,
        source,
        Arithmetic(partial(_merge, thin=thin, elects=elects), base="required", own=_OWN & {p.name for p in thinning}),
        (LAMBDA, normalize, *thinning, *((INT8_MASK,) if elects else ())),
        needs=frozenset() if thin in (None, keep_largest) else frozenset({"unsparsified"}),
        exactness="torch",
        consistent=_ranks if thin is keep_by_rank else None,
    )


_TIES = "https://arxiv.org/abs/2306.01708"
_SUM = "θ₀ + λ Σ wₖ·m(δₖ), over Σ wₖ with normalize"
_ELECTED = "θ₀ + λ·Σ of the agreeing wₖ·m(δₖ), over Σ of the agreeing wₖ with normalize"
METHODS = (
    _method(
        "task_arithmetic",
        "add weighted deltas",
        "θ₀ + λ Σ wₖδₖ, over Σ wₖ with normalize",
        "Ilharco et al. 2023, https://arxiv.org/abs/2212.04089",
    ),
    _method(
        "ties",
        "trim each tensor of each delta to its largest values, elect signs, average what agrees",
        _ELECTED,
        f"Yadav et al. 2023, {_TIES}",
        thin=keep_largest,
        elects=True,
        normalizes=True,
    ),
    _method(
        "dare_ties",
        "drop values at random, elect signs, add up what agrees",
        _ELECTED,
        f"Yu et al. 2024, https://arxiv.org/abs/2311.03099; Yadav et al. 2023, {_TIES}",
        SEED,
        thin=keep_by_chance,
        elects=True,
        rescales=True,
    ),
    _method(
        "dare_linear",
        "drop values at random and add up what stays",
        _SUM,
        "Yu et al. 2024, https://arxiv.org/abs/2311.03099",
        SEED,
        thin=keep_by_chance,
        rescales=True,
    ),
    _method(
        "breadcrumbs",
        "add deltas without their largest and their smallest values",
        _SUM,
        "Davari and Belilovsky 2024, https://arxiv.org/abs/2312.06795",
        _GAMMA,
        thin=keep_band,
    ),
    _method(
        "breadcrumbs_ties",
        "breadcrumbs, then elect signs and add up what agrees",
        _ELECTED,
        f"Davari and Belilovsky 2024, https://arxiv.org/abs/2312.06795; Yadav et al. 2023, {_TIES}",
        _GAMMA,
        thin=keep_band,
        elects=True,
    ),
    _method(
        "della",
        "drop values at random, the likelier the smaller they are, elect signs, average what agrees",
        _ELECTED,
        "Deep et al. 2024, https://arxiv.org/abs/2406.11617",
        _EPSILON,
        SEED,
        thin=keep_by_rank,
        elects=True,
        normalizes=True,
        rescales=True,
    ),
    _method(
        "della_linear",
        "drop values at random, the likelier the smaller they are, and add up what stays",
        _SUM,
        "Deep et al. 2024, https://arxiv.org/abs/2406.11617",
        _EPSILON,
        SEED,
        thin=keep_by_rank,
        rescales=True,
    ),
)
