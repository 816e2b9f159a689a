"""In which dtype mergekit computes a tensor, and in which it writes the result."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from merging.methods.method import Arithmetic

if TYPE_CHECKING:
    from merging.recipes.recipe import Recipe
    from storage.checkpoints.tensors import TensorEntry
    from storage.deltas.delta import DeltaFile

    Deltas = Mapping[str, DeltaFile]


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


def result_dtype(
    recipe: Recipe, own: str, parts: Iterable[tuple[str, str]], base: Mapping[str, TensorEntry], deltas: Deltas
) -> str:
    """The dtype of one tensor of the result, whose dtype in the base is ``own``.

    ``parts``: each model with its tensor that takes part; ``base``: the base's tensors.
    """
    how = recipe.definition.how
    if recipe.dtype is not None:
        return recipe.dtype
    if isinstance(how, Arithmetic) and how.widens:
        return "F32"
    inputs = [_dtype(deltas.get(model), name, base[name].dtype) for model, name in parts]
    return working_dtype(recipe, [*inputs, *([own] if role_of_base(recipe) == "base" else [])])


def _dtype(delta: DeltaFile | None, name: str, own: str) -> str:
    """A model's dtype of a tensor; without a delta it is the base."""
    tensor = delta.manifest.tensors[delta.resolve(name)] if delta is not None else None
    return tensor.fine_tuned_dtype if tensor is not None and tensor.form in ("kept", "lora") else own
