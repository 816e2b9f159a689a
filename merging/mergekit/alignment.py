"""Vocabularies that are brought together as mergekit does it: which row of each model stands for which token.

Before anything is merged, every model's rows are laid out as the result's: its own row for each token that it has;
for a token that it lacks what a rule says, else the row of the one model that has it, or of ``prefer`` among several,
or their average; and behind the tokens, where the vocabulary is padded, the mean of all rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

Span = tuple[int, int, int]
"""Rows in turn: the first one of the result, the first one of the model, and how many."""


@dataclass(frozen=True)
class TokenWish:
    """What is asked for a token: the row of a model that has it, of another ``token`` or a ``row`` of its, or zeros.

    ``force``: for all models, and not only for those that lack the token.
    """

    model: str | None = None
    token: str | None = None
    row: int | None = None
    force: bool = False


@dataclass(frozen=True)
class TokenRule:
    """The same, settled: token ``id`` has the ``row`` of a ``model``, by digest; zeros where there is no model."""

    text: str
    id: int
    model: str | None
    row: int
    force: bool

    def to_dict(self) -> dict[str, Any]:
        """Its part of the recipe's JSON."""
        return dict(vars(self))

    @property
    def wish(self) -> TokenWish:
        """What would have to be asked for it, of the model by its digest."""
        return TokenWish(self.model, None, self.row if self.model else None, self.force)


@dataclass(frozen=True)
class Alignment:
    """``tokens``: how many the result has. ``rows``: by digest, those of each model that takes part.

    ``rules``: in order of their ids. ``prefer``: the model whose row counts where several have a token.
    """

    tokens: int
    rows: Mapping[str, tuple[Span, ...]]
    rules: tuple[TokenRule, ...] = ()
    prefer: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Its part of the recipe's JSON."""
        return {
            "tokens": self.tokens,
            "rows": {model: [list(span) for span in spans] for model, spans in self.rows.items()},
            "rules": [rule.to_dict() for rule in self.rules],
            "prefer": self.prefer,
        }

    def own(self, model: str) -> list[int]:
        """For each token the model's row, −1 where it has none."""
        found = [-1] * self.tokens
        for first, row, count in self.rows[model]:
            found[first : first + count] = range(row, row + count)
        return found

    def is_identity(self, rows: int) -> bool:
        """Whether it changes nothing of models with so many rows."""
        whole = ((0, 0, rows),)
        return self.tokens == rows and not self.rules and all(spans == whole for spans in self.rows.values())


def spans(rows: Iterable[int]) -> tuple[Span, ...]:
    """Rows of a model, token by token (−1: none), as the fewest spans."""
    found: list[Span] = []
    for token, row in enumerate(rows):
        if row < 0:
            continue
        if found:
            first, start, count = found[-1]
            if (first + count, start + count) == (token, row):
                found[-1] = (first, start, count + 1)
                continue
        found.append((token, row, 1))
    return tuple(found)


def read_alignment(document: Any) -> Alignment:
    """From a recipe's JSON. Raises ValueError, TypeError or KeyError where it is none."""
    rows = {model: tuple((int(a), int(b), int(c)) for a, b, c in each) for model, each in document["rows"].items()}
    rules = tuple(TokenRule(**rule) for rule in document["rules"])
    return Alignment(document["tokens"], rows, rules, document["prefer"])


def is_sound(alignment: Alignment, models: Iterable[str]) -> bool:
    """Whether a recipe over these models could say this; may raise ValueError or TypeError instead."""
    known, ids = set(models), [rule.id for rule in alignment.rules]
    return (
        type(alignment.tokens) is int
        and alignment.tokens > 0
        and set(alignment.rows) <= known
        and (alignment.prefer is None or alignment.prefer in known)
        and all(_tiles(each, alignment.tokens) for each in alignment.rows.values())
        and ids == sorted(set(ids))
        and all(_is_sound_rule(rule, alignment) for rule in alignment.rules)
    )


def _tiles(each: tuple[Span, ...], tokens: int) -> bool:
    """Whether these are spans one after the other, within the tokens, and no two could be one."""
    end = (0, -1)
    for first, row, count in each:
        if first < end[0] or row < 0 or count < 1 or (first, row) == end:
            return False
        end = (first + count, row + count)
    return end[0] <= tokens


def _is_sound_rule(rule: TokenRule, alignment: Alignment) -> bool:
    return (
        isinstance(rule.text, str)
        and isinstance(rule.force, bool)
        and all(type(number) is int for number in (rule.id, rule.row))
        and 0 <= rule.id < alignment.tokens
        and (rule.model in alignment.rows if rule.model is not None else rule.row == 0)
        and rule.row >= 0
    )
