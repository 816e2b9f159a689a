"""Rows of a result's vocabulary after the last one that the base has: which they are, and their values.

A row is what one skill had for a token, bit for bit; of a token that several skills added, the average of theirs by
the skills' weights; or zeros, where the vocabulary is padded.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from merging.recipes.recipe import Recipe
from merging.recipes.vocabulary import Vocabulary, padded
from storage.checkpoints.tensors import TensorEntry, listed, quoted
from storage.deltas.delta import DeltaFile
from storage.deltas.roles import is_input_embedding, is_vocabulary
from storage.dtypes import DTYPES, MERGEABLE
from storage.encodings.numeric import BITS, Bits, as_bits, convert, finite, narrow, widen
from storage.errors import InputRefused, UsageError

if TYPE_CHECKING:
    from merging.plans.plan import OutputTensor, Plan

Entries = Mapping[str, TensorEntry]
Row = tuple[tuple[str, int], ...]
"""The parts of one row, in canonical order: (skill digest, row among those it added); none for padding."""


@dataclass(frozen=True)
class Growth:
    """The tensors of the base that get more rows, how many they have, and what is added to each of them.

    ``aligned``: how many rows the result has, where those of all models are laid out anew before they are merged.
    """

    tensors: frozenset[str] = frozenset()
    first: int = 0
    rows: tuple[Row, ...] = ()
    aligned: int | None = None

    @property
    def total(self) -> int:
        """How many rows these tensors of the result have."""
        return self.first + len(self.rows) if self.aligned is None else self.aligned


NO_GROWTH = Growth()


def find_growth(recipe: Recipe, base: Entries, deltas: Mapping[str, DeltaFile]) -> Growth:
    """Which rows a recipe adds, and to which tensors.

    Raises InputRefused, naming tensors, where it cannot be told what the vocabulary is, or a skill lacks its rows.
    """
    vocabulary = recipe.vocabulary
    if vocabulary is None:
        return NO_GROWTH
    named = deltas[vocabulary.skill] if vocabulary.skill else None
    quiet = vocabulary.multiple is None and not vocabulary.tokens and vocabulary.alignment is None
    if quiet and (named is None or named.manifest.grown is None):
        return NO_GROWTH
    known = next((delta for _, delta in sorted(deltas.items()) if delta.manifest.grown), None)
    growth = _vocabulary_of(base) if known is None else _grown_in(known)
    if vocabulary.alignment is not None:
        return _aligned(vocabulary, growth, deltas)
    added = _named(named, vocabulary, growth) if vocabulary.skill else _united(vocabulary, growth, deltas)
    total = padded(growth.first + len(added), vocabulary.multiple)
    rows = (*added, *[()] * (total - growth.first - len(added)))
    return replace(growth, rows=rows) if rows else NO_GROWTH


def _grown_in(delta: DeltaFile) -> Growth:
    """The tensors that have a row for each token: those that grew in a fine-tune."""
    names = (name for name in delta.manifest.tensors if delta.manifest.added(name) is not None)
    return Growth(frozenset(names), (delta.manifest.grown or (0, 0))[0])


def _vocabulary_of(base: Entries) -> Growth:
    """The same of a base of which no skill tells: those that the input embeddings agree with."""
    inputs = [entry for name, entry in base.items() if is_input_embedding(name) and len(entry.shape) == 2]
    sizes = {entry.shape for entry in inputs}
    if len(sizes) != 1:
        found = listed(f"{entry.name} {list(entry.shape)}" for entry in inputs) or "none"
        raise InputRefused(
            f"it cannot be told which tensors of the base are its vocabulary: input embeddings found are {found}",
            hint="leave --pad-vocabulary and --vocabulary out",
        )
    rows, width = next(iter(sizes))
    own = {name for name, entry in base.items() if is_vocabulary(name) and entry.shape[:1] == (rows,)}
    odd = [
        name
        for name, entry in base.items()
        if (is_vocabulary(name) and name not in own and entry.shape[1:] == (width,))
        or (name in own and entry.dtype not in MERGEABLE)
        or name.endswith("final_logits_bias")
    ]
    if odd:
        raise InputRefused(
            f"rows cannot be added to the vocabulary of this base: {listed(odd)} would not fit the {rows} of its "
            "input embeddings, or is not of a dtype that merges",
            hint="leave --pad-vocabulary and --vocabulary out",
        )
    return Growth(frozenset(own), rows)


def _named(delta: DeltaFile | None, vocabulary: Vocabulary, growth: Growth) -> list[Row]:
    assert delta is not None
    assert vocabulary.skill is not None
    if delta.manifest.grown is None:
        return []
    _check(delta, growth)
    return [((vocabulary.skill, row),) for row in range(delta.manifest.grown[1])]


def _united(vocabulary: Vocabulary, growth: Growth, deltas: Mapping[str, DeltaFile]) -> list[Row]:
    found = {token.id - growth.first: token.rows for token in vocabulary.tokens if token.id >= growth.first}
    for skill in {skill for rows in found.values() for skill, _ in rows}:
        _check(deltas[skill], growth, max(row for rows in found.values() for owner, row in rows if owner == skill))
    return [found.get(row, ()) for row in range(max(found, default=-1) + 1)]


def _aligned(vocabulary: Vocabulary, growth: Growth, deltas: Mapping[str, DeltaFile]) -> Growth:
    assert vocabulary.alignment is not None
    highest = {
        model: max((row + count for _, row, count in spans), default=0) - 1
        for model, spans in vocabulary.alignment.rows.items()
    }
    for rule in vocabulary.alignment.rules:
        if rule.model is not None:
            highest[rule.model] = max(highest[rule.model], rule.row)
    for model, row in highest.items():
        if row < growth.first:
            continue
        if model not in deltas:
            raise InputRefused(
                f"row {row} of the base's vocabulary is asked for, which has {growth.first}",
                hint="import or write the recipe again",
            )
        _check(deltas[model], growth, row - growth.first)
    return replace(growth, aligned=vocabulary.rows)


def _check(delta: DeltaFile, growth: Growth, highest: int = 0) -> None:
    first, rows = delta.manifest.grown or (0, 0)
    lacking = [name for name in sorted(growth.tensors) if delta.manifest.added(name) is None]
    if lacking or first != growth.first or highest >= rows:
        raise InputRefused(
            f"{delta.path} has {rows} added rows after {first}, which do not fit what this recipe takes of it "
            f"(missing for {listed(lacking) or 'none'})",
            hint="register the skill again from its fine-tune",
        )


def check_head(growth: Growth, head: DeltaFile) -> None:
    """Refuse a head that holds a vocabulary of other rows than the result has. Raises InputRefused naming it."""
    first, added = head.manifest.grown or (growth.first, 0)
    total = growth.total or first
    odd = {
        name: tensor.shape[0]
        for name, tensor in head.manifest.head.items()
        # An output layer of classes may bear such a name, too.
        if is_vocabulary(name) and tensor.shape[:1] in ((first,), (first + added,)) and tensor.shape[0] != total
    }
    if odd:
        name = next(iter(odd))
        raise InputRefused(
            f"{quoted(name)} of the head has {odd[name]} rows, the vocabulary of the result {total}",
            hint="take the vocabulary of the skill that the head is of (--vocabulary SKILL), or no head (--head none)",
        )


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
