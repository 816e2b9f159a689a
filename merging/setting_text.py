"""Settings as they are written in expressions and options: ``0.6``, ``[0, 0.5, 1]``, ``{self_attn: 0.3, *: 0.5}``."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from merging.settings import Setting, varies
from storage.errors import UsageError

_SPACE = re.compile(r"\s*")
_WORD = re.compile(r"[^\s,\[\]{}:()]+")
_KEY = re.compile(r"[^\s,{}:\"](?:[^,{}:\"]*[^\s,{}:\"])?")
_QUOTED = re.compile(r'"([^"]*)"')
_TRUTHS = {"true": True, "false": False}
Reading = Callable[[str, int], tuple[Any, int]]


class Trouble(Exception):
    """What is wrong with the text of a setting, and at which character."""

    def __init__(self, position: int, message: str):
        super().__init__(message)
        self.position, self.message = position, message


def parse_setting(text: str, name: str) -> Any:
    """The setting that a whole text spells; a word that is no number is itself. Raises UsageError."""
    try:
        setting, end = read_setting(text, skip(text, 0))
        if skip(text, end) < len(text):
            raise Trouble(skip(text, end), f"{text[skip(text, end)]!r} does not belong here")
    except Trouble as trouble:
        raise UsageError(
            f"cannot read {name}: {trouble.message}\n  {text}\n  {' ' * trouble.position}^",
            hint="write for instance 0.2, or by depth [0.1, 0.9], or by tensor name {self_attn: 0.1, *: 0.2}",
        ) from None
    return setting


def read_setting(text: str, position: int) -> tuple[Any, int]:
    """A setting at a position of a text, and where it ends. Raises Trouble."""
    if text.startswith("{", position):
        pairs, end = _read_pairs(text, position, _read_value)
        return [{"value": value} if key == "*" else {"filter": key, "value": value} for key, value in pairs], end
    return _read_value(text, position)


def read_parameters(text: str, position: int) -> tuple[list[tuple[str, Any]], int]:
    """``{name: setting, name: setting}`` at a position, and where it ends. Raises Trouble."""
    return _read_pairs(text, position, read_setting)


def _read_pairs(text: str, position: int, read: Reading) -> tuple[list[tuple[str, Any]], int]:
    pairs: list[tuple[str, Any]] = []
    position = skip(text, position + 1)
    while True:
        key = _QUOTED.match(text, position) or _KEY.match(text, position)
        if key is None:
            raise Trouble(position, f"expected a name, found {_found(text, position)}")
        position = _expect(text, key.end(), ":")
        value, position = read(text, position)
        pairs.append((key[key.lastindex or 0], value))
        position = skip(text, position)
        if text.startswith("}", position):
            return pairs, position + 1
        position = _expect(text, position, ",")


def spelled(setting: Setting) -> str:
    """A setting as it is written."""
    if not varies(setting):
        return _number(setting) if isinstance(setting, float) else str(setting).lower()
    if not isinstance(setting[0], dict):
        return f"[{', '.join(map(spelled, setting))}]"
    return spelled_pairs({each.get("filter", "*"): each["value"] for each in setting})


def spelled_pairs(pairs: Mapping[str, Setting]) -> str:
    """Values by name, as they are written."""
    return f"{{{', '.join(f'{_key(name)}: {spelled(value)}' for name, value in pairs.items())}}}"


def _key(name: str) -> str:
    return name if _KEY.fullmatch(name) else f'"{name}"'


def _number(value: float) -> str:
    """The shortest text that reads as this number."""
    return repr(value).removesuffix(".0")


def skip(text: str, position: int) -> int:
    """The next position that holds no space."""
    found = _SPACE.match(text, position)
    return found.end() if found else position


def _read_value(text: str, position: int) -> tuple[Any, int]:
    if not text.startswith("[", position):
        return _read_word(text, position)
    values: list[Any] = []
    position = skip(text, position + 1)
    while True:
        value, position = _read_word(text, position)
        values.append(value)
        position = skip(text, position)
        if text.startswith("]", position):
            return values, position + 1
        position = _expect(text, position, ",")


def _read_word(text: str, position: int) -> tuple[Any, int]:
    word = _WORD.match(text, position)
    if word is None:
        raise Trouble(position, f"expected a value, found {_found(text, position)}")
    return value_of(word[0]), word.end()


def value_of(word: str) -> Any:
    """The number or truth value that a word spells, else the word."""
    if word.lower() in _TRUTHS:
        return _TRUTHS[word.lower()]
    for number in (int, float):
        try:
            return number(word)
        except ValueError:
            continue
    return word


def _expect(text: str, position: int, character: str) -> int:
    position = skip(text, position)
    if not text.startswith(character, position):
        raise Trouble(position, f"expected {character!r}, found {_found(text, position)}")
    return skip(text, position + 1)


def _found(text: str, position: int) -> str:
    return "the end" if position >= len(text) else repr(text[position])
