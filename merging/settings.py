"""Weights and parameters that differ from tensor to tensor: a gradient over the layers, or values by tensor name.

A *setting* is, in recipes as in recipe files:

    a value            the same for every tensor
    a list of numbers  a gradient: spread evenly over the depth of the model, linear in between
    a list of choices  ``{"filter": pattern, "value": value or gradient}``: the first whose pattern fits the tensor's
                       name counts; the last has no filter, and holds for all others

A pattern with ``*``, ``?`` or ``[`` is compared with the whole name, as file names are; any other with any part of it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any, TypeGuard

from storage.errors import UsageError

Value = float | int | bool | str
Setting = Value | list[Any]
"""A value, a gradient or a list of choices, as JSON has them."""

_WILD = frozenset("*?[")
_LAYER = re.compile(r"(?:^|(?<=\.))(?:layers?|h|blocks?)\.(\d+)(?=\.|$)")
_NUMBER = re.compile(r"(?:^|(?<=\.))(\d+)(?=\.|$)")


def varies(setting: Setting) -> TypeGuard[list[Any]]:
    """Whether it is not the same for every tensor."""
    return isinstance(setting, list)


def constant(setting: Setting) -> Value:
    """The value of a setting that does not vary. Raises ValueError for any other."""
    if varies(setting):
        raise ValueError(f"{setting!r} varies")
    return setting  # type: ignore[return-value]  # mypy: a guard says nothing of the other case


def checked(setting: object, check: Callable[[object], Value], name: str) -> Setting:
    """The setting with every value checked, in the one form that recipes know for it. Raises UsageError."""
    if not isinstance(setting, list | tuple):
        return check(setting)
    if not setting:
        raise UsageError(f"{name}: an empty list is no setting", hint=_FORMS)
    if any(isinstance(each, Mapping) for each in setting):
        return _choices(list(setting), check, name)
    return _gradient(setting, check, name)


def values(setting: Setting) -> list[Value]:
    """Every value that stands in it."""
    if not varies(setting):
        return [constant(setting)]
    return [value for each in setting for value in (values(each["value"]) if isinstance(each, dict) else [each])]


def mapped(setting: Setting, change: Callable[[Value], Value]) -> Setting:
    """The setting with every value changed."""
    if not varies(setting):
        return change(constant(setting))
    return [
        {**each, "value": mapped(each["value"], change)} if isinstance(each, dict) else change(each) for each in setting
    ]


def at(setting: Setting, tensor: str, depth: float) -> Value:
    """The value for one tensor; ``depth``: where it lies in the model, 0 to 1."""
    if not varies(setting):
        return constant(setting)
    if not isinstance(setting[0], dict):
        return _between(setting, depth)
    chosen = next(each["value"] for each in setting if "filter" not in each or fits(each["filter"], tensor))
    return at(chosen, tensor, depth)


def patterns(setting: Setting) -> list[str]:
    """The filters that stand in it."""
    return (
        [each["filter"] for each in setting if isinstance(each, dict) and "filter" in each] if varies(setting) else []
    )


def fits(pattern: str, tensor: str) -> bool:
    """Whether a filter means a tensor."""
    return fnmatchcase(tensor, pattern) if _WILD & set(pattern) else pattern in tensor


class Depths:
    """Where each tensor lies in a model: its layer's number over the number of the last layer, 0 outside of layers.

    A model's only layer is at 1. Layers are counted separately where a model has several stacks of them.
    """

    def __init__(self, tensors: Iterable[str]):
        found = {name: layer_of(name) for name in tensors}
        last: Counter[str] = Counter()
        for layer in found.values():
            if layer is not None:
                last[layer[0]] = max(last[layer[0]], layer[1])
        self._depths = {name: _depth(layer, last) for name, layer in found.items()}

    def of(self, tensor: str) -> float:
        """0 to 1."""
        return self._depths[tensor]


def layer_of(name: str) -> tuple[str, int] | None:
    """The stack that a tensor belongs to and its layer's number there."""
    found = _LAYER.search(name) or _NUMBER.search(name)
    return (name[: found.start()], int(found[1])) if found else None


def _depth(layer: tuple[str, int] | None, last: Mapping[str, int]) -> float:
    if layer is None:
        return 0.0
    stack, number = layer
    return number / last[stack] if last[stack] else 1.0


def _between(gradient: list[float], depth: float) -> float:
    """Linear between the values that stand at 0, 1/(n − 1), … 1."""
    place = depth * (len(gradient) - 1)
    below = min(int(place), len(gradient) - 2)
    share = place - below
    return (1 - share) * gradient[below] + share * gradient[below + 1]


def _gradient(setting: Any, check: Callable[[object], Value], name: str) -> Setting:
    gradient = [check(each) for each in setting]
    if any(isinstance(each, str | bool) for each in gradient):
        raise UsageError(f"{name}: a gradient is between numbers, found {setting!r}", hint=_FORMS)
    return gradient if len(set(gradient)) > 1 else gradient[0]


def _choices(setting: list[Any], check: Callable[[object], Value], name: str) -> Setting:
    for each in setting:
        odd = not isinstance(each, Mapping) or "value" not in each or set(each) - {"filter", "value"}
        if odd or not isinstance(each.get("filter", ""), str):
            raise UsageError(f"{name}: {each!r} is not a choice of a value by tensor name", hint=_FORMS)
    defaults = [place for place, each in enumerate(setting) if each.get("filter", "*") == "*"]
    if not defaults:
        raise UsageError(
            f"{name}: nothing is said for tensors that no filter fits",
            hint="end with a value for all others: {mlp: 0.3, *: 0.5}, in a file {value: 0.5}",
        )
    if defaults[0] != len(setting) - 1:
        raise UsageError(f"{name}: what stands after the value for all tensors never counts", hint="put that one last")
    chosen = [
        {"filter": each["filter"], "value": _inner(each["value"], check, name)}
        if each.get("filter", "*") != "*"
        else {"value": _inner(each["value"], check, name)}
        for each in setting
    ]
    return chosen if len(chosen) > 1 else chosen[0]["value"]


def _inner(value: object, check: Callable[[object], Value], name: str) -> Setting:
    if isinstance(value, list) and any(isinstance(each, Mapping) for each in value):
        raise UsageError(f"{name}: a choice within a choice", hint="a filter gives a value or a gradient")
    return checked(value, check, name)


_FORMS = (
    "a number, a gradient [0, 0.5, 1], or choices by tensor name: {self_attn: 0.3, *: 0.5}, "
    "in a file [{filter: self_attn, value: 0.3}, {value: 0.5}]"
)
