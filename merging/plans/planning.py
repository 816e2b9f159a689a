"""From a recipe and opened inputs to a plan: which tensors come out, and what goes into each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

from merging.mergekit.dtypes import result_dtype
from merging.mergekit.stack import Stacked, stack
from merging.methods import Arithmetic
from merging.plans.added_rows import check_averages
from merging.plans.growth import Growth, check_head, find_growth
from merging.plans.plan import OtherBase, OutputTensor, Plan, SkillTerm
from merging.plans.statistics import Collected, check_fit
from merging.recipes.recipe import Recipe
from merging.recipes.tensor_settings import TensorSettings
from storage.checkpoints.tensors import TensorEntry, TensorSource, listed
from storage.deltas.delta import DeltaFile
from storage.dtypes import MERGEABLE
from storage.errors import InputRefused
from storage.statistics.statistics_file import StatisticsFile

SHOWN = 5


def make_plan(
    recipe: Recipe,
    base: TensorSource,
    base_digests: Mapping[str, str],
    deltas: Mapping[str, DeltaFile],
    others: Mapping[str, OtherBase] | None = None,
) -> Plan:
    """Plan a recipe over its opened inputs. ``deltas`` is keyed by skill digest and includes the head's.

    ``others``: the bases, by digest, that skills were made against which the recipe adds to its own base all the same.
    Raises InputRefused, naming the tensors, when a delta was made against another base.
    """
    others = others or {}
    foreign = {term.skill: others[term.base] for term in recipe.terms if term.base is not None}
    for digest, delta in deltas.items():
        own = foreign.get(digest)
        check_base(delta, own.digests if own else base_digests, own.source.entries if own else base.entries)
        if own is not None:
            _check_fit(delta, base.entries)
    head = deltas[recipe.head] if recipe.head else None
    stacked = stack(recipe.slices, base.entries) if recipe.slices else {}
    growth = find_growth(recipe, base.entries, deltas)
    if head is not None:
        check_head(growth, head)
    plan = Plan(
        recipe=recipe,
        base=base,
        base_digests=base_digests,
        skills=_skills(recipe, deltas, foreign),
        method=recipe.definition,
        settings=TensorSettings(recipe, base.entries),
        outputs=_outputs(recipe, base, head, deltas, growth, stacked),
        head=head,
        growth=growth,
        stack=stacked,
    )
    check_averages(plan)
    return plan


def with_recipe(plan: Plan, recipe: Recipe) -> Plan:
    """The plan of a recipe over the same base, skills, head, vocabulary and dtype as the plan's own."""
    changed = replace(
        plan,
        recipe=recipe,
        method=recipe.definition,
        settings=TensorSettings(recipe, plan.base.entries),
        cutoffs={},
        coefficients={},
    )
    check_averages(changed)
    return changed


def with_statistics(plan: Plan, files: Mapping[str, StatisticsFile]) -> Plan:
    """The plan with the statistics that its recipe names, by skill digest; refused where they are not what it needs."""
    kind = plan.method.collects(len(plan.skills))
    if kind is None or not plan.recipe.statistics:
        return plan
    for skill in plan.skills:
        check_fit(files[skill.digest], skill.digest, kind, plan.base.entries)
    scaled = kind == "fisher" and plan.recipe.parameters.get("scale") == "norm"
    return replace(plan, statistics=Collected(files, scaled))


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


def _skills(recipe: Recipe, deltas: Mapping[str, DeltaFile], foreign: Mapping[str, OtherBase]) -> tuple[SkillTerm, ...]:
    return tuple(
        SkillTerm(place, skill, deltas[skill], foreign[skill].source if skill in foreign else None)
        for place, skill in enumerate(term.skill for term in recipe.terms)
    )


def _check_fit(delta: DeltaFile, entries: Mapping[str, TensorEntry]) -> None:
    """Refuse a delta that cannot be added to these tensors: names and shapes must be the same."""
    tensors = delta.manifest.tensors
    odd = sorted(
        name
        for name in tensors.keys() | entries.keys()
        if name not in tensors or name not in entries or tensors[name].shape != entries[name].shape
    )
    if odd:
        raise InputRefused(
            f"{delta.path} was made against a base of other tensors than the target: {listed(odd, SHOWN)}",
            hint="a delta can be added to another base only where all tensors have the same names and shapes",
        )


def _outputs(
    recipe: Recipe,
    base: TensorSource,
    head: DeltaFile | None,
    deltas: Mapping[str, DeltaFile],
    growth: Growth,
    stacked: Mapping[str, Stacked],
) -> tuple[OutputTensor, ...]:
    def dtype(name: str, source: str) -> str:
        own = base.entries[source].dtype
        if isinstance(recipe.definition.how, Arithmetic) and own in MERGEABLE:
            whole = [(model.skill, source) for model in recipe.models]
            parts = [(part.model, part.tensor) for part in stacked[name].models] if stacked else whole
            return result_dtype(recipe, own, parts, base.entries, deltas)
        return _output_dtype(own, recipe)

    added = dict.fromkeys(growth.tensors, growth.total - growth.first)
    aligned = growth.tensors if growth.aligned is not None else frozenset()
    made = {name: each.models[0].tensor for name, each in stacked.items()} or {name: name for name in base.entries}
    outputs = []
    for name, source in made.items():
        own = OutputTensor(_output_name(name, head), dtype(name, source), base.entries[source].shape, base=source)
        outputs.append(replace(_grown(own, added.get(source, 0)), aligned=source in aligned))
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


def _grown(output: OutputTensor, added: int) -> OutputTensor:
    return replace(output, shape=(output.shape[0] + added, *output.shape[1:]), added=added) if added else output


def _output_name(name: str, head: DeltaFile | None) -> str:
    """With a head, the model is named as the head's fine-tune names it: `bert.` before what the base lacks."""
    if head is None:
        return name
    return head.manifest.prefix + name.removeprefix(head.manifest.dropped_prefix)


def _output_dtype(dtype: str, recipe: Recipe) -> str:
    chosen = recipe.dtype if recipe.adapter is None else "F32"
    return chosen if chosen and dtype in MERGEABLE else dtype
