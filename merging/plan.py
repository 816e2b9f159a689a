"""From a recipe and opened inputs to a plan: which tensors come out, and what goes into each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from merging.combination import Combine, Contribution, Drop
from merging.methods import Coefficients, Computed, Method, method_named
from merging.recipe import Recipe, weight_sum
from merging.statistics import Array, Statistics
from storage.checkpoints.tensors import TensorEntry, TensorSource, listed
from storage.deltas.delta import DeltaFile, TensorTerm
from storage.dtypes import DTYPES, MERGEABLE
from storage.encodings.coding import EXACT, Coding
from storage.encodings.philox import FULL, keep_threshold, quantized_drop_rate
from storage.errors import InputRefused

SHOWN = 5


@dataclass(frozen=True)
class OutputTensor:
    """One tensor of the merged model: from the base's ``base`` tensor, or the head's ``head`` tensor."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    base: str | None = None
    head: str | None = None

    @property
    def elements(self) -> int:
        """Number of elements."""
        count = 1
        for size in self.shape:
            count *= size
        return count

    @property
    def nbytes(self) -> int:
        """Size in bytes."""
        return self.elements * DTYPES[self.dtype].itemsize


@dataclass(frozen=True)
class SkillTerm:
    """One skill of the recipe with its open delta, weight wₖ and normalized weight (wₖ/Σw where that applies)."""

    digest: str
    delta: DeltaFile
    weight: float
    share: float


@dataclass(frozen=True)
class Plan:
    """Everything the materializer needs.

    First passes over the skills fill in ``cutoffs``, by skill digest and tensor, and ``coefficients``, by tensor
    (``merging.preparing``).
    """

    recipe: Recipe
    base: TensorSource
    base_digests: Mapping[str, str]
    skills: tuple[SkillTerm, ...]
    combine: Combine
    outputs: tuple[OutputTensor, ...]
    method: Method
    head: DeltaFile | None = None
    cutoffs: Mapping[tuple[str, str], float] = field(default_factory=dict)
    coefficients: Mapping[str, Coefficients] = field(default_factory=dict)
    statistics: Statistics | None = None

    def terms(self, name: str) -> list[tuple[SkillTerm, TensorTerm]]:
        """The skills that change one base tensor, in canonical order."""
        found = ((skill, skill.delta.term(name)) for skill in self.skills)
        return [(skill, term) for skill, term in found if term is not None]

    def contribution(self, name: str, skill: SkillTerm, term: TensorTerm, index: int) -> Contribution:
        """What a skill adds to one chunk of the base's tensor ``name``."""
        drop = self._drop(term)
        kept = 1 - quantized_drop_rate(drop.threshold if drop else _coding(term).threshold)
        share = self.share(name, skill)
        return Contribution(
            term=term.chunk(index),
            coefficient=share / kept,
            weight=share,
            drop=drop,
            cutoff=self.cutoffs.get((skill.digest, term.name), 0.0),
            rescale=1 / kept,
        )

    def share(self, name: str, skill: SkillTerm) -> float:
        """The weight of a skill's delta in one of the base's tensors."""
        found = self.coefficients.get(name)
        return skill.share if found is None else found.skills[self.skills.index(skill)]

    def combine_of(self, name: str) -> Combine:
        """How the contributions to one of the base's tensors become its output."""
        found = self.coefficients.get(name)
        return self.combine if found is None else replace(self.combine, base_scale=found.base)

    def statistics_of(self, skill: SkillTerm, name: str, start: int, count: int) -> Array | None:
        """What was collected of a skill for one of the base's tensors, if anything: of so many elements, or whole."""
        return None if self.statistics is None else self.statistics.read(skill.digest, name, start, count)

    @property
    def computes(self) -> Computed | None:
        """The function that the method computes with, if it does not combine in the fused pass."""
        how = self.method.how
        if not isinstance(how, Computed) or (how.averages and len(self.skills) == 1):
            return None
        return how

    def _drop(self, term: TensorTerm) -> Drop | None:
        """A mask is drawn now only for a skill that was not dropped when it was stored."""
        if not self.method.fused.drops or _coding(term).sparsified:
            return None
        threshold = keep_threshold(float(self.recipe.parameters["drop_rate"]))
        if threshold == FULL:
            return None
        return Drop(term.key(int(self.recipe.parameters["seed"])), threshold)

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


