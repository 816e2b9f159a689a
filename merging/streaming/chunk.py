"""One piece of the result: how it is read, and how it is computed."""

from __future__ import annotations

import numpy as np

from merging.engines.combination import Change, Combine, Contribution, Engine, measure_change
from merging.mergekit.computing import change_of_rows, merged_tensor
from merging.plans.added_rows import write_added
from merging.plans.plan import OutputTensor, Plan
from merging.plans.tasks import with_delta
from merging.streaming.computing import computed
from merging.streaming.origin import Origin
from storage.encodings.chunks import KeptChunk, rebuild
from storage.encodings.frames import read_exactly
from storage.encodings.numeric import Bits, as_bits, convert, finite, narrow, widen
from storage.errors import InputRefused

_AS_MERGEKIT = "mergekit's result is not finite either: compute in fp32, --param compute_dtype=F32 --dtype DTYPE"


def read_chunk(plan: Plan, origin: Origin, index: int, into: memoryview) -> None:
    """Read a chunk of the base's tensor, or of the head's; of added rows there is nothing to read."""
    if origin.is_added(index):
        return
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
    if origin.is_added(index):
        write_added(plan, output, origin.span(index)[0] - output.own_elements, result)
        return Change()
    if not source:
        return Change()
    base, out = as_bits(source, origin.dtype), as_bits(result, output.dtype)
    if output.base is not None and plan.arithmetic is not None:
        out[:] = merged_tensor(plan, plan.arithmetic, origin, base)
        change = change_of_rows(plan, origin, base, out) if output.aligned else None
        change = change or measure_change(base, origin.dtype, out, output.dtype)
        return _checked(change, origin, index, out, _AS_MERGEKIT)
    if plan.task is not None and origin.task is not None:
        out[:] = with_delta(base, origin.dtype, plan.task.scale, origin.task.chunk(index, base), output.dtype)
        return _checked(measure_change(base, origin.dtype, out, output.dtype), origin, index, out)
    if origin.terms and plan.computes is not None:
        out[:] = narrow(computed(plan, plan.computes, origin, index, base), output.dtype)
        return _checked(measure_change(base, origin.dtype, out, output.dtype), origin, index, out)
    if output.base is None:
        out[:] = convert(base, origin.dtype, output.dtype)
        return _checked(Change(finite=finite(out, output.dtype)), origin, index, out)
    name = output.base
    combine = plan.combine_of(name)
    contributions = tuple(plan.contribution(name, skill, term, index) for skill, term in origin.terms)
    if contributions and not plan.is_identity(contributions, combine):
        change = engine.merge(base, origin.dtype, contributions, combine, output.dtype, out)
    elif contributions:
        out[:] = _fine_tuned(contributions[0], base, output.dtype)
        change = measure_change(base, origin.dtype, out, output.dtype)
    else:
        out[:] = untouched(base, origin.dtype, combine, output.dtype)
        change = measure_change(base, origin.dtype, out, output.dtype)
    return _checked(change, origin, index, out)


def _checked(change: Change, origin: Origin, index: int, out: Bits, hint: str | None = None) -> Change:
    if not change.finite:
        raise not_finite(origin.output, origin.span(index)[0], out, hint)
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


def not_finite(output: OutputTensor, start: int, out: Bits, hint: str | None = None) -> InputRefused:
    """The refusal of elements from ``start`` on of which one is not finite: names the first one."""
    values = widen(out, output.dtype)
    position = int(np.flatnonzero(~np.isfinite(values))[0])
    return InputRefused(
        f"tensor {output.name!r}: element {start + position} of the result is {values[position]}",
        hint=hint or f"it does not fit {output.dtype}: use smaller weights, or another output dtype (--dtype F32)",
    )
