"""Tables as plain lines: quick for thousands of rows, whole where stdout is a file, folded to fit a terminal."""

from __future__ import annotations

import shutil
import sys
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from cli.console import say

_GAP = "   "
_NARROWEST = 8  # columns are not folded further
_BOLD, _PLAIN = "\x1b[1m", "\x1b[0m"


@dataclass(frozen=True)
class Column:
    """A column's heading, and on which side its cells stand."""

    heading: str
    right: bool = False


def print_grid(title: str, columns: Sequence[Column], rows: Iterable[Sequence[str]]) -> None:
    """Print a table: title, headings, a rule, and the rows."""
    cells = [[_visible(cell) for cell in row] for row in rows]
    widths = _widths(columns, cells, _room())
    say(title, bold=True)
    say()
    for line in _lines([column.heading for column in columns], columns, widths):
        say(line)
    say(" " + "─" * (sum(widths) + len(_GAP) * (len(widths) - 1)))
    for row in cells:
        for line in _lines(row, columns, widths):
            say(line)
    say()


def _room() -> int | None:
    """How wide a line may be; None where nobody's terminal wraps it."""
    return shutil.get_terminal_size().columns - 1 if sys.stdout.isatty() else None


def _widths(columns: Sequence[Column], rows: Sequence[Sequence[str]], room: int | None) -> list[int]:
    headings = [column.heading for column in columns]
    widths = [max(map(_width, cells)) for cells in zip(headings, *rows, strict=True)]
    if room is None:
        return widths
    excess = sum(widths) + len(_GAP) * (len(widths) - 1) - room
    while excess > 0 and max(widths) > _NARROWEST:
        widest = widths.index(max(widths))
        widths[widest] -= 1
        excess -= 1
    return widths


def _lines(row: Sequence[str], columns: Sequence[Column], widths: Sequence[int]) -> Iterator[str]:
    """A row as one line, or more where a cell is folded."""
    parts = [list(_folded(cell, width)) for cell, width in zip(row, widths, strict=True)]
    for place in range(max(map(len, parts), default=0)):
        line = _GAP.join(
            _padded(part[place] if place < len(part) else "", width, column.right)
            for part, width, column in zip(parts, widths, columns, strict=True)
        )
        yield f" {line}".rstrip()


def _folded(text: str, width: int) -> Iterator[str]:
    line, used = "", 0
    if _width(text) <= width:
        yield text
        return
    for character in text:
        needed = _width(character)
        if used + needed > width and line:
            yield line
            line, used = "", 0
        line, used = line + character, used + needed
    yield line


def _padded(text: str, width: int, right: bool) -> str:
    blank = " " * (width - _width(text))
    return blank + text if right else text + blank


def _width(text: str) -> int:
    """Columns that a terminal shows ``text`` in."""
    if text.isascii():
        return len(text)
    return sum(_columns(character) for character in text)


def _columns(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _visible(text: str) -> str:
    """``text`` with its control characters spelled out: a record must not steer the terminal."""
    if text.isprintable():
        return text
    return "".join(
        character.encode("unicode_escape").decode() if unicodedata.category(character) == "Cc" else character
        for character in text
    )
