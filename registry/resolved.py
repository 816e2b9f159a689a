"""What a caller asked to be merged, and what that turned out to be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from merging.recipes.recipe import Recipe
from merging.settings import Setting
from registry.records.tables import ModelVersion
from registry.tokens.vocabulary import Asked

Parameters = Mapping[str, Any]


@dataclass(frozen=True)
class Choices:
    """What a caller may say beside the expression; None leaves it to the merge or the method.

    ``statistics``: by name of a skill, the digest of its statistics; of others the newest are taken.
    """

    method: str | None = None
    parameters: Parameters | None = None
    head: str | None = None
    dtype: str | None = None
    semantics: str | None = None
    task: str | None = None
    statistics: Mapping[str, str] | None = None
    vocabulary: Asked = field(default_factory=Asked)

    @property
    def any(self) -> bool:
        """Whether anything was chosen."""
        chosen = (self.method, self.head, self.dtype, self.semantics, self.task)
        said = bool(self.parameters or self.statistics) or self.vocabulary.any
        return said or any(value is not None for value in chosen)


@dataclass(frozen=True)
class ResolvedMerge:
    """A recipe and the registered versions behind its digests. ``merge``: the named merge that it is, or a task of, if
    any. ``unified``: the named merge whose stored vector it can be computed from.
    """

    recipe: Recipe
    base: ModelVersion
    skills: tuple[ModelVersion, ...]  # in the recipe's order
    head: ModelVersion | None
    expression: str
    merge: ModelVersion | None = None
    others: tuple[ModelVersion, ...] = ()  # bases, beside its own, that skills were made against
    unified: ModelVersion | None = None
    notes: tuple[str, ...] = ()  # on how it was resolved

    @property
    def task(self) -> ModelVersion | None:
        """The skill whose model it is, where the recipe names one."""
        return next((skill for skill in self.skills if skill.digest == self.recipe.task), None)

    @property
    def weights(self) -> Mapping[str, Setting | None]:
        """The weight of each skill, by digest: None of layers that are stacked, where each slice has its own."""
        recipe = self.recipe
        return {term.skill: None if recipe.slices else term.weight for term in recipe.terms}

    @property
    def inputs(self) -> tuple[ModelVersion, ...]:
        """Every version that is read, each once."""
        found = {version.id: version for version in (self.base, *self.others, *self.deltas)}
        return tuple(found.values())

    @property
    def roots(self) -> tuple[ModelVersion, ...]:
        """Where the lineage of the result begins: with the named merge, or with the inputs taken together."""
        return (self.merge,) if self.merge is not None else self.inputs

    @property
    def deltas(self) -> tuple[ModelVersion, ...]:
        """Every skill that is read, each once: the terms', and the one whose head the result carries."""
        found = {version.id: version for version in (*self.skills, *([self.head] if self.head else []))}
        return tuple(found.values())
