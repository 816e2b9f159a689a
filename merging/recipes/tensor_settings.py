"""What a recipe says for one tensor: weights and parameters, where they may differ from tensor to tensor."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from merging.methods import Computed, Fused, Method, ParameterValue
from merging.recipes.recipe import Recipe, check_sum
from merging.settings import Depths, Setting, at, fits, patterns


@dataclass(frozen=True)
class Local:
    """What holds for one tensor, models in the recipe's canonical order: skills, and perhaps the base behind them.

    ``shares``: the weights, divided by their sum where the method does that. ``each``: all parameters of each skill,
    its own before those for all.
    """

    weights: tuple[float, ...]
    total: float
    shares: tuple[float, ...]
    parameters: Mapping[str, ParameterValue]
    each: tuple[Mapping[str, ParameterValue], ...]


class TensorSettings:
    """A recipe's settings, tensor by tensor; those of a recipe that has one for all are found once."""

    def __init__(self, recipe: Recipe, tensors: Iterable[str]):
        self.varies = recipe.varies
        self._recipe, self._method = recipe, recipe.definition
        self._depths = Depths(tensors) if recipe.varies else None
        self._found: dict[str, Local] = {}

    def of(self, tensor: str) -> Local:
        """What holds for a tensor. Raises UsageError where its weights cannot be normalized."""
        if not self.varies:
            tensor = ""
        if tensor not in self._found:
            self._found[tensor] = self._local(tensor)
        return self._found[tensor]

    def _local(self, tensor: str) -> Local:
        recipe, depth = self._recipe, self._depths.of(tensor) if self._depths else 0.0
        parameters = _at(recipe.parameters, tensor, depth)
        each = tuple(parameters | _at(term.parameters, tensor, depth) for term in recipe.models)
        if self.varies:
            for own in (parameters, *each):
                self._method.agree(own)
        weights = tuple(float(at(term.weight, tensor, depth)) for term in recipe.models)
        divides = _divides(self._method, parameters)
        total = math.fsum(weights)
        if divides or self._method.sums(parameters, len(weights)):
            where = f"of {tensor!r} " if tensor else ""
            total = check_sum(recipe.method, weights, can_choose="normalize" in parameters, where=where)
        shares = tuple(weight / total for weight in weights) if divides else weights
        return Local(weights, total, shares, parameters, each)


def idle_filters(recipe: Recipe, tensors: Iterable[str]) -> Iterator[tuple[str, str | None, str]]:
    """(Setting, digest of the skill that it is said of, filter) of every filter that fits none of these tensors."""
    names = list(tensors)
    said: list[tuple[str, str | None, Setting]] = [(name, None, value) for name, value in recipe.parameters.items()]
    for term in recipe.models:
        said += [("weight", term.skill, term.weight), *((name, term.skill, v) for name, v in term.parameters.items())]
    for what, skill, setting in said:
        for pattern in patterns(setting):
            if not any(fits(pattern, name) for name in names):
                yield what, skill, pattern


def _divides(method: Method, parameters: Mapping[str, ParameterValue]) -> bool:
    """Whether skills have shares: weights divided by their sum before anything is computed."""
    if isinstance(method.how, Computed):
        return method.how.averages
    return isinstance(method.how, Fused) and bool(parameters.get("normalize"))


def _at(settings: Mapping[str, Setting], tensor: str, depth: float) -> dict[str, ParameterValue]:
    return {name: at(setting, tensor, depth) for name, setting in settings.items()}
