"""Merge expressions: ``base + 0.6*math + 0.4*code@prod - 0.2*toxic``. Parsing, with errors that point.

    expression = name { (" + " | " - ") term }      term = [weight "*"] name
    name       = [namespace "/"] word ["@" (version | alias)]

Operators stand between spaces, because names may hold hyphens and dots. The first name is the target base.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from merging.recipe import MAX_WEIGHT
from storage.errors import UsageError

_SPACE = re.compile(r"\s*")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(?:/[A-Za-z0-9][A-Za-z0-9._-]*)?(?:@[A-Za-z0-9][A-Za-z0-9._-]*)?")
_WEIGHT = re.compile(r"(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?(?=\s*\*)")
_FOLLOWED = {
    "+": "put spaces around + and -",
    "*": "a weight is a finite number, and stands before its skill: 0.6*skill",
}
_OPERATOR = re.compile(r"\s+([+-])\s+")


@dataclass(frozen=True)
class Term:
    """One skill of an expression: the reference as written, its signed weight, where it stands in the text."""

    reference: str
    weight: float
    position: int


@dataclass(frozen=True)
class Expression:
    """A parsed expression: the target base's reference and the terms in the order of writing."""

    text: str
    base: str
    terms: tuple[Term, ...]


def parse_expression(text: str) -> Expression:
    """Parse an expression. Raises UsageError that shows the character where reading stopped."""
    position = _skip(text, 0)
    if _WEIGHT.match(text, position):
        raise pointed(text, position, "the first term is the target base and takes no weight")
    base, position = _name(text, position)
    terms: list[Term] = []
    while (after := _skip(text, position)) < len(text):
        operator = _OPERATOR.match(text, position)
        if operator is None:
            raise pointed(text, after, "expected ' + ' or ' - ' between spaces")
        sign = -1.0 if operator[1] == "-" else 1.0
        term, position = _term(text, operator.end(), sign)
        terms.append(term)
    if not terms:
        raise pointed(text, len(text.rstrip()), f"nothing is added to {base!r}", "for example: base + 0.6*skill")
    return Expression(text, base, tuple(terms))


def pointed(text: str, position: int, message: str, hint: str | None = None) -> UsageError:
    """A UsageError about one character of an expression, shown with a caret under it."""
    return UsageError(
        f"cannot read the expression: {message}\n  {text}\n  {' ' * position}^",
        hint=hint,
        details={"expression": text, "position": position},
    )


def _skip(text: str, position: int) -> int:
    match = _SPACE.match(text, position)
    return match.end() if match else position


def _term(text: str, position: int, sign: float) -> tuple[Term, int]:
    weight, start = 1.0, position
    if number := _WEIGHT.match(text, position):
        weight = float(number[0])
        if weight > MAX_WEIGHT:
            raise pointed(text, position, "this weight is too large", f"weights are at most {MAX_WEIGHT:g}")
        position = _skip(text, _skip(text, number.end()) + 1)
    reference, end = _name(text, position)
    return Term(reference, sign * weight, start), end


def _name(text: str, position: int) -> tuple[str, int]:
    match = _NAME.match(text, position)
    if match is None:
        found = "the end" if position >= len(text) else repr(text[position])
        raise pointed(text, position, f"expected a name, found {found}", _name_hint(text[position : position + 1]))
    end = match.end()
    if end < len(text) and not text[end].isspace():
        raise pointed(text, end, f"{text[end]!r} cannot stand in a name", _FOLLOWED.get(text[end]))
    return match[0], end


def _name_hint(character: str) -> str | None:
    if character in ("+", "-"):
        return "a sign stands once, between two terms: base - 0.2*skill"
    if character == "*":
        return "a weight stands before its skill: 0.6*skill"
    return None
