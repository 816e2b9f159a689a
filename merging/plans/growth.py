"""Rows of a result's vocabulary after the last one that the base has: which they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from merging.recipes.recipe import Recipe
from merging.recipes.vocabulary import Vocabulary, padded
from storage.checkpoints.tensors import TensorEntry, listed, quoted
from storage.deltas.delta import DeltaFile
from storage.deltas.roles import is_input_embedding, is_vocabulary
from storage.dtypes import MERGEABLE
from storage.errors import InputRefused

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
