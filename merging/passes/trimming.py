"""Trimming for TIES: each skill's cutoff, the magnitude of the k-th largest of its values."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

from merging.passes.magnitudes import MagnitudeCounter
from merging.plans.plan import Plan, SkillTerm
from storage.deltas.delta import TensorTerm
from storage.dtypes import MERGEABLE
from storage.encodings.cutoffs import kept_count
from storage.progress import Progress


def with_cutoffs(plan: Plan, threads: int, progress: Progress) -> Plan:
    """The plan with each skill's trimming cutoffs, for methods that trim; otherwise the plan itself.

    k = floor(density · n). With trim=model, n counts all mergeable elements of the model (tied tensors once) and
    one cutoff serves the whole skill, as in the paper's code; with trim=tensor each tensor has its own.
    Values equal to the cutoff are all kept.
    """
    if not plan.method.fused.trims:
        return plan
    return dataclasses.replace(plan, cutoffs=find_cutoffs(plan, MagnitudeCounter(plan, threads, progress).cutoff))


def find_cutoffs(
    plan: Plan, cutoff_of: Callable[[SkillTerm, Sequence[TensorTerm], int], float]
) -> dict[tuple[str, str], float]:
    """The cutoffs by skill digest and tensor; ``cutoff_of`` finds the k-th largest of a skill's values in tensors."""
    cutoffs: dict[tuple[str, str], float] = {}
    whole_model = plan.recipe.parameters["trim"] == "model"
    for skill in plan.skills:
        terms = _terms(skill)
        groups = [terms] if whole_model else [[term] for term in terms]
        for group in groups:
            if not group:
                continue
            n = _model_elements(skill) if whole_model else group[0].tensor.elements
            density = plan.settings.of(group[0].name).each[skill.place]["density"]
            cutoff = cutoff_of(skill, group, kept_count(float(density), n))
            cutoffs |= {(skill.digest, term.name): cutoff for term in group}
    return cutoffs


def _terms(skill: SkillTerm) -> list[TensorTerm]:
    names = [name for name, tensor in skill.delta.manifest.tensors.items() if tensor.form != "tied"]
    return [term for term in (skill.delta.term(name) for name in names) if term is not None]


def _model_elements(skill: SkillTerm) -> int:
    tensors = skill.delta.manifest.tensors.values()
    return sum(tensor.elements for tensor in tensors if tensor.form != "tied" and tensor.dtype in MERGEABLE)
