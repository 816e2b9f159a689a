"""Merge expressions: ``base + 0.6*math + 0.4*code@prod - 0.2*toxic``. Parsing, with errors that point.

    expression = name { (" + " | " - ") term }
    term       = [weight "*"] ( name [own] | "(" term { (" + " | " - ") term } ")" )
    weight     = number | "[" number {"," number} "]" | "{" pattern ":" value {"," pattern ":" value} "}"
    own        = "{" parameter ":" setting {"," parameter ":" setting} "}"
    name       = [namespace "/"] word ["@" (version | alias)]

Operators stand between spaces, because names may hold hyphens and dots. The first name is the target. A weight is a
number, a gradient over the layers, or values by tensor name (``merging.settings``); ``own`` are parameters of the
method for this skill alone. Parentheses hold a delta: ``general + 0.4*(math - pretrained)``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from merging.recipes.recipe import MAX_WEIGHT
from merging.setting_text import Trouble, read_parameters, read_setting, skip
from merging.settings import Setting, constant, mapped, values, varies
from storage.errors import UsageError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(?:/[A-Za-z0-9][A-Za-z0-9._-]*)?(?:@[A-Za-z0-9][A-Za-z0-9._-]*)?")
_WEIGHT = re.compile(r"(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?(?=\s*\*)")
_FOLLOWED = {
    "+": "put spaces around + and -",
    "*": "a weight is a finite number, and stands before its skill: 0.6*skill",
}
_OPERATOR = re.compile(r"\s+([+-])\s+")
_DEEPEST = 20


@dataclass(frozen=True)
class Term:
    """One name of an expression, as written, with its signed weight, and where it stands in the text.

    ``group``: where the outermost parentheses around it begin, and ``factor`` its weight within them.
    """

    reference: str
    weight: Setting
    position: int
    parameters: Mapping[str, Any] = field(default_factory=dict)
    group: int | None = None
    factor: float = 1.0


@dataclass(frozen=True)
class Expression:
    """A parsed expression: the target's reference and the terms in the order of writing."""

    text: str
    base: str
    terms: tuple[Term, ...]


def parse_expression(text: str) -> Expression:
    """Parse an expression. Raises UsageError that shows the character where reading stopped."""
    position = skip(text, 0)
    if _WEIGHT.match(text, position):
        raise pointed(text, position, "the first term is the target base and takes no weight")
    base, position = _name(text, position)
    terms, position = _terms(text, position, 0)
    if position < len(text):
        raise pointed(text, position, f"{text[position]!r} closes nothing")
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


def _terms(text: str, position: int, depth: int) -> tuple[list[Term], int]:
    """All terms that follow, each after its operator, up to the end or a closing parenthesis."""
    terms: list[Term] = []
    while (after := skip(text, position)) < len(text) and text[after] != ")":
        operator = _OPERATOR.match(text, position)
        if operator is None:
            if text[after:].strip() in ("+", "-"):
                raise pointed(text, after, f"a skill is missing after {text[after]!r}", "for example: base + 0.6*skill")
            raise pointed(text, after, "expected ' + ' or ' - ' between spaces")
        added, position = _term(text, operator.end(), -1.0 if operator[1] == "-" else 1.0, depth)
        terms += added
    return terms, after


def _term(text: str, position: int, sign: float, depth: int) -> tuple[list[Term], int]:
    start = position
    weight, position = _weight(text, position)
    signed = mapped(weight, lambda value: sign * float(value))
    if not text.startswith("(", position):
        reference, end = _name(text, position)
        parameters, end = _own(text, end)
        return [Term(reference, signed, start, parameters)], end
    inner, end = _group(text, position, depth + 1)
    return [_within(text, term, signed, position) for term in inner], end


def _weight(text: str, position: int) -> tuple[Setting, int]:
    if number := _WEIGHT.match(text, position):
        weight, end = float(number[0]), number.end()
    elif text.startswith(("[", "{"), position):
        weight, end = _read(text, position, read_setting)
    else:
        return 1.0, position
    for value in values(weight):
        if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) != abs(value):
            raise pointed(text, position, f"{value!r} is not a number, and a weight is made of numbers")
        if abs(value) > MAX_WEIGHT:
            raise pointed(text, position, "this weight is too large", f"weights are at most {MAX_WEIGHT:g}")
    end = skip(text, end)
    if not text.startswith("*", end):
        raise pointed(text, end, "expected '*' between a weight and what it weighs")
    return weight, skip(text, end + 1)


def _group(text: str, position: int, depth: int) -> tuple[list[Term], int]:
    """The terms within parentheses that begin at ``position``, and where they end."""
    if depth > _DEEPEST:
        raise pointed(text, position, "parentheses too deep")
    first, end = _term(text, skip(text, position + 1), 1.0, depth)
    rest, end = _terms(text, end, depth)
    if end >= len(text):
        raise pointed(text, position, "this parenthesis is not closed")
    return [*first, *rest], end + 1


def _within(text: str, term: Term, weight: Setting, group: int) -> Term:
    """A term of a group that is weighed as a whole."""
    inner = term.weight
    if varies(weight) and varies(inner):
        raise pointed(text, group, "a weight that differs by tensor stands within another such weight")
    if varies(weight):
        factor = float(constant(inner))
        weighed = mapped(weight, lambda value: float(value) * factor)
    else:
        outer = float(constant(weight))
        weighed = mapped(inner, lambda value: outer * float(value))
    share = 1.0 if varies(inner) else float(constant(inner))
    return replace(term, weight=weighed, group=group, factor=share)


def _own(text: str, position: int) -> tuple[dict[str, Any], int]:
    """The parameters in braces after a name."""
    if not text.startswith("{", position):
        return {}, position
    pairs, end = _read(text, position, read_parameters)
    parameters = dict(pairs)
    if len(parameters) < len(pairs):
        raise pointed(text, position, "a parameter is given twice")
    return parameters, end


def _read(text: str, position: int, reading: Any) -> tuple[Any, int]:
    try:
        found, end = reading(text, position)
    except Trouble as trouble:
        raise pointed(text, trouble.position, trouble.message) from None
    return found, end


def _name(text: str, position: int) -> tuple[str, int]:
    match = _NAME.match(text, position)
    if match is None:
        found = "the end" if position >= len(text) else repr(text[position])
        raise pointed(text, position, f"expected a name, found {found}", _name_hint(text[position : position + 1]))
    end = match.end()
    if end < len(text) and not text[end].isspace() and text[end] not in "){":
        raise pointed(text, end, f"{text[end]!r} cannot stand in a name", _FOLLOWED.get(text[end]))
    return match[0], end


def _name_hint(character: str) -> str | None:
    if character in ("+", "-"):
        return "a sign stands once, between two terms: base - 0.2*skill"
    if character == "*":
        return "a weight stands before its skill: 0.6*skill"
    return None
