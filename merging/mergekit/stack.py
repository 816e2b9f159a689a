"""Models whose layers are stacked: which tensor of which model goes into each tensor of the result.

As mergekit lays them out: the layers of every slice follow those of the slice before; what stands before the layers
(input embeddings) is merged as the first slice says, what stands behind them as the last one does, of no more of its
models than the first slice has. The depth of a layer, for gradients, is counted within its slice.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from merging.methods.parameters import ParameterValue
from merging.settings import Setting, at, layer_of
from storage.deltas.roles import is_input_embedding
from storage.errors import InputRefused

OF_THE_WHOLE = ("base_model", "compute_dtype")
"""Parameters of the semantics, which no slice has for itself."""
_BEFORE = frozenset({"wpe", "embed_positions", "position_embedding"})
"""What stands before the layers beside the input embeddings, and has no "embeddings" in its name."""


@dataclass(frozen=True)
class SliceModel:
    """A model's part in a slice, by its digest: its layers from ``first`` on, its weight and parameters of its own."""

    model: str
    first: int
    weight: Setting
    parameters: Mapping[str, Setting] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Its part of the recipe's JSON."""
        own = {"parameters": dict(self.parameters)} if self.parameters else {}
        return {"model": self.model, "first": self.first, "weight": self.weight} | own


@dataclass(frozen=True)
class LayerSlice:
    """So many layers of the result, merged of the same models in this order; ``parameters``: those that all share."""

    layers: int
    models: tuple[SliceModel, ...]
    parameters: Mapping[str, Setting]

    def to_dict(self) -> dict[str, Any]:
        """Its part of the recipe's JSON."""
        return {
            "layers": self.layers,
            "models": [model.to_dict() for model in self.models],
            "parameters": dict(self.parameters),
        }


@dataclass(frozen=True)
class StackedModel:
    """One model's part in one tensor of the result: the base's tensor that it stands for, weight and parameters."""

    model: str
    tensor: str
    weight: float
    parameters: Mapping[str, ParameterValue]


@dataclass(frozen=True)
class Stacked:
    """What one tensor of the result is merged of."""

    models: tuple[StackedModel, ...]
    parameters: Mapping[str, ParameterValue]


def stack(slices: tuple[LayerSlice, ...], tensors: Iterable[str]) -> dict[str, Stacked]:
    """By its name in the result, what each tensor is merged of; ``tensors``: those of the base.

    Raises InputRefused where the base has no layers, several stacks of them, or fewer than a slice takes.
    """
    outside, layers, prefix = _parted(tensors)
    before, behind = slices[0], replace(slices[-1], models=slices[-1].models[: len(slices[0].models)])
    found = {name: _tensor(before if _stands_before(name) else behind, name, name, None, 0.0) for name in outside}
    number = 0
    for part in slices:
        for offset in range(part.layers):
            depth = offset / (part.layers - 1) if part.layers > 1 else 1.0
            for name in _layer(layers, part.models[0].first + offset):
                rest = name[len(prefix) :].partition(".")[2]
                made = f"{prefix}{number}.{rest}"
                found[made] = _tensor(part, made, f"{prefix}{{}}.{rest}", offset, depth)
            number += 1
    return found


def _parted(tensors: Iterable[str]) -> tuple[list[str], dict[int, list[str]], str]:
    """The tensors outside of layers, those of each layer by its number, and what stands before the number."""
    outside: list[str] = []
    layers: dict[int, list[str]] = {}
    prefixes = set()
    for name in tensors:
        layer = layer_of(name)
        if layer is None:
            outside.append(name)
            continue
        prefix, number = layer
        start = name.index(f"{number}.", len(prefix))
        prefixes.add(name[:start])
        layers.setdefault(number, []).append(name)
    if len(prefixes) != 1:
        raise InputRefused(
            f"layers can be stacked of models with one stack of them, and this base has {len(prefixes)}",
            hint="merge whole models instead",
        )
    return outside, layers, prefixes.pop()


def _layer(layers: Mapping[int, list[str]], number: int) -> Iterator[str]:
    if number not in layers:
        raise InputRefused(f"there is no layer {number}: the base has {len(layers)}", hint="choose another layer_range")
    return iter(layers[number])


def _stands_before(name: str) -> bool:
    return is_input_embedding(name) or any(part in _BEFORE or "embeddings" in part for part in name.split("."))


def _tensor(part: LayerSlice, made: str, name: str, offset: int | None, depth: float) -> Stacked:
    """``name`` with braces in the place of the layer's number, where ``offset`` counts from each model's first one.

    As in mergekit, filters compare with the name in the result, of what a model says or could say with its own name.
    """
    models = []
    for model in part.models:
        tensor = name if offset is None else name.format(model.first + offset)
        own = {key: at(setting, tensor, depth) for key, setting in {**part.parameters, **model.parameters}.items()}
        models.append(StackedModel(model.model, tensor, float(at(model.weight, tensor, depth)), own))
    return Stacked(tuple(models), {key: at(setting, made, depth) for key, setting in part.parameters.items()})
