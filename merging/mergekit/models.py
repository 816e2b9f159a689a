"""What an arithmetic computes from: one tensor of each model that takes part."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from merging.methods.parameters import ParameterValue

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Model:
    """One model: its tensor, its weight, and its parameters, its own before those that all share."""

    tensor: Tensor
    weight: float
    parameters: Mapping[str, ParameterValue]
    key: int = 0  # of random masks of this model and tensor


@dataclass(frozen=True)
class Models:
    """The models in their order, all of one dtype and shape. ``base``: mergekit's ``base_model``, if it has a part."""

    base: Tensor | None
    others: tuple[Model, ...]
    parameters: Mapping[str, ParameterValue]
    name: str  # of the tensor

    @property
    def origin(self) -> Tensor:
        """The base of an arithmetic that always has one."""
        assert self.base is not None
        return self.base

    @property
    def tensors(self) -> list[Tensor]:
        """The models' tensors; the base, where it has a part of its own, is not among them."""
        return [model.tensor for model in self.others]
