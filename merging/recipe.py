"""Recipes: a merge as canonical JSON over digests. The digest of that JSON is the merge's identity."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from merging.methods import ParameterValue, method_named
from storage.digests import canonical_json, is_digest, json_digest
from storage.dtypes import MERGEABLE
from storage.errors import IntegrityFailure, UsageError

FORMAT = 1
EXTENDED_FORMAT = 2
"""Of recipes that say something which format 1 has no word for; all others keep format 1, and so their digests."""
SEMANTICS = "paper"
"""fp32 arithmetic, rescaling by 1/(1 − p), the papers' definitions."""
MAX_WEIGHT = 1e30
"""Weights stay well inside fp32, rescaled or not."""


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
    ``files``: digest of the base's companion files (config, tokenizer), which the result is published with.
    """

    method: str
    base: str
    terms: tuple[RecipeTerm, ...]
    parameters: Mapping[str, ParameterValue]
    head: str | None = None
    dtype: str | None = None
    files: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """The JSON document that is digested."""
        added = self._added()
        return added | {
            "format": EXTENDED_FORMAT if added else FORMAT,
            "semantics": SEMANTICS,
            "method": self.method,
            "base": self.base,
            "files": self.files,
            "terms": [{"skill": term.skill, "weight": term.weight} for term in self.terms],
            "parameters": dict(self.parameters),
            "head": self.head,
            "dtype": self.dtype,
        }

    def _added(self) -> dict[str, Any]:
        """The fields that format 2 added: those that say something."""
        return {}

    @property
    def canonical(self) -> str:
        """The canonical JSON text."""
        return canonical_json(self.to_dict()).decode()

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
    files: str | None = None,
) -> Recipe:
    """Build a recipe from digests, checking parameters and putting terms in canonical order.

    ``stored_sparse`` names the skills that were sparsified when they were stored; a parameter that would
    then have no effect is not recorded, and refused when given. Raises UsageError.
    """
    definition = method_named(method)
    if not weights:
        raise UsageError("a recipe needs at least one skill")
    draws = not set(weights) <= stored_sparse
    checked = definition.check(parameters, draws=draws)
    terms = tuple(RecipeTerm(skill, _weight(skill, weights[skill])) for skill in sorted(weights))
    definition.check_skills([term.weight for term in terms])
    if "unsparsified" in definition.needs and (sparse := sorted(set(weights) & stored_sparse)):
        raise UsageError(
            f"{method} needs all of each delta, and {len(sparse)} skills were sparsified when they were registered: "
            f"{', '.join(sparse)}",
            hint="register their fine-tunes again with --encoding exact",
        )
    if definition.sums(checked, len(terms)) and _cancels(weights.values()):
        raise UsageError(
            f"{method}: the weights add up to zero, so they cannot be normalized",
            hint="choose other weights" + (", or set normalize to false" if "normalize" in checked else ""),
        )
    if dtype is not None and dtype not in MERGEABLE:
        raise UsageError(f"unknown output dtype {dtype!r}", hint=f"choose one of {', '.join(sorted(MERGEABLE))}")
    return Recipe(method, base, terms, checked, head, dtype, files)


def weight_sum(recipe: Recipe) -> float:
    """Σ wₖ, rounded once: the built-in sum rounds differently in different versions of Python."""
    return math.fsum(term.weight for term in recipe.terms)


def _cancels(weights: Iterable[float]) -> bool:
    """Whether the sum is zero but for rounding, as that of 0.1, 0.2 and −0.3 is."""
    values = list(weights)
    return abs(math.fsum(values)) <= 1e-12 * math.fsum(map(abs, values))


def _weight(skill: str, weight: float) -> float:
    if not abs(weight) <= MAX_WEIGHT:
        raise UsageError(f"weight {weight} of {skill} is not a number of at most {MAX_WEIGHT:g}")
    return float(weight) + 0.0  # −0.0 and 0.0 have one spelling in canonical JSON, so they must be one weight


def read_recipe(document: Any) -> Recipe:
    """A recipe from its stored JSON, as ``parse_json`` reads it. Raises IntegrityFailure when it is not one."""
    try:
        if document["format"] not in (FORMAT, EXTENDED_FORMAT) or document["semantics"] != SEMANTICS:
            raise IntegrityFailure(
                f"recipe format {document['format']!r}, semantics {document['semantics']!r} is not known here",
                hint="upgrade mergestore",
            )
        recipe = Recipe(
            method=document["method"],
            base=document["base"],
            terms=tuple(RecipeTerm(term["skill"], float(term["weight"])) for term in document["terms"]),
            parameters=document["parameters"],
            head=document["head"],
            dtype=document["dtype"],
            files=document["files"],
        )
        sound = recipe.to_dict() == document and _sound(recipe)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise IntegrityFailure(f"damaged recipe: {error!r}") from error
    if not sound:
        raise IntegrityFailure("damaged recipe: unknown fields, malformed digests or terms out of order")
    return recipe


def _sound(recipe: Recipe) -> bool:
    """Whether ``make_recipe`` could have made it; may raise ValueError or TypeError instead."""
    definition = method_named(recipe.method)
    draws = any(parameter.draws and parameter.name in recipe.parameters for parameter in definition.parameters)
    skills = [term.skill for term in recipe.terms]
    digests = [recipe.base, *skills, *(digest for digest in (recipe.head, recipe.files) if digest is not None)]
    return (
        all(is_digest(digest) for digest in digests)
        and skills == sorted(set(skills))
        and all(math.isfinite(term.weight) for term in recipe.terms)
        and definition.check(recipe.parameters, draws=draws) == recipe.parameters
        and (recipe.dtype is None or recipe.dtype in MERGEABLE)
    )
