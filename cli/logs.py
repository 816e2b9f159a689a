"""The log on stderr, where it is asked for: one line an event, as text or as JSON."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import typer

from mergestore import MergestoreError, UsageError
from storage.journal import ERROR, INFO, LOGGER, note

FORMATS = ("text", "json")
LEVELS = ("debug", "info", "warning", "error")
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
    LOGGER.addHandler(handler)
    LOGGER.setLevel((level or "info").upper())


def end() -> None:
    """Stop writing the log."""
    for handler in LOGGER.handlers[1:]:  # the first is nobody's
        LOGGER.removeHandler(handler)
    LOGGER.setLevel(logging.NOTSET)
    _ABOUT.clear()


def about(**fields: Any) -> None:
    """Say with every event from now on which store it is about."""
    _ABOUT.update(fields)


@contextmanager
def told(verb: str, store: Path | None) -> Iterator[None]:
    """Tell of the beginning of a verb, and of its end: after how long, and with what outcome. ``store`` as named."""
    about(verb=verb, **({"store": str(store)} if store is not None else {}))
    note("verb.begin")
    clock = time.monotonic()
    outcome: dict[str, Any] = {"outcome": "done"}
    try:
        yield
    except MergestoreError as refusal:
        outcome = {"outcome": refusal.kind, "message": refusal.message}
        raise
    except typer.Exit as leave:
        outcome = {"outcome": "done" if leave.exit_code == 0 else f"exit code {leave.exit_code}"}
        raise
    except BaseException as trouble:
        outcome = {"outcome": type(trouble).__name__, "message": str(trouble)}
        raise
    finally:
        level = INFO if outcome["outcome"] == "done" else ERROR
        note("verb.end", level, seconds=round(time.monotonic() - clock, 3), **outcome)
