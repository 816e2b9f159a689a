"""Where text goes: stdout is data (one JSON document, or an answer), stderr is for people."""

from __future__ import annotations

import io
import json
import os
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import IO, Any

from mergestore import EnvironmentFailure
from storage.journal import ERROR, note

_RED, _BOLD, _PLAIN = "\x1b[1;31m", "\x1b[1m", "\x1b[0m"
# Control characters but tab and line feed, and what turns the direction of writing.
_STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")

_SETTINGS = {"logged": False}


class AnswerLost(EnvironmentFailure):
    """The answer, or its end, could not be written to stdout; what it tells of is done."""


def say(text: str = "", *, bold: bool = False) -> None:
    """Write one line of the answer to stdout; ``bold`` where that is a terminal. Raises AnswerLost."""
    plain = harmless(text)
    with _answering():
        sys.stdout.write(f"{_BOLD}{plain}{_PLAIN}\n" if bold and coloured(sys.stdout) else f"{plain}\n")


def answered() -> None:
    """Have what was said written out, at the latest now. Raises AnswerLost."""
    with _answering():
        sys.stdout.flush()


@contextmanager
def _answering() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        hint = "only the answer is lost: what the command had to do is done, and need not be done again"
        raise AnswerLost(f"cannot write the answer to stdout: {reason}", hint=hint) from error


def log_remarks(wanted: bool) -> None:
    """Have what is for people logged, or written to stderr as usual: a log in JSON has that for itself."""
    _SETTINGS["logged"] = wanted


def remark(text: str) -> None:
    """Write one line for the person at the terminal, beside the answer, to stderr."""
    if _SETTINGS["logged"]:
        note("remark", message=text.strip())
    else:
        _tell(harmless(text))


def _tell(line: str) -> None:
    try:
        sys.stderr.write(f"{line}\n")
    except OSError:  # a full disk, or nobody there: what the command does is no less done
        silence(sys.stderr)


def say_problem(problem: Mapping[str, Any], label: str = "  ") -> None:
    """Write one line of the answer: what is damaged, where, and what to do."""
    say(label + "; ".join(str(problem[key]) for key in ("what", "where", "hint") if problem.get(key) is not None))


def harmless(text: str) -> str:
    """Text in which nothing steers a terminal: people wrote it, in this store or in another one."""
    return text if text.isprintable() else _STEERING.sub(lambda found: ascii(found[0])[1:-1], text)


def print_document(document: dict[str, Any]) -> None:
    """Write the one JSON document of this run to stdout."""
    say(json.dumps(document, indent=2, allow_nan=False, default=str))


def print_error(message: str, hint: str | None) -> None:
    """Tell a person on stderr what went wrong, and on the next line what to do about it."""
    if _SETTINGS["logged"]:
        note("error", ERROR, message=message, hint=hint)
        return
    label = f"{_RED}error:{_PLAIN}" if coloured(sys.stderr) else "error:"
    _tell(f"{label} {harmless(message)}")
    if hint:
        remark(f"  {hint}")


def coloured(stream: IO[str]) -> bool:
    """Whether ``stream`` is a terminal whose owner wants colours."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def tolerate_any_text() -> None:
    """Let stdout write every path and name, whatever the locale's encoding can spell."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        unicode = sys.stdout.encoding.lower().replace("-", "") == "utf8"
        sys.stdout.reconfigure(errors="surrogateescape" if unicode else "backslashreplace")


def silence(stream: IO[str]) -> None:
    """Point a stream at nothing: it takes no more, and the interpreter flushes it once more at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
