"""Typed access to untrusted JSON: every field is checked before it is used."""

from __future__ import annotations

from typing import Any

from storage.digests import canonical_json, is_digest
from storage.errors import InputRefused, IntegrityFailure

_MAX_NUMBER = 3.4e38  # what fp32 holds


class Fields:
    """Typed access to the fields of one untrusted JSON object."""

    def __init__(self, document: Any, where: str):
        if not isinstance(document, dict):
            raise IntegrityFailure(f"{where}: expected a JSON object")
        self.document = document
        self.where = where

    def fail(self, key: str, expected: str) -> IntegrityFailure:
        """The error for a field that is not as ``expected``."""
        return IntegrityFailure(f"{self.where}: {key} must be {expected}, found {self.document.get(key)!r:.80}")

    def integer(self, key: str, low: int, high: int) -> int:
        """A whole number from ``low`` to ``high``."""
        value = self.document.get(key)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise self.fail(key, f"an integer in {low} … {high}")
        return value

    def text(self, key: str) -> str:
        """A text that can be spelled in UTF-8, without NUL."""
        value = self.document.get(key)
        if not isinstance(value, str) or not _is_unicode(value):
            raise self.fail(key, "a text")
        return value

    def choice(self, key: str, choices: tuple[str, ...]) -> str:
        """One of some texts."""
        value = self.text(key)
        if value not in choices:
            raise self.fail(key, f"one of {', '.join(choices)}")
        return value

    def digest(self, key: str) -> str:
        """A BLAKE3 digest with its prefix."""
        value = self.text(key)
        if not is_digest(value) or not value.startswith("blake3:"):
            raise self.fail(key, "a digest with its prefix, blake3:")
        return value

    def mapping(self, key: str) -> dict[str, Any]:
        """A JSON object."""
        value = self.document.get(key)
        if not isinstance(value, dict) or not all(isinstance(name, str) and _is_unicode(name) for name in value):
            raise self.fail(key, "a JSON object")
        return value

    def number(self, key: str) -> float:
        """A finite number that fp32 holds."""
        value = self.document.get(key)
        if not isinstance(value, int | float) or isinstance(value, bool) or not abs(value) <= _MAX_NUMBER:
            raise self.fail(key, "a finite number")
        return float(value)

    def share(self, key: str) -> float:
        """A number between 0 and 1, neither of them."""
        value = self.number(key)
        if not 0 < value < 1:
            raise self.fail(key, "a number between 0 and 1")
        return value

    def only(self, *keys: str) -> None:
        """Refuse any other field: what is not known could mean that the values are read in another way."""
        if odd := sorted(set(self.document) - set(keys)):
            raise IntegrityFailure(f"{self.where}: unknown field {odd[0]!r:.80}, expected {', '.join(keys)}")

    def boolean(self, key: str) -> bool:
        """A truth value."""
        value = self.document.get(key)
        if not isinstance(value, bool):
            raise self.fail(key, "true or false")
        return value

    def config(self) -> dict[str, Any] | None:
        """The field `config`: canonical JSON, or null."""
        if self.document.get("config") is None:
            return None
        config = self.mapping("config")
        try:
            canonical_json(config)
        except (InputRefused, RecursionError) as error:
            raise IntegrityFailure(f"{self.where}: config is not canonical JSON: {error}") from error
        return config

    def shape(self) -> tuple[int, ...]:
        """The field `shape`: at most 32 axes, fewer than 2^48 elements."""
        value = self.document.get("shape")
        if not isinstance(value, list) or len(value) > 32:
            raise self.fail("shape", "a list of sizes")
        total = 1
        for size in value:
            if not isinstance(size, int) or isinstance(size, bool) or size < 0:
                raise self.fail("shape", "a list of sizes")
            total *= size
        if total >= 1 << 48:
            raise self.fail("shape", "of fewer than 2^48 elements")
        return tuple(value)


def _is_unicode(text: str) -> bool:
    # JSON can spell half a surrogate pair, which no digest or mask key takes in, and NUL, which PostgreSQL does not.
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in text
