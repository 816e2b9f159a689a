"""The log on stderr, where it is asked for: one line an event, as text or as JSON."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import typer

from cli import EXIT_TERMINATED, Terminated, console, ending_as_asked
from mergestore import EnvironmentFailure, MergestoreError, UsageError
from storage.journal import ERROR, INFO, LOGGER, note

FORMATS = ("text", "json")
LEVELS = ("debug", "info", "warning", "error")
EXIT_DONE, EXIT_BUG, EXIT_INTERRUPTED, EXIT_NO_READER = 0, 1, 130, 141
OUTCOMES = {EXIT_DONE: "done", **{each.exit_code: each.kind for each in MergestoreError.__subclasses__()}}
"""What an exit code means, in the words of the error tree."""
_NAMING = ("name", "version", "digest", "recipe_digest", "output_digest", "materialization_id")
_ABOUT: dict[str, Any] = {}


class _Lines(logging.Formatter):
    """A line for each event, with what all of this run share: verb, store and actor."""

    def __init__(self, form: str):
        super().__init__()
        self.form = form

    def format(self, record: logging.LogRecord) -> str:
        """One JSON object, or time, level, event and fields as words."""
        fields = {**_ABOUT, **getattr(record, "fields", {})}
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        level, event = record.levelname.lower(), record.getMessage()
        if self.form == "json":
            return json.dumps({"time": moment, "level": level, "event": event, **fields}, default=str)
        told = " ".join(f"{name}={json.dumps(value, default=str)}" for name, value in fields.items())
        return f"{moment} {level} {event} {told}"


def begin(form: str | None, level: str | None) -> None:
    """Write the log of this run to stderr if a format or a level was named. Raises UsageError for others."""
    for given, known, option in ((form, FORMATS, "--log-format"), (level, LEVELS, "--log-level")):
        if given is not None and given not in known:
            raise UsageError(f"{option} cannot be {given!r}", hint=f"choose one of {', '.join(known)}")
    if form is None and level is None:
        return
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Lines(form or "text"))
    console.log_remarks(form == "json")
    LOGGER.addHandler(handler)
    LOGGER.setLevel((level or "info").upper())


def end() -> None:
    """Stop writing the log."""
    for handler in LOGGER.handlers[1:]:  # the first is nobody's
        LOGGER.removeHandler(handler)
    LOGGER.setLevel(logging.NOTSET)
    console.log_remarks(False)
    _ABOUT.clear()


def wanted() -> bool:
    """Whether anything is logged at all."""
    return LOGGER.level != logging.NOTSET


def about(**fields: Any) -> None:
    """Say with every event from now on which store it is about, and what came of it."""
    _ABOUT.update(fields)


def answered(result: Any) -> None:
    """Say with the end of the verb what its answer names: name, version and digests."""
    if wanted():
        found = result if isinstance(result, dict) else vars(result)
        about(**{word: found[word] for word in _NAMING if isinstance(found.get(word), (str, int))})


def refused(error: MergestoreError, arguments: Sequence[str]) -> None:
    """Tell of a command line that could not be read, so that no verb has begun, nor perhaps this log."""
    if not wanted():
        with suppress(UsageError):  # of one mistake the other is told
            begin(_said(arguments, "--log-format"), _said(arguments, "--log-level"))
    note("command.refused", ERROR, outcome=error.kind, exit_code=error.exit_code, message=error.message)


def _said(arguments: Sequence[str], option: str) -> str | None:
    """The value of an option, where the line as a whole cannot be read."""
    for at, word in enumerate(arguments):
        if word.startswith(f"{option}="):
            return word.partition("=")[2]
        if word == option:
            return next(iter(arguments[at + 1 :]), None)
    return None


@contextmanager
def told(verb: str, store: Path | None, subject: str | None) -> Iterator[None]:
    """Tell of the beginning of a verb, and of its end: after how long, and with what outcome.

    ``store``: as it was named; ``subject``: what the verb is about, its first argument.
    """
    about(
        verb=verb, **({"store": str(store)} if store is not None else {}), **({"subject": subject} if subject else {})
    )
    note("verb.begin")
    clock = time.monotonic()
    outcome: dict[str, Any] = {"outcome": "done", "exit_code": 0}
    try:
        with ending_as_asked():
            yield
    except MergestoreError as refusal:
        outcome = {"outcome": refusal.kind, "exit_code": refusal.exit_code, "message": refusal.message}
        raise
    except typer.Exit as leave:
        code = leave.exit_code
        outcome = {"outcome": OUTCOMES.get(code, f"exit code {code}"), "exit_code": code}
        raise
    except BaseException as trouble:
        outcome = {"outcome": type(trouble).__name__, "exit_code": _code(trouble), "message": str(trouble)}
        raise
    finally:
        level = INFO if outcome["exit_code"] == 0 else ERROR
        note("verb.end", level, seconds=round(time.monotonic() - clock, 3), **outcome)


def _code(trouble: BaseException) -> int:
    """How a run ends that ends so; the edge of the command line sees to it."""
    if isinstance(trouble, BrokenPipeError):
        return EXIT_NO_READER
    if isinstance(trouble, Terminated):
        return EXIT_TERMINATED
    if isinstance(trouble, (KeyboardInterrupt, typer.Abort)):
        return EXIT_INTERRUPTED
    return EnvironmentFailure.exit_code if isinstance(trouble, OSError) else EXIT_BUG
