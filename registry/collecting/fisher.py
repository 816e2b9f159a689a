"""Diagonal Fisher information: squared gradients of the log-likelihood, example by example, averaged.

Matena and Raffel 2022, https://arxiv.org/abs/2111.09832. Never the square of a batch's mean gradient.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from registry.collecting.likelihood import Terms
from registry.collecting.sums import Saved, Sums
from storage.encodings.frames import chunk_count, chunk_span
from storage.encodings.numeric import Floats
from storage.errors import InputRefused

if TYPE_CHECKING:
    from torch.nn import Module, Parameter


@dataclass(frozen=True)
class Weight:
    """A parameter by the base's names for it: one, or several that are tied."""

    names: tuple[str, ...]
    parameter: Parameter

    @property
    def name(self) -> str:
        """The first of its names."""
        return self.names[0]


def find_weights(parameters: Mapping[str, Parameter]) -> list[Weight]:
    """Every parameter with numbers to differentiate by, once, in order of the names."""
    names: dict[int, list[str]] = {}
    for name in sorted(parameters):
        if parameters[name].is_floating_point() and parameters[name].numel():
            names.setdefault(id(parameters[name]), []).append(name)
    return [Weight(tuple(each), parameters[each[0]]) for each in names.values()]


@contextmanager
def differentiated(model: Module, weights: list[Weight]) -> Iterator[None]:
    """For the time of the block, gradients are taken of these parameters, and of no others."""
    before = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    try:
        for parameter, _ in before:
            parameter.requires_grad_(False)
        for weight in weights:
            weight.parameter.requires_grad_(True)
        yield
    finally:
        for parameter, was in before:
            parameter.requires_grad_(was)


def add(sums: Sums, weights: list[Weight], terms: Terms, where: str) -> None:
    """Add the squared gradients of one example's log-likelihoods. Raises InputRefused where they are not finite."""
    import torch

    parameters = [weight.parameter for weight in weights]
    for number, (share, value) in enumerate(terms):
        if not bool(torch.isfinite(value)):
            raise InputRefused(
                f"{where}: the log-likelihood is {float(value.detach())}", hint="look at the model and the data"
            )
        if not value.requires_grad:
            continue  # what this pass looks at has no part in it
        keep = number + 1 < len(terms)
        gradients = torch.autograd.grad(value, parameters, retain_graph=keep, allow_unused=True)
        for weight, gradient in zip(weights, gradients, strict=True):
            if gradient is not None:
                flat = sums.tensors[weight.name]
                exact = gradient.reshape(-1).to(flat.device).double()
                flat.addcmul_(exact, exact, value=share)
    for weight in weights:
        sums.rows[weight.name] += 1


def units(weights: list[Weight]) -> dict[str, int]:
    """How many sums each parameter has."""
    return {weight.name: weight.parameter.numel() for weight in weights}


def averages(saved: Saved, weight: Weight) -> Iterator[Floats]:
    """The Fisher information of one parameter, in pieces. Raises InputRefused where it is not finite."""
    elements = weight.parameter.numel()
    spans = [chunk_span(index, elements) for index in range(chunk_count(elements))]
    for piece in saved.pieces(weight.name, spans):
        values = (piece / saved.rows[weight.name]).astype(np.float32)
        if not np.isfinite(values).all():
            raise InputRefused(
                f"the Fisher information of {weight.name!r} is not finite, or too large for fp32",
                hint="look at the model: it does not run as it should on this data",
            )
        yield values
