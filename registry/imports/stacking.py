"""Layers that are stacked, over resolved versions: their recipe, and the configuration of what comes out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from merging.mergekit.stack import LayerSlice
from merging.recipes.recipe import make_stacked
from merging.recipes.semantics import MERGEKIT, method_of
from registry.home import Home
from registry.merges import output_dtype, refuse_sparse, sparse_skills
from registry.records.tables import ModelVersion
from registry.resolved import Choices, ResolvedMerge
from registry.tokens.token_sources import language_part
from registry.tokens.vocabulary import settle

_COUNTS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")
_LISTS = ("layer_types", "layers_block_type", "mlp_layer_types", "no_rope_layers")
"""What a configuration says of each layer in turn."""


@dataclass(frozen=True)
class Stack:
    """The base, the skills, the slices by digest, and the parameters of the whole."""

    base: ModelVersion
    skills: tuple[ModelVersion, ...]
    slices: tuple[LayerSlice, ...]
    parameters: Mapping[str, Any]


def resolve_stack(session: Session, home: Home, stack: Stack, choices: Choices, text: str) -> ResolvedMerge:
    """The recipe of a stack; ``text`` is what it is shown as. Raises UsageError."""
    method = choices.method or ""
    sparse = sparse_skills(session, stack.skills)
    refuse_sparse(method_of(MERGEKIT, method), [skill for skill in stack.skills if skill.digest in sparse])
    recipe = make_stacked(
        method,
        stack.base.digest,
        stack.slices,
        stack.parameters,
        dtype=output_dtype(choices.dtype),
        files=stack.base.attributes.get("files"),
    )
    by_digest = {skill.digest: skill for skill in stack.skills}
    ordered = tuple(by_digest[term.skill] for term in recipe.terms)
    settled = settle(session, home, recipe, stack.base, ordered, choices.vocabulary)
    return ResolvedMerge(settled, stack.base, ordered, None, text)


def layer_count(config: Mapping[str, Any]) -> int | None:
    """How many layers a config.json says that there are, if it says it."""
    part = language_part(dict(config))
    return next((part[key] for key in _COUNTS if type(part.get(key)) is int), None)


def set_layers(config: dict[str, Any], slices: tuple[LayerSlice, ...]) -> None:
    """Make a config.json that of the stack: the number of layers, and what is said of each one by one."""
    part = language_part(config)
    own = [part.models[0].first + offset for part in slices for offset in range(part.layers)]
    before = layer_count(config)
    for key in _COUNTS:
        if type(part.get(key)) is int:
            part[key] = len(own)
    for key in _LISTS:
        said = part.get(key)
        if isinstance(said, list) and len(said) == before:
            part[key] = [said[number] for number in own]