def make_plan(
    recipe: Recipe, base: TensorSource, base_digests: Mapping[str, str], deltas: Mapping[str, DeltaFile]
) -> Plan:
    """Plan a recipe over its opened inputs. ``deltas`` is keyed by skill digest and includes the head's.

    Raises InputRefused, naming the tensors, when a delta was made against another base.
    """
    for delta in deltas.values():
        check_base(delta, base_digests, base.entries)
    head = deltas[recipe.head] if recipe.head else None
    return Plan(
        recipe=recipe,
        base=base,
        base_digests=base_digests,
        skills=_skills(recipe, deltas),
        combine=_combine(recipe),
        method=method_named(recipe.method),
        outputs=_outputs(recipe, base, head),
        head=head,
    )


def with_recipe(plan: Plan, recipe: Recipe) -> Plan:
    """The plan of a recipe over the same base, skills, head and dtype as the plan's own."""
    deltas = {skill.digest: skill.delta for skill in plan.skills}
    return replace(
        plan,
        recipe=recipe,
        skills=_skills(recipe, deltas),
        combine=_combine(recipe),
        method=method_named(recipe.method),
        cutoffs={},
        coefficients={},
    )


def check_base(delta: DeltaFile, base_digests: Mapping[str, str], entries: Mapping[str, TensorEntry]) -> None:
    """Refuse a delta whose recorded base tensors are not these: their bytes, dtypes and shapes.

    Raises InputRefused naming them.
    """
    tensors = delta.manifest.tensors
    missing = sorted(set(tensors) ^ set(base_digests))

    def differs(name: str) -> bool:
        tensor, entry = tensors[name], entries[name]
        # A digest is of bytes alone: compiled loops count on the elements being as many as the manifest says.
        return tensor.base != base_digests[name] or (tensor.dtype, tensor.shape) != (entry.dtype, entry.shape)

    differing = [name for name in sorted(tensors) if name not in missing and differs(name)]
    if missing or differing:
        raise InputRefused(
            f"{delta.path} was made against another base: {len(differing)} tensors differ "
            f"({listed(differing, SHOWN) or 'none'}), {len(missing)} are in only one of them "
            f"({listed(missing, SHOWN) or 'none'})",
            hint=f"the delta needs the base of digest {delta.manifest.base}",
        )


def _skills(recipe: Recipe, deltas: Mapping[str, DeltaFile]) -> tuple[SkillTerm, ...]:
    how = method_named(recipe.method).how
    averages = isinstance(how, Computed) and how.averages
    total = weight_sum(recipe) if averages or recipe.parameters.get("normalize") else 1.0
    return tuple(SkillTerm(term.skill, deltas[term.skill], term.weight, term.weight / total) for term in recipe.terms)


def _combine(recipe: Recipe) -> Combine:
    fused, parameters = method_named(recipe.method).fused, recipe.parameters
    # Σ wₖθₖ without normalizing holds the base Σ wₖ times.
    unnormalized = fused.normalizes and not parameters["normalize"]
    scale = float(parameters.get("lambda", 1.0))
    return Combine(
        elects=fused.elects,
        by_weight=parameters.get("divisor") == "weights",
        scale=float(parameters["scale"]) if fused.scales else scale,
        base_scale=float(parameters["scale"]) if fused.scales else weight_sum(recipe) if unnormalized else 1.0,
    )


def _outputs(recipe: Recipe, base: TensorSource, head: DeltaFile | None) -> tuple[OutputTensor, ...]:
    outputs = [
        OutputTensor(_output_name(name, head), _output_dtype(entry.dtype, recipe), entry.shape, base=name)
        for name, entry in base.entries.items()
    ]
    if head is not None:
        outputs += [
            OutputTensor(name, _output_dtype(tensor.dtype, recipe), tensor.shape, head=name)
            for name, tensor in head.manifest.head.items()
        ]
    names = Counter(output.name for output in outputs)
    if twice := sorted(name for name, count in names.items() if count > 1):
        raise InputRefused(
            f"with this head, {len(twice)} tensors of the result would share a name: {listed(twice, SHOWN)}",
            hint="materialize with another head, or with --head none",
        )
    return tuple(sorted(outputs, key=lambda output: output.name))


def _output_name(name: str, head: DeltaFile | None) -> str:
    """With a head, the model is named as the head's fine-tune names it: `bert.` before what the base lacks."""
    if head is None:
        return name
    return head.manifest.prefix + name.removeprefix(head.manifest.dropped_prefix)


def _output_dtype(dtype: str, recipe: Recipe) -> str:
    return recipe.dtype if recipe.dtype and dtype in MERGEABLE else dtype
