"""The error tree: what a caller can catch, grouped by what a handler will do.

    MergestoreError                 exit  kind
    ├── UsageError (ValueError)        2  usage          a malformed name, expression or option
    ├── NotFound (KeyError)            3  not_found      an unknown name, version, alias or tensor
    ├── Conflict                       4  conflict       it exists, is immutable, is yanked
    ├── InputRefused (ValueError)      5  input_refused  a bad model, adapter or delta
    ├── IntegrityFailure               6  integrity      stored or published bytes are damaged
    └── EnvironmentFailure (OSError)   7  environment    a device, disk, database or server is missing
        └── Undecided                  7  environment    and so nobody here knows whether it was committed

A message says what is wrong and where; ``hint`` says what to do next. ``kind`` and ``exit_code`` are
stable; the text is not: never match on it.
"""

from __future__ import annotations

from json import JSONDecodeError


def in_words(error: Exception) -> str:
    """What is wrong with a document, from the error that reading it ended with."""
    if isinstance(error, UnicodeDecodeError):
        return f"it is not UTF-8 text (byte {error.start})"
    if isinstance(error, JSONDecodeError):
        return f"it is not valid JSON: {error}"
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, MergestoreError):
        return error.message
    if isinstance(error, KeyError):
        return f"it has no {error}"
    return str(error) or type(error).__name__


class MergestoreError(Exception):
    """Anything mergestore refuses or cannot do. Subclasses say what kind of trouble it is."""

    kind: str = "error"
    exit_code: int = 1

    def __init__(self, message: str, *, hint: str | None = None, details: dict[str, object] | None = None):
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.details = dict(details or {})

    def __str__(self) -> str:
        return f"{self.message}\n  {self.hint}" if self.hint else self.message

    def to_dict(self) -> dict[str, object]:
        """The JSON document that ``--json`` prints for this error."""
        return {"error": {"kind": self.kind, "message": self.message, "hint": self.hint, **self.details}}


class UsageError(MergestoreError, ValueError):
    """The request itself is malformed: a name, an expression, an option."""

    kind, exit_code = "usage", 2


class NotFound(MergestoreError, KeyError):
    """A name, version, alias, tensor or digest that the store does not have."""

    kind, exit_code = "not_found", 3


class Conflict(MergestoreError):
    """The request collides with what exists: taken, immutable, yanked, of another base."""

    kind, exit_code = "conflict", 4


class InputRefused(MergestoreError, ValueError):
    """A model, adapter or delta given from outside that cannot be used as it is."""

    kind, exit_code = "input_refused", 5


class IntegrityFailure(MergestoreError):
    """Stored or published bytes are not what was written."""

    kind, exit_code = "integrity", 6


class EnvironmentFailure(MergestoreError, OSError):
    """Something around us is missing or failing: device, disk, database, server, library."""

    kind, exit_code = "environment", 7


class Undecided(EnvironmentFailure):
    """The database went away when it was asked to commit: what was done may be on record, so nothing is taken back."""
