"""Trimming cutoffs for TIES: the magnitude of the k-th largest value, found exactly in two streaming passes.

Magnitudes of fp32 values order like their bit patterns, so a histogram of the upper bits and one of the lower bits
give the exact k-th largest in bounded memory, whatever the number of values or threads.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from merging.combination import Contribution
from merging.kernels import count_magnitudes, values
from merging.methods import METHODS
from merging.plan import Plan, SkillTerm
from storage.deltas.delta import TensorTerm
from storage.dtypes import DTYPES, MERGEABLE
from storage.encodings.frames import chunk_count, chunk_span
from storage.encodings.numeric import as_bits
from storage.pipeline import in_order
from storage.progress import Progress

Counts = NDArray[np.uint64]


def with_cutoffs(plan: Plan, threads: int, progress: Progress) -> Plan:
    """The plan with each skill's trimming cutoffs, for methods that trim; otherwise the plan itself.

    k = floor(density · n). With trim=model, n counts all mergeable elements of the model (tied tensors once) and
    one cutoff serves the whole skill, as in the paper's code; with trim=tensor each tensor has its own.
    Values equal to the cutoff are all kept.
    """
    if not METHODS[plan.recipe.method].trims:
        return plan
    cutoffs: dict[tuple[str, str], float] = {}
    density = float(plan.recipe.parameters["density"])
    for skill in plan.skills:
        terms = _terms(plan, skill)
        whole_model = plan.recipe.parameters["trim"] == "model"
        groups = [terms] if whole_model else [[term] for term in terms]
        for group in groups:
            n = _model_elements(plan, skill) if whole_model else group[0].tensor.elements
            cutoff = _cutoff(plan, skill, group, int(density * n), threads, progress)
            cutoffs |= {(skill.digest, term.name): cutoff for term in group}
    return dataclasses.replace(plan, cutoffs=cutoffs)


def _terms(plan: Plan, skill: SkillTerm) -> list[TensorTerm]:
    names = [name for name, tensor in skill.delta.manifest.tensors.items() if tensor.form != "tied"]
    return [term for term in (skill.delta.term(name) for name in names) if term is not None]


def _model_elements(plan: Plan, skill: SkillTerm) -> int:
    tensors = skill.delta.manifest.tensors.values()
    return sum(tensor.elements for tensor in tensors if tensor.form != "tied" and tensor.dtype in MERGEABLE)


def _cutoff(
    plan: Plan, skill: SkillTerm, terms: list[TensorTerm], keep: int, threads: int, progress: Progress
) -> float:
    high = _histogram(plan, skill, terms, 16, 0, threads, progress)
    if int(high.sum()) <= keep:
        return 0.0
    if keep == 0:
        return float("inf")
    bucket, above = _locate(high, keep)
    low = _histogram(plan, skill, terms, 0, bucket, threads, progress)
    position, _ = _locate(low, keep - above)
    return float(np.array([(bucket << 16) | position], np.uint32).view(np.float32)[0])


def _locate(counts: Counts, keep: int) -> tuple[int, int]:
    """The bin that holds the ``keep``-th largest, and how many lie in higher bins."""
    from_top = np.cumsum(counts[::-1])
    position = int(np.searchsorted(from_top, np.uint64(keep)))
    above = int(from_top[position - 1]) if position else 0
    return counts.size - 1 - position, above


def _histogram(
    plan: Plan, skill: SkillTerm, terms: list[TensorTerm], shift: int, prefix: int, threads: int, progress: Progress
) -> Counts:
    def count(job: tuple[TensorTerm, int]) -> tuple[Counts, int]:
        term, index = job
        counts = np.zeros(1 << 16, np.uint64)
        magnitudes = _magnitudes(plan, skill, term, index)
        count_magnitudes(magnitudes, shift, np.uint32(prefix), counts)
        return counts, 4 * magnitudes.size

    total = np.zeros(1 << 16, np.uint64)
    progress.start(f"trim, pass {1 if shift else 2}", sum(4 * term.tensor.elements for term in terms))
    try:
        for counts, nbytes in in_order(count, _chunks(terms), threads):
            total += counts
            progress.advance(nbytes)
    finally:
        progress.finish()
    return total


def _chunks(terms: list[TensorTerm]) -> Iterator[tuple[TensorTerm, int]]:
    for term in terms:
        for index in range(chunk_count(term.tensor.elements)):
            yield term, index


def _magnitudes(plan: Plan, skill: SkillTerm, term: TensorTerm, index: int) -> NDArray[np.uint32]:
    contribution: Contribution = plan.contribution(skill, term, index)
    start, count = chunk_span(index, term.tensor.elements)
    dtype = plan.base.entries[term.name].dtype
    itemsize = DTYPES[dtype].itemsize
    raw = memoryview(bytearray(count * itemsize))
    plan.base.read_into(term.name, start * itemsize, raw)
    out = np.empty(count, np.float32)
    values(contribution, as_bits(raw, dtype), out)
    return out.view(np.uint32)
