"""Licence expressions as SPDX writes them: read, spelled in one way, combined, and asked what would satisfy them.

The grammar is that of the SPDX specification, annex "SPDX license expressions"; ids and exceptions are those that the
library license-expression lists. Words and operators are read in any case, and parts stand in order of their text:

    expression   licence, licence WITH exception, expression AND expression, expression OR expression, (expression)
    licence      an id of the list, an id followed by +, LicenseRef-NAME, DocumentRef-NAME:LicenseRef-NAME
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache

from registry.licences.hub_names import licence_of_hub_name
from storage.errors import UsageError

AND, OR = "AND", "OR"
UNSTATED = "NOASSERTION"
"""What SPDX says of content of which no licence is known."""

_LONGEST, _DEEPEST = 1000, 20  # characters of an expression, parentheses within each other
_TOKEN = re.compile(r"[()]|[^\s()]+")
_ID = re.compile(r"[A-Za-z0-9.-]+")
_REFERENCE = re.compile(r"(?:DocumentRef-[A-Za-z0-9.-]+:)?LicenseRef-[A-Za-z0-9.-]+", re.IGNORECASE)
_WORDS = {"AND", "OR", "WITH"}


@dataclass(frozen=True)
class Compound:
    """Several expressions that hold together (AND), or of which one is chosen (OR)."""

    operator: str
    parts: tuple[Expression, ...]

    def __str__(self) -> str:
        return f" {self.operator} ".join(_within(part, self.operator) for part in self.parts)


Expression = str | Compound
"""An item (a licence, with its exception if it has one) or several of them; its text is its spelling."""


def parse(text: str, *, strict: bool = True) -> Expression:
    """Read an expression. Raises UsageError that points at the place of what is wrong.

    With ``strict`` False an id that is on no list is taken for a reference: ``my-terms`` is LicenseRef-my-terms.
    """
    return _Reader(text, strict).whole()


def understood(text: str) -> Expression:
    """What a recorded text states, whatever it is: one that cannot be read is a reference to a licence of that text."""
    if text.strip().upper() in ("", UNSTATED):
        return UNSTATED
    try:
        return parse(text, strict=False)
    except UsageError:
        return reference(text)


def reference(text: str) -> str:
    """A LicenseRef for what is on no list."""
    name = re.sub(r"[^A-Za-z0-9.-]+", "-", text.replace("+", "-plus")).strip("-.")[:100]
    return f"LicenseRef-{name or 'unnamed'}"


def combine(operator: str, expressions: Iterable[Expression]) -> Expression:
    """Expressions as one, each part once and in order of their text. Raises ValueError for none at all."""
    parts: dict[str, Expression] = {}
    inner = (part for each in expressions for part in _parts(each, operator))
    for part in sorted(inner, key=lambda part: (str(part).casefold(), str(part))):
        parts.setdefault(str(part).casefold(), part)
    if not parts:
        raise ValueError("nothing to combine")
    return next(iter(parts.values())) if len(parts) == 1 else Compound(operator, tuple(parts.values()))


def satisfied(expression: Expression, accepted: Callable[[str], bool]) -> bool:
    """Whether accepting these licences satisfies it: all parts of an AND, one of an OR."""
    if isinstance(expression, str):
        return accepted(expression)
    each = (satisfied(part, accepted) for part in expression.parts)
    return all(each) if expression.operator == AND else any(each)


def mentions(expression: Expression, asked: Expression) -> bool:
    """Whether one has the other in it: a licence, with an exception or without one, or parts that stand together."""
    if isinstance(expression, str):
        return str(asked).casefold() in (expression.casefold(), expression.partition(" WITH ")[0].casefold())
    if isinstance(asked, Compound) and asked.operator == expression.operator:
        parts = {str(part).casefold() for part in expression.parts}
        if all(str(part).casefold() in parts for part in asked.parts):
            return True
    return any(mentions(part, asked) for part in expression.parts)


@cache
def known_ids() -> dict[str, tuple[str, bool]]:
    """By the lower case of an SPDX id, or of one that it had before: how it is spelled, and if it is an exception.

    The library also lists references of a scanner's; a LicenseRef stays what it is.
    """
    from license_expression import get_spdx_licensing  # reads its list, which takes a moment

    found: dict[str, tuple[str, bool]] = {}
    for symbol in get_spdx_licensing().known_symbols.values():
        if not symbol.key.startswith("LicenseRef-"):
            names = [name.lower() for name in (*symbol.aliases, symbol.key)]
            told = (symbol.key, symbol.is_exception)
            found |= {name: told for name in names if not name.startswith("licenseref-")}
    return found


def _within(part: Expression, operator: str) -> str:
    loose = isinstance(part, Compound) and operator == AND
    return f"({part})" if loose else str(part)


def _parts(expression: Expression, operator: str) -> tuple[Expression, ...]:
    if isinstance(expression, Compound) and expression.operator == operator:
        return expression.parts
    return (expression,)


class _Reader:
    """One pass over the words of an expression."""

    def __init__(self, text: str, strict: bool):
        self._text, self._strict = text, strict
        if len(text) > _LONGEST:
            raise UsageError(f"a licence expression of {len(text)} characters is none", hint=f"at most {_LONGEST}")
        self._words = [(found[0], found.start()) for found in _TOKEN.finditer(text)]
        self._next = 0
        self._depth = 0

    def whole(self) -> Expression:
        found = self._alternatives()
        if self._next < len(self._words):
            word = self._words[self._next][0]
            after = "a parenthesis is closed that none opened" if word == ")" else "AND, OR or WITH is missing here"
            raise self._fault(after)
        return found

    def _alternatives(self) -> Expression:
        parts = [self._together()]
        while self._takes(OR):
            parts.append(self._together())
        return combine(OR, parts)

    def _together(self) -> Expression:
        parts = [self._one()]
        while self._takes(AND):
            parts.append(self._one())
        return combine(AND, parts)

    def _one(self) -> Expression:
        if self._takes("("):
            self._depth += 1
            if self._depth > _DEEPEST:
                raise self._fault(f"more than {_DEEPEST} parentheses stand within each other", back=1)
            found = self._alternatives()
            if not self._takes(")"):
                raise self._fault("a parenthesis is not closed")
            self._depth -= 1
            return found
        word = self._word("a licence")
        licence = self._licence(word)
        return f"{licence} WITH {self._exception(self._word('an exception'))}" if self._takes("WITH") else licence

    def _word(self, what: str) -> str:
        word = self._words[self._next][0] if self._next < len(self._words) else ")"
        if word in "()" or word.upper() in _WORDS:
            raise self._fault(f"{what} is missing here")
        self._next += 1
        return word

    def _takes(self, word: str) -> bool:
        there = self._next < len(self._words) and self._words[self._next][0].upper() == word
        self._next += there
        return there

    def _licence(self, word: str) -> str:
        known, plain = known_ids(), word.removesuffix("+")
        if (hub := licence_of_hub_name(word)) is not None:
            return hub
        if (found := known.get(word.lower())) is not None and not found[1]:
            return found[0]
        if (found := known.get(plain.lower())) is not None and not found[1]:
            return f"{found[0]}+"
        if _REFERENCE.fullmatch(word):
            place = word.lower().index("licenseref-")
            document = "DocumentRef-" + word[len("DocumentRef-") : place] if place else ""
            return f"{document}LicenseRef-{word[place + len('LicenseRef-') :]}"
        if word.upper() in (UNSTATED, "NONE"):
            raise self._fault(f"{word} states no licence", hint="leave the licence out where none is known", back=1)
        if not self._strict and _ID.fullmatch(plain):
            return reference(word)
        raise self._fault(f"{word!r} is no licence of the SPDX list", hint=_meant(word, exceptions=False), back=1)

    def _exception(self, word: str) -> str:
        found = known_ids().get(word.lower())
        if found is None or not found[1]:
            raise self._fault(f"{word!r} is no exception of the SPDX list", hint=_meant(word, exceptions=True), back=1)
        return found[0]

    def _fault(self, what: str, *, hint: str | None = None, back: int = 0) -> UsageError:
        place = self._next - back
        position = self._words[place][1] if place < len(self._words) else len(self._text)
        return UsageError(
            f"cannot read the licence: {what}\n  {self._text}\n  {' ' * position}^",
            hint=hint or "write for instance: Apache-2.0, MIT OR Apache-2.0, GPL-2.0-only WITH Classpath-exception-2.0",
            details={"licence": self._text, "position": position},
        )


def _meant(word: str, *, exceptions: bool) -> str:
    """What may have been meant, and what to write for a licence that SPDX does not list."""
    names = {name: id_ for name, (id_, is_exception) in known_ids().items() if is_exception == exceptions}
    near = difflib.get_close_matches(word.lower(), names, n=2)
    meant = f"did you mean {' or '.join(dict.fromkeys(names[name] for name in near))}? " if near else ""
    own = "ids are on https://spdx.org/licenses" + ("" if exceptions else f"; for another write {reference(word)}")
    return meant + own
