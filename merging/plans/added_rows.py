"""Rows of a result's vocabulary after the last one that the base has: their values.

A row is what one skill had for a token, bit for bit; of a token that several skills added, the average of theirs by
the skills' weights; or zeros, where the vocabulary is padded.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from merging.plans.plan import OutputTensor, Plan
from storage.deltas.delta import DeltaFile
from storage.dtypes import DTYPES
from storage.encodings.numeric import BITS, Bits, as_bits, convert, finite, narrow, widen
from storage.errors import InputRefused, UsageError


def check_averages(plan: Plan) -> None:
    """Refuse a token of several skills whose weights do not add up to more than zero. Raises UsageError naming it."""
    several = {row for row in plan.growth.rows if len(row) > 1}
    for name in sorted(plan.growth.tensors) if several else ():
        weights = _weights(plan, name)
        for row in several:
            if not math.fsum(weights[skill] for skill, _ in row) > 0:
                assert plan.recipe.vocabulary is not None
                text = next(token.text for token in plan.recipe.vocabulary.tokens if token.rows == row)
                raise UsageError(
                    f"the token {text!r} was added by {len(row)} skills whose weights in {name!r} add up to no more "
                    "than zero: its row is their average by weight",
                    hint="choose other weights, or one skill's vocabulary (--vocabulary SKILL)",
                )


def _weights(plan: Plan, name: str) -> dict[str, float]:
    return {skill.digest: plan.settings.of(name).weights[skill.place] for skill in plan.skills}


def write_added(plan: Plan, output: OutputTensor, start: int, result: memoryview) -> None:
    """Values of added rows, from their element ``start`` on, into ``result``, which is in the output's dtype.

    Raises InputRefused where one is not finite.
    """
    out = as_bits(result, output.dtype)
    columns = math.prod(output.shape[1:])
    done = 0
    for number, bits in _rows(plan, output, start // columns, (start + len(out) - 1) // columns + 1):
        if not finite(bits, output.dtype):
            raise InputRefused(
                f"tensor {output.name!r}: row {plan.growth.first + number} of the result is not finite",
                hint=f"it does not fit {output.dtype}: use another output dtype (--dtype F32)",
            )
        offset = start + done - number * columns
        part = bits[offset : offset + len(out) - done]
        out[done : done + len(part)] = part
        done += len(part)


def _rows(plan: Plan, output: OutputTensor, first: int, last: int) -> Iterator[tuple[int, Bits]]:
    name, columns = output.base or "", math.prod(output.shape[1:])
    weights, deltas = _weights(plan, name), {skill.digest: skill.delta for skill in plan.skills}
    for number in range(first, last):
        row = plan.growth.rows[number]
        parts = [_read(deltas[skill], name, place, columns) for skill, place in row]
        yield number, _combined(parts, [weights[skill] for skill, _ in row], columns, output.dtype)


def added_bits(delta: DeltaFile, name: str) -> tuple[str, Bits] | None:
    """Dtype and bits of all rows that a skill added to a tensor; None where it added none."""
    found = delta.manifest.added(name)
    if found is None:
        return None
    kept, added = found
    columns = math.prod(delta.manifest.tensors[delta.resolve(name)].shape[1:])
    raw = bytearray(delta.read_added(kept, 0, added.rows * columns * DTYPES[added.dtype].itemsize))
    return added.dtype, as_bits(memoryview(raw), added.dtype)


def _read(delta: DeltaFile, name: str, row: int, columns: int) -> tuple[str, bytes]:
    """Dtype and bytes of one of a skill's rows."""
    found = delta.manifest.added(name)
    assert found is not None
    kept, added = found
    nbytes = columns * DTYPES[added.dtype].itemsize
    return added.dtype, delta.read_added(kept, row * nbytes, nbytes)


def _combined(parts: list[tuple[str, bytes]], weights: list[float], columns: int, dtype: str) -> Bits:
    if not parts:
        return np.zeros(columns, BITS[dtype])
    if len(set(parts)) == 1:  # one skill, or several that agree to the bit
        own, raw = parts[0]
        return convert(as_bits(memoryview(raw), own), own, dtype)
    total = math.fsum(weights)
    sums = np.zeros(columns, np.float32)
    for (own, raw), weight in zip(parts, weights, strict=True):
        sums = sums + np.float32(weight / total) * widen(as_bits(memoryview(raw), own), own)
    return narrow(sums, dtype)
