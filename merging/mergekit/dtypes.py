"""In which dtype mergekit computes a tensor, and in which it writes the result."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from merging.methods.method import Arithmetic

if TYPE_CHECKING:
    from merging.recipe import Recipe
    from storage.deltas.delta import DeltaFile


def role_of_base(recipe: Recipe) -> str:
    """What is mergekit's ``base_model``: the recipe's base, the first of the models, or none."""
    how = recipe.definition.how
    ignored = isinstance(how, Arithmetic) and how.base == "ignored"
    return str(recipe.parameters.get("base_model", "none" if ignored else "base"))


def working_dtype(recipe: Recipe, inputs: Iterable[str]) -> str:
    """The dtype that is asked for, else what the inputs have in common: fp32 for any two of fp32, fp16 and bf16."""
    asked = str(recipe.parameters["compute_dtype"])
    found = set(inputs)
    return asked if asked != "inputs" else found.pop() if len(found) == 1 else "F32"


def result_dtype(recipe: Recipe, name: str, own: str, deltas: Mapping[str, DeltaFile]) -> str:
    """The dtype of one tensor of the result, whose dtype in the base is ``own``."""
    how = recipe.definition.how
    if recipe.dtype is not None:
        return recipe.dtype
    if isinstance(how, Arithmetic) and how.widens:
        return "F32"
    models = (model.skill for model in recipe.models)
    inputs = [_fine_tuned(deltas[model], name, own) if model in deltas else own for model in models]
    return working_dtype(recipe, [*inputs, *([own] if role_of_base(recipe) == "base" else [])])


def _fine_tuned(delta: DeltaFile, name: str, own: str) -> str:
    tensor = delta.manifest.tensors[delta.resolve(name)]
    return tensor.fine_tuned_dtype if tensor.form in ("kept", "lora") else own
