"""The first pass of methods that follow lengths and angles: inner products of base and deltas, tensor by tensor."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from merging.engines.numba_engine import values
from merging.methods import Products, Spanned
from merging.plans.plan import Plan, SkillTerm
from storage.deltas.delta import TensorTerm
from storage.dtypes import DTYPES
from storage.encodings.frames import chunk_count, chunk_span
from storage.encodings.measure_kernels import ROW, add_products
from storage.encodings.numeric import Bits, Floats, as_bits, widen
from storage.pipeline import in_order
from storage.progress import Progress

Matrix = NDArray[np.float64]
Found = TypeVar("Found")
Job = tuple[str, int, dict[str, tuple[SkillTerm, TensorTerm]]]
"""One chunk: its tensor, its number in it, and the skills that change the tensor, by digest."""


def with_coefficients(plan: Plan, products: Mapping[str, Matrix]) -> Plan:
    """The plan of a method that follows lengths and angles, with each tensor's β and cₖ; otherwise the plan itself."""
    how = plan.method.how
    if not isinstance(how, Spanned):
        return plan
    local = {name: plan.settings.of(name) for name in products}
    found = {
        name: how.coefficients(Products(each, local[name].weights, local[name].parameters, name))
        for name, each in products.items()
    }
    return dataclasses.replace(plan, coefficients=found)


def inner_products(plan: Plan, threads: int, progress: Progress) -> dict[str, Matrix]:
    """⟨xᵢ, xⱼ⟩ of every tensor that some skill changes, (k+1, k+1): x₀ the base, then the skills' deltas, rescaled.

    Nothing where the method does not need them. Sums are fp64 and taken in a stated order, chunk by chunk: the same on
    any number of threads. Memory: a thread holds one chunk of the base and of every skill.
    """
    if not isinstance(plan.method.how, Spanned):
        return {}
    size = len(plan.skills) + 1
    found: dict[str, Matrix] = {}
    for name, part in by_chunk(plan, lambda job: _chunk(plan, job), threads, progress):
        found[name] = found.get(name, np.zeros((size, size))) + part
    return found


def by_chunk(
    plan: Plan, find: Callable[[Job], Found], threads: int, progress: Progress
) -> Generator[tuple[str, Found], None, None]:
    """What is found in each chunk that some skill changes, with its tensor's name: in their order, on threads."""
    jobs = list(chunk_jobs(plan))
    progress.start("measure", sum(4 * chunk_span(index, _elements(plan, name))[1] for name, index, _ in jobs))
    try:
        with closing(in_order(find, jobs, threads)) as answers:
            for (name, index, _), answer in zip(jobs, answers, strict=True):
                yield name, answer
                progress.advance(4 * chunk_span(index, _elements(plan, name))[1])
    finally:
        progress.finish()


def chunk_jobs(plan: Plan) -> Iterator[Job]:
    """The chunks that some skill changes, tensor by tensor, in the order in which their sums are taken."""
    for output in plan.outputs:
        if output.base is None:
            continue
        terms = {skill.digest: (skill, term) for skill, term in plan.terms(output.base)}
        if terms:
            for index in range(chunk_count(output.own_elements)):
                yield output.base, index, terms


def _elements(plan: Plan, name: str) -> int:
    return plan.base.entries[name].elements


def _chunk(plan: Plan, job: Job) -> Matrix:
    base = base_chunk(plan, job)
    return inner([widen(base, plan.base.entries[job[0]].dtype), *deltas(plan, job, base)])


def base_chunk(plan: Plan, job: Job) -> Bits:
    """The base's bit patterns of one chunk."""
    name, index, _ = job
    entry = plan.base.entries[name]
    start, count = chunk_span(index, entry.elements)
    itemsize = DTYPES[entry.dtype].itemsize
    raw = bytearray(count * itemsize)
    plan.base.read_into(name, start * itemsize, memoryview(raw))
    return as_bits(memoryview(raw), entry.dtype)


def deltas(plan: Plan, job: Job, base: Bits) -> list[Floats | None]:
    """Each skill's delta of one chunk, rescaled; None for a skill that has the base's own values there."""
    name, index, terms = job
    rows: list[Floats | None] = []
    for skill in plan.skills:
        if skill.digest not in terms:
            rows.append(None)
            continue
        contribution = plan.contribution(name, *terms[skill.digest], index)
        row = np.empty(base.size, np.float32)
        values(contribution, base, row)
        rows.append(row * np.float32(contribution.rescale))
    return rows


def inner(rows: list[Floats | None]) -> Matrix:
    """⟨xᵢ, xⱼ⟩ of the rows of one chunk; zeros where one is None."""
    products = np.zeros((len(rows), len(rows)))
    for i, one in enumerate(rows):
        for j, other in enumerate(rows[: i + 1]):
            if one is not None and other is not None:
                sums = np.zeros(ROW)
                add_products(one, other, sums)
                products[i, j] = products[j, i] = sums.sum()
    return products
