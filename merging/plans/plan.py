"""The plan of a merge: which tensors come out, and what goes into each."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from merging.engines.combination import Combine, Contribution, Drop
from merging.mergekit.stack import Stacked
from merging.methods import Arithmetic, Coefficients, Computed, Fused, Method
from merging.plans.growth import NO_GROWTH, Growth
from merging.plans.statistics import Array, Statistics
from merging.plans.tasks import Task
from merging.recipes.recipe import Recipe
from merging.recipes.tensor_settings import TensorSettings
from storage.checkpoints.tensors import TensorSource
from storage.deltas.delta import DeltaFile, TensorTerm
from storage.dtypes import DTYPES, MERGEABLE
from storage.encodings.chunks import ChunkTerm, DenseChunk, dense
from storage.encodings.coding import EXACT, Coding
from storage.encodings.numeric import as_bits
from storage.encodings.philox import FULL, keep_threshold, quantized_drop_rate


@dataclass(frozen=True)
class OutputTensor:
    """One tensor of the merged model: from the base's ``base`` tensor, or the head's ``head`` tensor."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    base: str | None = None
    head: str | None = None
    added: int = 0  # rows after the last one that the base has; fewer than the base has, where it is below zero
    aligned: bool = False  # the rows are not the base's and others behind them, but all laid out anew

    @property
    def own_shape(self) -> tuple[int, ...]:
        """The shape of what is merged: without the rows that were added."""
        return (self.shape[0] - self.added, *self.shape[1:]) if self.added else self.shape

    @property
    def own_elements(self) -> int:
        """Number of elements of what is merged."""
        return math.prod(self.own_shape)

    @property
    def elements(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Size in bytes."""
        return self.elements * DTYPES[self.dtype].itemsize


@dataclass(frozen=True)
class SkillTerm:
    """One skill of the recipe, at its place there, with its open delta.

    ``base``: the base that the delta was made against, where that is another one than the recipe's.
    """

    place: int
    digest: str
    delta: DeltaFile
    base: TensorSource | None = None


@dataclass(frozen=True)
class OtherBase:
    """A base that is not the recipe's own, opened: its tensors and their digests by name."""

    source: TensorSource
    digests: Mapping[str, str]


@dataclass(frozen=True)
class Plan:
    """Everything the materializer needs.

    First passes over the skills fill in ``cutoffs``, by skill digest and tensor, ``coefficients``, by tensor, and the
    ``task`` of a recipe that has one (``merging.passes.preparing``).
    """

    recipe: Recipe
    base: TensorSource
    base_digests: Mapping[str, str]
    skills: tuple[SkillTerm, ...]
    outputs: tuple[OutputTensor, ...]
    method: Method
    settings: TensorSettings
    head: DeltaFile | None = None
    cutoffs: Mapping[tuple[str, str], float] = field(default_factory=dict)
    coefficients: Mapping[str, Coefficients] = field(default_factory=dict)
    statistics: Statistics | None = None
    task: Task | None = None
    growth: Growth = NO_GROWTH
    stack: Mapping[str, Stacked] = field(default_factory=dict)

    def terms(self, name: str) -> list[tuple[SkillTerm, TensorTerm]]:
        """The skills that change one base tensor, in canonical order."""
        found = ((skill, skill.delta.term(name)) for skill in self.skills)
        return [(skill, term) for skill, term in found if term is not None]

    def contribution(self, name: str, skill: SkillTerm, term: TensorTerm, index: int) -> Contribution:
        """What a skill adds to one chunk of the base's tensor ``name``."""
        drop = self._drop(name, skill, term)
        kept = 1 - quantized_drop_rate(drop.threshold if drop else _coding(term).threshold)
        if kept < 1:
            kept = float(self.settings.of(name).each[skill.place].get("q", kept))
        share = self.share(name, skill)
        return Contribution(
            term=term.chunk(index) if skill.base is None else _on_own_base(skill.base, term, index),
            coefficient=share / kept,
            weight=share,
            drop=drop,
            cutoff=self.cutoffs.get((skill.digest, term.name), 0.0),
            rescale=1 / kept,
        )

    def share(self, name: str, skill: SkillTerm) -> float:
        """The weight of a skill's delta in one of the base's tensors."""
        found = self.coefficients.get(name)
        return self.settings.of(name).shares[skill.place] if found is None else found.skills[skill.place]

    def combine_of(self, name: str) -> Combine:
        """How the contributions to one of the base's tensors become its output."""
        local, fused, found = self.settings.of(name), self.method.fused, self.coefficients.get(name)
        # Σ wₖθₖ without normalizing holds the base Σ wₖ times.
        unnormalized = fused.normalizes and not local.parameters["normalize"]
        scale = float(local.parameters["scale"] if fused.scales else local.parameters.get("lambda", 1.0))
        own = scale if fused.scales else local.total if unnormalized else 1.0
        return Combine(
            elects=fused.elects,
            by_weight=local.parameters.get("divisor") == "weights",
            scale=scale,
            base_scale=own if found is None else found.base,
        )

    @property
    def alike(self) -> bool:
        """Whether every tensor is combined in the same way, from deltas of the recipe's own base, and has its shape;
        and what was dropped is rescaled by 1/(1 − p).
        """
        own = all(skill.base is None for skill in self.skills) and not self.growth.rows
        rescaled = any("q" in each for each in (self.recipe.parameters, *(t.parameters for t in self.recipe.terms)))
        return isinstance(self.method.how, Fused) and own and not self.settings.varies and not rescaled

    @property
    def result_dtype(self) -> str | None:
        """The dtype that the result is written in, where it was asked for, or follows from mergekit's arithmetic.

        None where every tensor has the base's own, or they have several.
        """
        if self.recipe.dtype is not None or self.arithmetic is None:
            return self.recipe.dtype
        found = {output.dtype for output in self.outputs if output.dtype in MERGEABLE}
        return found.pop() if len(found) == 1 else None

    @property
    def vocabulary_rows(self) -> int | None:
        """How many rows the vocabulary of the result has, where it is not the base's."""
        growth = self.growth
        return growth.total if growth.rows or growth.aligned is not None else None

    def statistics_of(self, skill: SkillTerm, name: str, start: int, count: int) -> Array | None:
        """What was collected of a skill for one of the base's tensors, if anything: of so many elements, or whole."""
        return None if self.statistics is None else self.statistics.read(skill.digest, name, start, count)

    @property
    def arithmetic(self) -> Arithmetic | None:
        """How mergekit computes the method, if that is how the recipe wants it."""
        how = self.method.how
        return how if isinstance(how, Arithmetic) else None

    @property
    def computes(self) -> Computed | None:
        """The function that the method computes with, if it does not combine in the fused pass."""
        how = self.method.how
        if not isinstance(how, Computed) or (how.averages and len(self.skills) == 1):
            return None
        return how

    def _drop(self, name: str, skill: SkillTerm, term: TensorTerm) -> Drop | None:
        """A mask is drawn now only for a skill that was not dropped when it was stored."""
        if not self.method.fused.drops or _coding(term).sparsified:
            return None
        parameters = self.settings.of(name).each[skill.place]
        threshold = keep_threshold(float(parameters["drop_rate"]))
        return None if threshold == FULL else Drop(term.key(int(parameters["seed"])), threshold)

    def is_identity(self, contributions: tuple[Contribution, ...], combine: Combine) -> bool:
        """Whether the result is the one fine-tuned tensor itself, which `exact` rebuilds to the bit."""
        if len(contributions) != 1 or (combine.scale, combine.base_scale) != (1.0, 1.0):
            return False
        only = contributions[0]
        coding = getattr(only.term, "coding", None)
        exact = isinstance(coding, Coding) and coding.values == "exact" and not coding.sparsified
        return exact and only.coefficient == 1.0 and only.drop is None and only.cutoff == 0.0


def _coding(term: TensorTerm) -> Coding:
    return term.tensor.coding or EXACT


def _on_own_base(base: TensorSource, term: TensorTerm, index: int) -> ChunkTerm:
    """A chunk of a delta, its values found against the base that it was made against, which may be another one."""
    chunk = term.chunk(index)
    if not term.tensor.needs_base:
        return chunk
    dtype = term.tensor.dtype
    raw = bytearray(chunk.count * DTYPES[dtype].itemsize)
    base.read_into(term.name, chunk.start * DTYPES[dtype].itemsize, memoryview(raw))
    # Adding zero makes minus zeros plain ones: which of the two a sum keeps is not every engine's business.
    return DenseChunk(dense(chunk, as_bits(memoryview(raw), dtype)) + np.float32(0), chunk.start)
