"""What is read whole although anybody may have written it: files of so many bytes, JSON of so many marks.

Each value of JSON becomes an object, which takes up to fifty times the bytes of its text. So before it is parsed the
marks that values stand between are counted (``[ { , :``, those within texts too): a text of n bytes with m of them
takes at most 9·n + 130·m bytes to parse, as measured by tests/fuzz/test_memory.py with those that take most.
"""

from __future__ import annotations

import os
from pathlib import Path

from storage.checkpoints.tensors import open_regular, pread_into
from storage.errors import InputRefused

JSON = 64 << 20
"""Bytes of a JSON file beside weights: the tokenizers of today have up to 35 MB, indexes up to 15 MB."""
MARKS = 8_000_000
"""Marks of a text of JSON: the header of a file with 100 MB of it that we write has fewer than 8 million."""
FEW_MARKS = 2_000_000
"""The same of texts of up to 16 MiB."""
_MARKS = "[{,:"


def read_whole(path: Path, most: int) -> bytes:
    """All bytes of a regular file. Raises InputRefused for what is none, or has more than ``most``."""
    descriptor, size = open_regular(path)
    try:
        if size > most:
            raise InputRefused(f"{path}: {size:,} bytes, expected at most {most:,}")
        data = bytearray(size)
        pread_into(descriptor, path, 0, memoryview(data))
    finally:
        os.close(descriptor)
    return bytes(data)


def refuse_marks(text: str | bytes | bytearray, most: int = MARKS) -> None:
    """Raise ValueError for a text of JSON that would take too much memory to parse."""
    if count_marks(text) > most:
        raise ValueError(f"it has more than {most:,} values and keys")


def count_marks(text: str | bytes | bytearray) -> int:
    """How many marks a text of JSON has."""
    if isinstance(text, str):
        return sum(text.count(mark) for mark in _MARKS)
    return sum(text.count(mark.encode()) for mark in _MARKS)
