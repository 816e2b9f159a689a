"""The table of all merge methods: this package's own, and those that other packages register."""

from __future__ import annotations

import difflib
from functools import cache
from importlib.metadata import EntryPoint, entry_points

from merging.methods import (
    breadcrumbs,
    della,
    emr,
    fisher,
    karcher,
    linear,
    model_stock,
    multislerp,
    nearswap,
    nuslerp,
    passthrough,
    regmean,
    sce,
    slerp,
    task_arithmetic,
    ties,
)
from merging.methods.method import Method
from storage.errors import EnvironmentFailure, UsageError

GROUP = "mergestore.methods"
"""Entry points of this group name a ``Method`` each."""

_OWN = (
    linear.METHOD,
    task_arithmetic.METHOD,
    task_arithmetic.DARE,
    ties.METHOD,
    ties.DARE,
    della.METHOD,
    della.LINEAR,
    breadcrumbs.METHOD,
    breadcrumbs.TIES,
    sce.METHOD,
    fisher.METHOD,
    regmean.METHOD,
    slerp.METHOD,
    nuslerp.METHOD,
    multislerp.METHOD,
    karcher.METHOD,
    model_stock.METHOD,
    nearswap.METHOD,
    passthrough.METHOD,
    emr.METHOD,
)
METHODS: dict[str, Method] = {method.name: method for method in _OWN}


def method_named(name: str) -> Method:
    """The method of this name. Raises UsageError naming the nearest one."""
    if name in METHODS:
        return METHODS[name]
    foreign = _registered()
    if name in foreign:
        return _loaded(name)
    known = (*METHODS, *foreign)
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise UsageError(f"unknown method {name!r}", hint=f"{hint}the methods are {', '.join(known)}")


def all_methods() -> dict[str, Method]:
    """Every method that can be named, this package's own first."""
    return METHODS | {name: _loaded(name) for name in _registered()}


@cache
def _registered() -> dict[str, EntryPoint]:
    """What other packages register, by name; a name of this package's own stays its own."""
    return {point.name: point for point in entry_points(group=GROUP) if point.name not in METHODS}


@cache
def _loaded(name: str) -> Method:
    point = _registered()[name]
    try:
        method = point.load()
    except Exception as error:  # whatever another package does while it is imported
        raise EnvironmentFailure(
            f"the method {name!r} of {point.value} cannot be loaded: {error!r}", hint="repair or remove that package"
        ) from error
    if not isinstance(method, Method) or method.name != name:
        raise EnvironmentFailure(
            f"{point.value} is registered as the method {name!r} and is no Method of that name",
            hint="repair or remove that package",
        )
    return method
