"""The two ways in which methods of the same name compute: as their papers say, and as mergekit does."""

from __future__ import annotations

from merging.mergekit import METHODS as MERGEKIT_METHODS
from merging.mergekit import mergekit_method
from merging.methods import Method, all_methods, method_named
from storage.errors import UsageError

PAPER = "paper"
"""fp32 arithmetic, rescaling by 1/(1 − p), the papers' definitions."""
MERGEKIT = "mergekit"
"""The arithmetic of mergekit 0.1.5, in the dtype of the inputs and in the order of the models."""
SEMANTICS = (PAPER, MERGEKIT)


def check_semantics(semantics: str) -> str:
    """The semantics, if it is one. Raises UsageError."""
    if semantics not in SEMANTICS:
        raise UsageError(f"unknown semantics {semantics!r}", hint=f"choose {' or '.join(SEMANTICS)}")
    return semantics


def method_of(semantics: str, name: str) -> Method:
    """The method of this name. Raises UsageError naming the nearest one, or the semantics that has it."""
    check_semantics(semantics)
    try:
        return mergekit_method(name) if semantics == MERGEKIT else method_named(name)
    except UsageError as error:
        other = PAPER if semantics == MERGEKIT else MERGEKIT
        if name not in methods_of(other):
            raise
        raise UsageError(
            error.message,
            hint=f"it is a method of the {'papers' if other == PAPER else 'package mergekit'}: --semantics {other}",
        ) from error


def methods_of(semantics: str) -> dict[str, Method]:
    """Every method that can be named."""
    return MERGEKIT_METHODS if check_semantics(semantics) == MERGEKIT else all_methods()
