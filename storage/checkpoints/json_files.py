"""JSON documents that come with a model: read whole, checked to be one object, never trusted."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from storage.checkpoints.tensors import open_regular, pread_into, quoted
from storage.errors import InputRefused

MAX_JSON = 100_000_000
_KINDS = {list: "a list", str: "a text", bool: "a truth value", int: "a number", float: "a number"}


def read_json_object(path: Path, *, unique: bool = True) -> dict[str, Any]:
    """The JSON object in a file. Raises InputRefused naming the file when it holds anything else.

    A key given twice is refused unless ``unique`` is off; then the last one counts, as other readers have it.
    """
    descriptor, size = open_regular(path)
    try:
        if size > MAX_JSON:
            raise InputRefused(f"{path}: {size} bytes of JSON, expected at most {MAX_JSON}")
        data = bytearray(size)
        pread_into(descriptor, path, 0, memoryview(data))
    finally:
        os.close(descriptor)
    return parse_json_object(data, str(path), unique=unique)


def parse_json_object(data: bytes | bytearray, where: str, *, unique: bool = True) -> dict[str, Any]:
    """The JSON object that UTF-8 ``data`` spells; nesting without end is refused, not followed."""
    try:
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
