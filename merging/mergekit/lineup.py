"""Which models take part and in what order: what a recipe says of them, checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from merging.methods.method import Arithmetic, Method
from merging.settings import Setting
from storage.errors import UsageError


def order_of(models: Sequence[str], canonical: Sequence[str]) -> tuple[int, ...] | None:
    """For each model in turn, its place among the canonical ones; None where the two are alike."""
    order = tuple(canonical.index(model) for model in models)
    return None if order == tuple(range(len(canonical))) else order


def check_models(method: Method, parameters: Mapping[str, Setting], weights: Mapping[str, Setting], base: str) -> None:
    """Raise UsageError where the method cannot take these models: ``weights`` by digest, in their order."""
    how = method.how
    assert isinstance(how, Arithmetic)
    role = parameters.get("base_model", "none" if how.base == "ignored" else "base")
    if base in weights and role == "base":
        raise UsageError(
            f"{method.name}: the base is mergekit's base_model, so it cannot be one of the models too",
            hint="leave it out of the terms, or say which is the base_model: --param base_model=first",
        )
    given = list(weights.values())
    if role == "first" and (next(iter(weights)) == base or given[0] != 1):
        raise UsageError(
            f"{method.name}: with base_model=first the first model is mergekit's base_model, which has no weight and "
            "is not the base",
            hint="write it first and without a weight; for the base itself leave base_model out",
        )
    others = given[1:] if role == "first" else given
    most = method.skills[1]
    if role == "base" and how.base == "required" and most is not None and len(others) > most:
        raise UsageError(
            f"{method.name} takes its base_model and {most} other model{'s' if most > 1 else ''}, and here are "
            f"{len(others)} beside the base, which is base_model",
            hint="if the first of them is meant to be base_model, say so: --param base_model=first",
        )
    method.check_skills(others)
