"""The data that a model is run on: one example a line, read as a stream, checked to be the same each time."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from storage.checkpoints.tensors import open_regular
from storage.errors import Conflict, InputRefused, UsageError
from storage.files import disk_errors

_LINE = 1 << 24
_READ = 1 << 20
_FORMS = {".jsonl": "jsonl", ".ndjson": "jsonl", ".txt": "text"}
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Example:
    """One example: the fields of a JSON line, or the text of a plain one as ``text``; where it stands; its bytes."""

    fields: Mapping[str, Any]
    where: str
    nbytes: int


@dataclass(frozen=True)
class Data:
    """A data file: its SHA-256, and how many examples of it are used, in how many ``nbytes`` from its beginning on."""

    path: Path
    digest: str
    examples: int
    nbytes: int
    _used: str

    def read(self) -> Iterator[Example]:
        """The examples in order. Raises Conflict, at the end, where the file is no longer the one that was measured."""
        form, hasher, found = _form(self.path), hashlib.sha256(), 0
        for number, line in _lines(self.path):
            hasher.update(line)
            if line.strip():
                found += 1
                where = f"{self.path}, line {number}"
                yield Example(_fields(line, form, where), where, len(line))
            if found == self.examples:
                break
        if hasher.hexdigest() != self._used:
            raise Conflict(
                f"{self.path} was changed while it was read", hint="run the same command again when it stays as it is"
            )


def measure(path: Path, examples: int) -> Data:
    """Read a file once: its digest, and how many of the ``examples`` asked for it has.

    Raises UsageError for a kind of file that is not read, InputRefused for one that holds no example.
    """
    _form(path)
    whole, found, read, nbytes, used = hashlib.sha256(), 0, 0, 0, ""
    for _, line in _lines(path):
        whole.update(line)
        read += len(line)
        if found < examples and line.strip():
            found, nbytes, used = found + 1, read, whole.hexdigest()
    if not found:
        raise InputRefused(f"{path} holds no example: every line is empty", hint="write one example a line")
    return Data(path, f"sha256:{whole.hexdigest()}", found, nbytes, used)


def _form(path: Path) -> str:
    form = _FORMS.get(path.suffix.lower())
    if form is None:
        raise UsageError(
            f"{path} is no data file by its name",
            hint="give a .jsonl file with a JSON object a line, or a .txt file with a text a line, not compressed",
        )
    return form


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    descriptor, _ = open_regular(path)
    with disk_errors(f"cannot read {path}"), open(descriptor, "rb", buffering=_READ) as file:  # noqa: PTH123
        number = 0
        while line := _line(file, path, number + 1):
            number += 1
            yield number, line


def _line(file: BinaryIO, path: Path, number: int) -> bytes:
    line = file.readline(_LINE + 1)
    if len(line) > _LINE:
        raise InputRefused(f"{path}, line {number}: longer than {_LINE} bytes", hint="write one example a line")
    return line


def _fields(line: bytes, form: str, where: str) -> Mapping[str, Any]:
    try:
        text = line.removeprefix(_BOM).decode().strip("\r\n")
    except UnicodeDecodeError as error:
        raise InputRefused(f"{where}: not UTF-8 text: {error.reason}", hint="save the file as UTF-8") from error
    if form == "text":
        return {"text": text}
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputRefused(f"{where}: not JSON: {error}", hint='write an object a line: {"text": "…"}') from error
    if not isinstance(document, dict):
        raise InputRefused(f"{where}: expected a JSON object", hint='write an object a line: {"text": "…"}')
    return document
