"""JSON documents that come with a model: read whole, checked to be one object, never trusted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from storage.bounded import JSON, read_whole, refuse_marks
from storage.checkpoints.tensors import quoted
from storage.errors import InputRefused

_KINDS = {list: "a list", str: "a text", bool: "a truth value", int: "a number", float: "a number"}


def read_json_object(path: Path, *, unique: bool = True) -> dict[str, Any]:
    """The JSON object in a file. Raises InputRefused naming the file when it holds anything else.

    A key given twice is refused unless ``unique`` is off; then the last one counts, as other readers have it.
    """
    return parse_json_object(read_whole(path, JSON), str(path), unique=unique)


def parse_json_object(data: bytes | bytearray, where: str, *, unique: bool = True) -> dict[str, Any]:
    """The JSON object that UTF-8 ``data`` spells; nesting without end is refused, not followed."""
    try:
        refuse_marks(data)
        document = json.loads(data.decode(), object_pairs_hook=_unique if unique else None)
    except InputRefused as error:
        raise InputRefused(f"{where}: {error.message}") from None
    except UnicodeDecodeError as error:
        raise InputRefused(f"{where}: not UTF-8 text (byte {error.start})") from error
    except RecursionError:
        raise InputRefused(f"{where}: JSON nested too deeply") from None
    except ValueError as error:
        raise InputRefused(f"{where}: not valid JSON: {error}") from error
    if not isinstance(document, dict):
        raise InputRefused(f"{where}: expected a JSON object, found {_KINDS.get(type(document), 'null')}")
    return document


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) < len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise InputRefused(f"the key {quoted(key)} is given twice")
            seen.add(key)
    return document
