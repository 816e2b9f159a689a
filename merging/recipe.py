"""Recipes: a merge as canonical JSON over digests. The digest of that JSON is the merge's identity."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from merging.methods import METHODS, ParameterValue, method_named
from storage.digests import is_digest, json_digest
from storage.dtypes import MERGEABLE
from storage.errors import IntegrityFailure, UsageError

FORMAT = 1
SEMANTICS = "paper"
"""fp32 arithmetic, rescaling by 1/(1 − p), the papers' definitions."""


@dataclass(frozen=True)
class RecipeTerm:
    """One skill of a recipe: its digest and its signed weight."""

    skill: str
    weight: float


@dataclass(frozen=True)
class Recipe:
    """Method, base, skills with weights in canonical order (by skill digest), parameters, head and dtype.

    Two recipes of the same digest give the same output bytes. ``head``: digest of the skill whose extra tensors
    (a task head) the result carries. ``dtype``: the output dtype of merged tensors, None for the base's own.
    """

    method: str
    base: str
    terms: tuple[RecipeTerm, ...]
    parameters: Mapping[str, ParameterValue]
    head: str | None = None
    dtype: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """The JSON document that is digested."""
        return {
            "format": FORMAT,
            "semantics": SEMANTICS,
            "method": self.method,
            "base": self.base,
            "terms": [{"skill": term.skill, "weight": term.weight} for term in self.terms],
            "parameters": dict(self.parameters),
            "head": self.head,
            "dtype": self.dtype,
        }

    @property
    def digest(self) -> str:
        """``sha256:…`` of the canonical JSON."""
        return json_digest(self.to_dict())


def make_recipe(
    method: str,
    base: str,
    weights: Mapping[str, float],
    parameters: Mapping[str, ParameterValue],
    *,
    stored_sparse: frozenset[str] = frozenset(),
    head: str | None = None,
    dtype: str | None = None,
) -> Recipe:
    """Build a recipe from digests, checking parameters and putting terms in canonical order.

    ``stored_sparse`` names the skills whose stored delta is already dropped at random; a parameter that would
    then have no effect is not recorded, and refused when given. Raises UsageError.
    """
    definition = method_named(method)
    draws = not set(weights) <= stored_sparse
    checked = definition.check(parameters, draws=draws)
    if definition.normalizes and checked["normalize"] and sum(weights.values()) == 0:
        raise UsageError(f"{method}: the weights add up to zero, so they cannot be normalized")
    if dtype is not None and dtype not in MERGEABLE:
        raise UsageError(f"unknown output dtype {dtype!r}", hint=f"choose one of {', '.join(sorted(MERGEABLE))}")
    terms = tuple(RecipeTerm(skill, float(weights[skill])) for skill in sorted(weights))
    return Recipe(method, base, terms, checked, head, dtype)


def read_recipe(document: Any) -> Recipe:
    """A recipe from its stored JSON. Raises IntegrityFailure when it is not one."""
    try:
        if document["format"] != FORMAT or document["semantics"] != SEMANTICS:
            raise IntegrityFailure(
                f"recipe format {document['format']!r}, semantics {document['semantics']!r} is not known here",
                hint="upgrade mergestore",
            )
        terms = tuple(RecipeTerm(term["skill"], float(term["weight"])) for term in document["terms"])
        recipe = Recipe(
            document["method"], document["base"], terms, document["parameters"], document["head"], document["dtype"]
        )
    except (KeyError, TypeError, ValueError) as error:
        raise IntegrityFailure(f"damaged recipe: {error!r}") from error
    digests = [recipe.base, *(term.skill for term in terms), *([recipe.head] if recipe.head else [])]
    if recipe.method not in METHODS or not all(isinstance(d, str) and is_digest(d) for d in digests):
        raise IntegrityFailure("damaged recipe: unknown method or malformed digest")
    return recipe
