"""YAML and JSON that people write, read as if an enemy had: recipes, configurations of mergekit, policies.

Bounded are the bytes of a file (``LARGEST``), the values that it means once its aliases are followed (``VALUES``), how
deep they nest (``DEPTH``) and the digits of a number: a few hundred bytes of YAML can mean more texts than there is
memory for.
"""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from storage.errors import EnvironmentFailure, UsageError

LARGEST = 1 << 20
"""Bytes of a document."""
VALUES = 500_000
"""Values of a document, each counted as often as it stands where aliases lead."""
DEPTH = 100
"""Levels of lists and tables in each other: reading takes the square of them."""
_DIGITS = 100
_BITS = 64


def load_document(path: Path) -> Any:
    """The YAML or JSON document in a file; a key that stands twice is refused. Raises UsageError."""
    return parse_document(read_bounded(path, str(path)), str(path))


def read_bounded(path: Path, where: str) -> bytes:
    """The bytes of a file that may be a pipe. Raises UsageError where it cannot be read, or is too large."""
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except OSError as error:
        raise UsageError(f"cannot read {where}: {error.strerror}", hint="name a YAML or JSON file") from error
    if len(content) > LARGEST:
        raise UsageError(f"{where} has more than {LARGEST:,} bytes", hint="name a YAML or JSON file")
    return content


def parse_document(content: bytes, where: str) -> Any:
    """The YAML or JSON document of these bytes, as ``load_document``; ``where`` is what it is called."""
    try:
        import yaml
    except ImportError as error:
        raise EnvironmentFailure(f"reading {where} needs PyYAML", hint="pip install pyyaml") from error
    try:
        document = yaml.load(content.decode("utf-8"), _loader(yaml))
        values = _count(document, {})
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        raise UsageError(_unreadable(where, error)) from error
    if values > VALUES:
        raise UsageError(f"{where} means more than {VALUES:,} values", hint="write out what its aliases stand for")
    return document


def _count(value: Any, known: dict[int, int]) -> int:
    """How many values a value means, itself included; what aliases lead to is looked at once and counted each time."""
    if isinstance(value, int) and value.bit_length() > _BITS:
        raise ValueError(f"a whole number has more than {_BITS} bits")
    if not isinstance(value, Mapping | list | set | tuple):
        return 1
    if id(value) not in known:
        parts = [*value, *value.values()] if isinstance(value, Mapping) else list(value)
        known[id(value)] = 1 + sum(_count(part, known) for part in parts)
    return known[id(value)]


def _unreadable(where: str, error: Exception) -> str:
    """What is wrong with a file that is neither YAML nor JSON, and where."""
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    place = f", line {mark.line + 1}, column {mark.column + 1}" if mark is not None else ""
    if isinstance(error, _Twice):
        return f"{where}{place}: {problem}"
    return f"{where}{place}: neither YAML nor JSON: {problem or error}"


class _Twice(Exception):
    """A key that stands twice in one table."""


def _loader(yaml: Any) -> type:
    """A safe loader that refuses a key that stands twice in one table, nesting and a number without end."""

    class Loader(yaml.SafeLoader):  # type: ignore[misc]
        depth = 0

        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.depth > DEPTH:
                mark = self.peek_event().start_mark
                raise yaml.composer.ComposerError(None, None, f"it nests deeper than {DEPTH} levels", mark)
            self.depth += 1
            try:
                return super().compose_node(parent, index)
            finally:
                self.depth -= 1

    class Twice(_Twice, yaml.constructor.ConstructorError):  # type: ignore[misc]
        pass

    def table(loader: Any, node: Any) -> dict[Any, Any]:
        pairs = loader.construct_pairs(node, deep=True)
        seen = set()
        for (key, _), (place, _) in zip(pairs, node.value, strict=True):
            if key in seen:
                raise Twice(None, None, f"the key {reprlib.repr(key)} stands twice", place.start_mark)
            seen.add(key)
        return dict(pairs)

    def number(kind: str) -> Any:
        def construct(loader: Any, node: Any) -> Any:
            if len(node.value) > _DIGITS:  # would take long to read, above all in YAML's base 60
                raise yaml.constructor.ConstructorError(None, None, "a number is too long", node.start_mark)
            return getattr(loader, f"construct_yaml_{kind}")(node)

        return construct

    Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, table)
    for kind in ("int", "float"):
        Loader.add_constructor(f"tag:yaml.org,2002:{kind}", number(kind))
    return Loader
