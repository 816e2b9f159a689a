"""Names, aliases and references: the one place that decides which are well-formed."""

from __future__ import annotations

import difflib
import heapq
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from storage.errors import UsageError

MAX_LENGTH = 128
LONGEST_LINE = 1000

_COMPARED = 200

_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_FIRST = re.compile(r"[A-Za-z0-9]")
_NEXT = re.compile(r"[A-Za-z0-9._-]")
_DIGITS = re.compile(r"[0-9]+")
_SURROGATE = re.compile("[\ud800-\udfff]")
_ALPHABET = "names are ASCII letters, digits, '.', '_' and '-', and begin with a letter or digit"
_SLASH = "; one '/' may part a namespace from the name"


@dataclass(frozen=True)
class Reference:
    """What ``name``, ``name@3`` or ``name@prod`` says; at most one of version and alias is set."""

    name: str
    version: int | None = None
    alias: str | None = None

    def __str__(self) -> str:
        pointer = self.alias if self.version is None else self.version
        return self.name if pointer is None else f"{self.name}@{pointer}"


def validate_name(text: str) -> str:
    """``text`` when it is a well-formed name, ``name`` or ``namespace/name``; UsageError otherwise."""
    _check_length("name", text)
    parts = text.split("/", 1)
    if all(_PART.fullmatch(part) for part in parts):
        return text
    raise _fault("name", text, _first_fault(text, parts), _ALPHABET + _SLASH)


def validate_alias(text: str) -> str:
    """``text`` when it is a well-formed alias; UsageError otherwise.

    An alias made of digits would read as a version, and "latest" as a promise that nobody keeps.
    """
    _check_length("alias", text)
    if not _PART.fullmatch(text):
        raise _fault("alias", text, _first_fault(text, [text]), _ALPHABET.replace("names", "aliases"))
    if _DIGITS.fullmatch(text):
        raise UsageError(f"invalid alias {text!r}: it reads as a version", hint="add a letter: v1, prod-2")
    if text.lower() == "latest":
        raise UsageError(f"{text!r} cannot be an alias", hint="the name alone already means its newest ready version")
    return text


def parse_reference(text: str) -> Reference:
    """Read ``name``, ``name@VERSION`` or ``name@ALIAS``; UsageError points at the character at fault."""
    name, at, pointer = text.partition("@")
    validate_name(name)
    if not at:
        return Reference(name)
    if not _DIGITS.fullmatch(pointer):
        return Reference(name, alias=validate_alias(pointer))
    if pointer.startswith("0"):
        raise UsageError(
            f"invalid reference {text!r}: {pointer!r} is not a version", hint="versions count from 1: 1, 2, 3"
        )
    return Reference(name, version=int(pointer))


def is_storable(text: str) -> bool:
    """Whether every database can hold a text: one without NUL and without half of a character (a lone surrogate)."""
    return "\0" not in text and not _SURROGATE.search(text)


def check_line(what: str, text: str) -> None:
    """Raise UsageError for a text that is not one line, or holds what cannot be printed: it will stand among others."""
    if not isinstance(text, str) or not text.strip() or len(text) > LONGEST_LINE or not text.isprintable():
        raise UsageError(f"the {what} must be a line of 1 to {LONGEST_LINE} characters that can be printed")


def near_names(name: str, candidates: Iterable[str], limit: int = 3) -> list[str]:
    """Up to ``limit`` of the candidates that ``name`` may have been meant to be, nearest first."""
    folded = {candidate.lower(): candidate for candidate in sorted(candidates)}
    likely = _likeliest(name.lower(), folded)
    return [folded[near] for near in difflib.get_close_matches(name.lower(), likely, limit)]


def _likeliest(name: str, candidates: Iterable[str]) -> list[str]:
    """The candidates that share most pairs of letters with ``name``: comparing thousands in full takes its time."""
    wanted = _pairs(name)
    return heapq.nlargest(_COMPARED, candidates, key=lambda candidate: len(wanted & _pairs(candidate)))


def _pairs(text: str) -> set[str]:
    return {text[place : place + 2] for place in range(len(text) - 1)}


def _check_length(what: str, text: str) -> None:
    if not text:
        raise UsageError(f"the {what} is empty", hint=_ALPHABET)
    if len(text) > MAX_LENGTH:
        raise UsageError(f"the {what} has {len(text)} characters", hint=f"at most {MAX_LENGTH} are allowed")


def _first_fault(text: str, parts: list[str]) -> int:
    """Index of the first character that breaks the rule; ``len(text)`` when one is missing at the end."""
    index = 0
    for part in parts:
        for offset, character in enumerate(part):
            if not (_NEXT if offset else _FIRST).fullmatch(character):
                return index + offset
        if not part:
            return index
        index += len(part) + 1
    return len(text)


def _fault(what: str, text: str, index: int, hint: str) -> UsageError:
    position: dict[str, object] = {"position": index + 1}
    if index >= len(text):
        return UsageError(f"invalid {what} {text!r}: it ends too early", hint=hint, details=position)
    message = f"invalid {what} {text!r}: {_shown(text[index])} at position {index + 1}"
    return UsageError(message, hint=hint, details=position)


def _shown(character: str) -> str:
    """A character a reader can tell from its lookalikes."""
    if character.isascii() and character.isprintable():
        return repr(character)
    return f"{character!r} (U+{ord(character):04X} {unicodedata.name(character, 'unnamed')})"
