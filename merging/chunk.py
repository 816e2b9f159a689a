"""One chunk of the result: what it is made of, where its bytes lie, and how they are computed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from merging.combination import Change, Combine, Contribution, Engine, measure_change
from merging.plan import OutputTensor, Plan, SkillTerm
from storage.deltas.delta import TensorTerm
from storage.dtypes import DTYPES, MERGEABLE
from storage.encodings.chunks import KeptChunk, rebuild
from storage.encodings.frames import chunk_span, read_exactly
from storage.encodings.numeric import Bits, as_bits, convert, finite, narrow, widen
from storage.errors import InputRefused


@dataclass(frozen=True)
class Origin:
    """What one tensor of the result is made of: bytes of ``dtype``, which are recorded to hash to ``digest``, and
    the skills that change them. ``carried``: the result is the very bytes that are read.
    """

    output: OutputTensor
    dtype: str
    digest: str
    terms: tuple[tuple[SkillTerm, TensorTerm], ...]
    carried: bool

    def source_span(self, index: int) -> tuple[int, int]:
        """First byte and number of bytes of a chunk as it is read."""
        return _span(index, self.output.elements, self.dtype)

    def result_span(self, index: int) -> tuple[int, int]:
        """First byte and number of bytes of a chunk of the result."""
        return _span(index, self.output.elements, self.output.dtype)


def _span(index: int, elements: int, dtype: str) -> tuple[int, int]:
    start, count = chunk_span(index, elements)
    itemsize = DTYPES[dtype].itemsize
    return start * itemsize, count * itemsize


def origin(plan: Plan, output: OutputTensor) -> Origin:
    """What the plan makes a tensor of; reads where the skills' chunks lie."""
    if output.base is None:
        assert plan.head is not None
        assert output.head is not None
        head = plan.head.manifest.head[output.head]
        return Origin(output, head.dtype, head.digest, (), carried=head.dtype == output.dtype)
    dtype, digest = plan.base.entries[output.base].dtype, plan.base_digests[output.base]
    if dtype not in MERGEABLE:
        return Origin(output, dtype, digest, (), carried=True)
    terms = tuple(plan.terms(output.base))
    own = not terms and dtype == output.dtype and plan.combine.base_scale == 1.0
    return Origin(output, dtype, digest, terms, carried=own)


def read_chunk(plan: Plan, origin: Origin, index: int, into: memoryview) -> None:
    """Read a chunk of the base's tensor, or of the head's."""
    start, nbytes = origin.source_span(index)
    if origin.output.base is not None:
        plan.base.read_into(origin.output.base, start, into)
        return
    assert plan.head is not None
    assert origin.output.head is not None
    entry, descriptor = plan.head.head(origin.output.head)
    where = f"{plan.head.path}: head tensor {origin.output.head!r}"
    into[:] = read_exactly(descriptor, nbytes, entry.offset + start, where)


def merge_chunk(
    plan: Plan, engine: Engine, origin: Origin, index: int, source: memoryview, result: memoryview
) -> Change:
    """Compute a chunk that is not carried over. Raises InputRefused where it is not finite."""
    output = origin.output
    if not source:
        return Change()
    base, out = as_bits(source, origin.dtype), as_bits(result, output.dtype)
    contributions = tuple(plan.contribution(skill, term, index) for skill, term in origin.terms)
    if contributions and not plan.is_identity(contributions):
        change = engine.merge(base, origin.dtype, contributions, plan.combine, output.dtype, out)
    elif contributions:
        out[:] = _fine_tuned(contributions[0], base, output.dtype)
        change = measure_change(base, origin.dtype, out, output.dtype)
    elif output.base is not None:
        out[:] = untouched(base, origin.dtype, plan.combine, output.dtype)
        change = measure_change(base, origin.dtype, out, output.dtype)
    else:
        out[:] = convert(base, origin.dtype, output.dtype)
        change = Change(finite=finite(out, output.dtype))
    if not change.finite:
        raise not_finite(output, index, out)
    return change


def untouched(base: Bits, dtype: str, combine: Combine, out_dtype: str) -> Bits:
    """A chunk that no skill changes: the base's own bits, unless scaled (`linear` unnormalized) or converted."""
    if combine.base_scale == 1.0:
        return convert(base, dtype, out_dtype)
    return narrow(np.float32(combine.base_scale) * widen(base, dtype), out_dtype)


def _fine_tuned(contribution: Contribution, base: Bits, out_dtype: str) -> Bits:
    term = contribution.term
    assert isinstance(term, KeptChunk)
    return convert(rebuild(term, base), term.dtype, out_dtype)


def not_finite(output: OutputTensor, index: int, out: Bits) -> InputRefused:
    """The refusal of a chunk that holds an element which is not finite: names the first one."""
    values, (start, _) = widen(out, output.dtype), chunk_span(index, output.elements)
    position = int(np.flatnonzero(~np.isfinite(values))[0])
    return InputRefused(
        f"tensor {output.name!r}: element {start + position} of the result is {values[position]}",
        hint=f"it does not fit {output.dtype}: use smaller weights, or another output dtype (--dtype F32)",
    )
