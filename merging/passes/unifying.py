"""EMR from the skills themselves: the unified vector and the masks chunk by chunk, and each skill's scale.

Scales need sums over the whole model: Σ|τₖ| and Σ|Mₖ⊙τ_uni|, in fp64, over a chunk's elements in order, then over the
chunks in order, tensors by name. A tensor that all skills tie to another counts once. So the order is stated, and no
sum depends on threads. Memory: a thread holds one chunk of the base and of every skill.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

import numpy as np

from merging.engines.numba_engine import values
from merging.methods import Unified
from merging.plans.plan import Plan, SkillTerm
from storage.checkpoints.inputs import read_chunk
from storage.deltas.delta import TensorTerm
from storage.deltas.unified import changed_tensor
from storage.dtypes import DTYPES, MERGEABLE
from storage.encodings.encode import LARGEST
from storage.encodings.frames import chunk_count, chunk_span
from storage.encodings.measure_kernels import sum_magnitudes
from storage.encodings.numeric import Bits, Floats, as_bits, read_only
from storage.encodings.unified import Places, agreeing, masked
from storage.encodings.unified_kernels import unify
from storage.errors import InputRefused, UsageError
from storage.pipeline import in_order
from storage.progress import Progress

Terms = tuple[tuple[SkillTerm, TensorTerm], ...]


@dataclass(frozen=True)
class Sums:
    """Σ|τₖ| and Σ|Mₖ⊙τ_uni| of one skill."""

    delta: float = 0.0
    unified: float = 0.0

    def __add__(self, other: Sums) -> Sums:
        return Sums(self.delta + other.delta, self.unified + other.unified)


@dataclass(frozen=True)
class UnifiedChunk:
    """τ_uni of one chunk, which delta each value was taken from, and the deltas of the skills that change it."""

    values: Floats
    chosen: Places
    deltas: tuple[Floats, ...]


@dataclass(frozen=True)
class Job:
    """One chunk of one tensor of the base that some skill changes."""

    name: str
    index: int
    terms: Terms


def with_task(plan: Plan, threads: int, progress: Progress) -> Plan:
    """The plan of a recipe with a task, with that skill's scale; the plan itself of any other method.

    A task that the plan has already, that of a stored vector, stays. Raises UsageError where the recipe has none.
    """
    if not isinstance(plan.method.how, Unified) or plan.task is not None:
        return plan
    if plan.recipe.task is None:
        raise UsageError(
            f"{plan.recipe.method} keeps a model for each skill, and no task says which",
            hint="name one of the merged skills as the task",
        )
    scale = task_scale(plan, plan.recipe.task, threads, progress)
    return dataclasses.replace(plan, task=_FromSkills(plan, plan.recipe.task, scale))


def task_scale(plan: Plan, task: str, threads: int, progress: Progress) -> float:
    """λ of the skill of digest ``task``, found by one pass over all skills."""
    total = Sums()
    progress.start("measure", sum(plan.base.entries[name].nbytes for name in unified_tensors(plan)))
    try:
        with closing(in_order(lambda job: (job, _task_sums(plan, task, job)), jobs(plan), threads)) as answers:
            for job, sums in answers:
                total = total + sums
                progress.advance(job_bytes(plan, job))
    finally:
        progress.finish()
    return scale_of(total, task)


def scale_of(sums: Sums, skill: str) -> float:
    """λ = Σ|τ| / Σ|M⊙τ_uni|; 0 where the mask is empty, and nothing is scaled. Raises InputRefused beyond fp32."""
    if sums.unified == 0:
        return 0.0
    scale = sums.delta / sums.unified
    if not scale <= LARGEST:
        raise InputRefused(
            f"the scale of skill {skill} is {scale:g}: too large to be computed with",
            hint="next to nothing of this skill agrees with the others: merge it with other skills",
        )
    return scale


def unified_tensors(plan: Plan) -> dict[str, str]:
    """The tensors that some skill changes, by name in order, each with itself or the one that it is tied to.

    Tied are those of the same bytes in the base for which every skill has the delta of the same tensor.
    """
    first: dict[tuple[object, ...], str] = {}
    found = {}
    for name in sorted(plan.base.entries):
        entry = plan.base.entries[name]
        sources = tuple(changed_tensor(skill.delta.manifest, name) for skill in plan.skills)
        if entry.dtype in MERGEABLE and any(sources):
            key = (plan.base_digests[name], entry.dtype, entry.shape, sources)
            found[name] = first.setdefault(key, name)
    return found


def jobs(plan: Plan) -> Iterator[Job]:
    """The chunks of all tensors that are not tied to another, in order; terms are opened tensor by tensor."""
    for name, own in unified_tensors(plan).items():
        if name == own:
            terms = tuple(plan.terms(name))
            for index in range(chunk_count(plan.base.entries[name].elements)):
                yield Job(name, index, terms)


def job_bytes(plan: Plan, job: Job) -> int:
    """How much of the base a chunk is."""
    entry = plan.base.entries[job.name]
    return chunk_span(job.index, entry.elements)[1] * DTYPES[entry.dtype].itemsize


def read_base(plan: Plan, job: Job) -> memoryview:
    """The base's bytes of a chunk."""
    return read_chunk(plan.base, job.name, *chunk_span(job.index, plan.base.entries[job.name].elements))


def unified_chunk(plan: Plan, job: Job, base: Bits) -> UnifiedChunk:
    """The unified vector of one chunk; ``base``: its bits in the base."""
    deltas = np.empty((len(job.terms), base.size), np.float32)
    for delta, (skill, term) in zip(deltas, job.terms, strict=True):
        values(plan.contribution(job.name, skill, term, job.index), base, delta)
    unified, chosen = np.empty(base.size, np.float32), np.empty(base.size, np.int16)
    unify(deltas, unified, chosen)
    return UnifiedChunk(unified, chosen, tuple(deltas))


def chunk_sums(chunk: UnifiedChunk, place: int) -> Sums:
    """What a chunk adds to the sums of the skill whose delta stands at ``place``."""
    delta = chunk.deltas[place]
    left = masked(agreeing(delta, chunk.values), chunk.values)
    return Sums(float(sum_magnitudes(read_only(delta))), float(sum_magnitudes(read_only(left))))


def _task_sums(plan: Plan, task: str, job: Job) -> Sums:
    place = _place(job.terms, task)
    if place is None:
        return Sums()
    base = as_bits(read_base(plan, job), plan.base.entries[job.name].dtype)
    return chunk_sums(unified_chunk(plan, job, base), place)


def _place(terms: Terms, task: str) -> int | None:
    return next((place for place, (skill, _) in enumerate(terms) if skill.digest == task), None)


@dataclass(frozen=True)
class _FromSkills:
    """A task computed from all skills' deltas each time: the same bits as of a stored vector."""

    plan: Plan
    skill: str
    scale: float

    def tensor(self, name: str) -> _TensorFromSkills | None:
        terms = tuple(self.plan.terms(name))
        place = _place(terms, self.skill)
        return None if place is None else _TensorFromSkills(self.plan, name, terms, place)


@dataclass(frozen=True)
class _TensorFromSkills:
    plan: Plan
    name: str
    terms: Terms
    place: int

    def chunk(self, index: int, base: Bits) -> Floats:
        chunk = unified_chunk(self.plan, Job(self.name, index, self.terms), base)
        return masked(agreeing(chunk.deltas[self.place], chunk.values), chunk.values)
