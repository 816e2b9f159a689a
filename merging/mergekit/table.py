"""The table of mergekit's methods, with the two parameters of ours that place the base and the dtype."""

from __future__ import annotations

import difflib
from dataclasses import replace

from merging.mergekit import deltas, linear, model_stock, ram, sce, spheres, swaps
from merging.methods.method import Arithmetic, Method
from merging.methods.parameters import Parameter
from storage.errors import UsageError

VERSION = "0.1.5"
"""The release of mergekit whose arithmetic this is."""

_COMPUTE_DTYPE = Parameter(
    "compute_dtype",
    "inputs",
    "mergekit's dtype: what every input is converted to first; inputs: what they have in common",
    choices=("inputs", "F32", "F16", "BF16"),
)
_BASE = "mergekit's base_model: the base, or the first of the models"
_REQUIRED = Parameter("base_model", "base", _BASE, choices=("base", "first"))
_OPTIONAL = Parameter("base_model", "base", _BASE + ", or none", choices=("base", "first", "none"))


def _placed(method: Method) -> Method:
    assert isinstance(method.how, Arithmetic)
    base = {"ignored": (), "optional": (_OPTIONAL,), "required": (_REQUIRED,)}[method.how.base]
    own = method.how.own
    parameters = [replace(each, each=True) if each.name in own else each for each in method.parameters]
    return replace(method, parameters=(*parameters, *base, _COMPUTE_DTYPE))


METHODS: dict[str, Method] = {
    method.name: _placed(method)
    for method in (
        linear.LINEAR,
        *deltas.METHODS,
        sce.METHOD,
        ram.RAM,
        ram.RAMPLUS_TL,
        spheres.SLERP,
        spheres.NUSLERP,
        spheres.MULTISLERP,
        spheres.KARCHER,
        model_stock.METHOD,
        swaps.NEARSWAP,
        swaps.ARCEE_FUSION,
        linear.PASSTHROUGH,
    )
}


def mergekit_method(name: str) -> Method:
    """The method of this name. Raises UsageError naming the nearest one."""
    if name in METHODS:
        return METHODS[name]
    near = difflib.get_close_matches(name, METHODS, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise UsageError(
        f"mergekit {VERSION} has no method {name!r}",
        hint=f"{hint}with --semantics mergekit there are {', '.join(METHODS)}",
    )
