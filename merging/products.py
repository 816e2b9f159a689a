"""The first pass of methods that follow lengths and angles: inner products of base and deltas, tensor by tensor."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from merging.methods import Products, Spanned
from merging.numba_engine import values
from merging.plan import Plan, SkillTerm
from storage.deltas.delta import TensorTerm
from storage.dtypes import DTYPES
from storage.encodings.frames import chunk_count, chunk_span
from storage.encodings.measure_kernels import ROW, add_products
from storage.encodings.numeric import Floats, as_bits, widen
from storage.pipeline import in_order
from storage.progress import Progress

Matrix = NDArray[np.float64]
_Job = tuple[str, int, dict[str, tuple[SkillTerm, TensorTerm]]]


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
    jobs = list(_jobs(plan))
    size = len(plan.skills) + 1
    found: dict[str, Matrix] = {}
    progress.start("measure", sum(4 * chunk_span(index, _elements(plan, name))[1] for name, index, _ in jobs))
    try:
        for (name, index, _), part in zip(jobs, in_order(lambda job: _chunk(plan, job), jobs, threads), strict=True):
            found[name] = found.get(name, np.zeros((size, size))) + part
            progress.advance(4 * chunk_span(index, _elements(plan, name))[1])
    finally:
        progress.finish()
    return found


def _jobs(plan: Plan) -> Iterator[_Job]:
    for output in plan.outputs:
        if output.base is None:
            continue
        terms = {skill.digest: (skill, term) for skill, term in plan.terms(output.base)}
        if terms:
            for index in range(chunk_count(output.own_elements)):
                yield output.base, index, terms


def _elements(plan: Plan, name: str) -> int:
    return plan.base.entries[name].elements


def _chunk(plan: Plan, job: _Job) -> Matrix:
    name, index, terms = job
    entry = plan.base.entries[name]
    start, count = chunk_span(index, entry.elements)
    itemsize = DTYPES[entry.dtype].itemsize
    raw = bytearray(count * itemsize)
    plan.base.read_into(name, start * itemsize, memoryview(raw))
    bits = as_bits(memoryview(raw), entry.dtype)
    rows: list[Floats | None] = [widen(bits, entry.dtype)]
    for skill in plan.skills:
        if skill.digest not in terms:
            rows.append(None)
            continue
        contribution = plan.contribution(name, *terms[skill.digest], index)
        row = np.empty(count, np.float32)
        values(contribution, bits, row)
        rows.append(row * np.float32(contribution.rescale))
    return _inner(rows)


def _inner(rows: list[Floats | None]) -> Matrix:
    products = np.zeros((len(rows), len(rows)))
    for i, one in enumerate(rows):
        for j, other in enumerate(rows[: i + 1]):
            if one is not None and other is not None:
                sums = np.zeros(ROW)
                add_products(one, other, sums)
                products[i, j] = products[j, i] = sums.sum()
    return products
