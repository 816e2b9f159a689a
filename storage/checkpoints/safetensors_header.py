"""The header of a safetensors file: read strictly, every number checked before it is used, and written.

A file is an 8-byte little-endian header size, that many bytes of JSON, then the tensors' bytes. The JSON maps each
tensor to its dtype, shape and [begin, end) in the data, and ``__metadata__`` to texts. Format:
https://github.com/huggingface/safetensors#format
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from storage.bounded import refuse_marks
from storage.checkpoints.json_files import parse_json_object
from storage.checkpoints.tensors import TensorEntry, open_regular, pread_into, quoted
from storage.dtypes import DTYPES
from storage.errors import InputRefused

MAX_HEADER = 100_000_000
METADATA = "__metadata__"
_PREFIX = 8
_MAX_ELEMENTS = 1 << 63
_MAX_RANK = 64
_DAMAGED = "the file is damaged or was cut short: download or save it again"
_MALFORMED = "the file was not written as the safetensors format asks: save it again with the safetensors library"
_FIELDS = {"dtype", "shape", "data_offsets"}

Spec = tuple[str, str, tuple[int, ...]]  # name, dtype, shape


def read_header(path: Path) -> tuple[dict[str, TensorEntry], dict[str, str]]:
    """Tensors (in name order) and metadata of a file, after checking that they account for all of its bytes.

    Raises InputRefused naming the file, and the tensor where one is at fault.
    """
    descriptor, size = open_regular(path)
    try:
        header, data_start = _read_json(path, descriptor, size)
    finally:
        os.close(descriptor)
    document = parse_json_object(header, f"{path}: header")
    metadata = _metadata(path, document.pop(METADATA, {}))
    entries = {name: _entry(path, name, document[name], data_start) for name in sorted(document)}
    _check_tiling(path, entries.values(), data_start, size)
    return entries, metadata


def _read_json(path: Path, descriptor: int, size: int) -> tuple[bytearray, int]:
    if size < _PREFIX:
        raise InputRefused(f"{path}: {size} bytes, too short for a safetensors file", hint=_DAMAGED)
    prefix = bytearray(_PREFIX)
    pread_into(descriptor, path, 0, memoryview(prefix))
    length = int.from_bytes(prefix, "little")
    if length > MAX_HEADER:
        raise InputRefused(
            f"{path}: the header claims {length} bytes, at most {MAX_HEADER} are allowed",
            hint="this is not a safetensors file, or it is damaged",
        )
    if length > size - _PREFIX:
        raise InputRefused(
            f"{path}: truncated: the header claims {length} bytes, the file has {size - _PREFIX} after its size",
            hint=_DAMAGED,
        )
    header = bytearray(length)
    pread_into(descriptor, path, _PREFIX, memoryview(header))
    if not header.startswith(b"{"):
        raise InputRefused(f"{path}: the header does not start with '{{'", hint=_MALFORMED)
    return header, _PREFIX + length


def _metadata(path: Path, value: Any) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise InputRefused(f"{path}: {METADATA} must map texts to texts", hint=_MALFORMED)
    for text in (*value, *value.values()):
        check_text(path, text, METADATA)
    return value


def _entry(path: Path, name: str, value: Any, data_start: int) -> TensorEntry:
    where = f"{path}: tensor {quoted(name)}"
    check_text(path, name, "a tensor's name")
    if not isinstance(value, dict) or value.keys() != _FIELDS:
        raise InputRefused(f"{where}: expected exactly dtype, shape and data_offsets", hint=_MALFORMED)
    dtype = value["dtype"]
    if not isinstance(dtype, str) or dtype not in DTYPES:
        found = quoted(dtype) if isinstance(dtype, str) else "that is no text"
        raise InputRefused(
            f"{where}: unknown dtype {found}",
            hint=f"convert the tensor to one of {', '.join(DTYPES)}",
        )
    shape = _shape(where, value["shape"])
    begin, end = _offsets(where, value["data_offsets"])
    entry = TensorEntry(name, dtype, shape, path.name, data_start + begin, end - begin)
    expected = entry.elements * DTYPES[dtype].itemsize
    if entry.nbytes != expected:
        raise InputRefused(
            f"{where}: {dtype} of shape {list(shape)} takes {expected} bytes, the offsets give it {entry.nbytes}",
            hint=_MALFORMED,
        )
    return entry


def check_text(path: Path, text: str, what: str) -> None:
    """Raise InputRefused for what JSON can spell and no record can hold: half of a surrogate pair, and NUL."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InputRefused(f"{path}: {what} is not valid Unicode: {quoted(text)}", hint=_MALFORMED) from None
    if "\0" in text:
        raise InputRefused(f"{path}: {what} holds the character NUL: {quoted(text)}", hint=_MALFORMED)


def _whole(value: object) -> bool:
    return type(value) is int and 0 <= value < _MAX_ELEMENTS


def _shape(where: str, value: Any) -> tuple[int, ...]:
    if not isinstance(value, list) or len(value) > _MAX_RANK or not all(_whole(size) for size in value):
        raise InputRefused(f"{where}: shape must be a list of at most {_MAX_RANK} sizes", hint=_MALFORMED)
    total = 1
    for size in value:
        total *= max(size, 1)
        if total >= _MAX_ELEMENTS:
            raise InputRefused(f"{where}: the shape {quoted(str(value))} overflows", hint=_MALFORMED)
    return tuple(value)


def _offsets(where: str, value: Any) -> tuple[int, int]:
    if not isinstance(value, list) or len(value) != 2 or not all(_whole(at) for at in value) or value[0] > value[1]:
        raise InputRefused(f"{where}: data_offsets must be [begin, end] with 0 ≤ begin ≤ end", hint=_MALFORMED)
    return value[0], value[1]


def _check_tiling(path: Path, entries: Iterable[TensorEntry], data_start: int, size: int) -> None:
    """The tensors, in whatever order, must cover the data exactly: no overlap, no hole, nothing left over."""
    cursor = data_start
    for entry in sorted(entries, key=lambda entry: (entry.offset, entry.nbytes)):
        if entry.offset != cursor:
            fault = "overlaps the one before it" if entry.offset < cursor else "leaves a hole before it"
            raise InputRefused(
                f"{path}: tensor {quoted(entry.name)} {fault}: "
                f"begins at {entry.offset - data_start}, expected {cursor - data_start}",
                hint=_MALFORMED,
            )
        cursor += entry.nbytes
    if cursor > size:
        raise InputRefused(f"{path}: truncated: {size} bytes, its tensors need {cursor}", hint=_DAMAGED)
    if cursor < size:
        raise InputRefused(f"{path}: {size - cursor} bytes after the last tensor belong to none", hint=_DAMAGED)


def layout(entries: Iterable[Spec]) -> list[Spec]:
    """The order in which a file holds its tensors: wide dtypes first so that all are aligned, then by name."""
    return sorted(entries, key=lambda spec: (-DTYPES[spec[1]].itemsize, spec[0]))


def encode_header(ordered: Iterable[Spec], metadata: Mapping[str, str]) -> tuple[bytes, int]:
    """Size prefix and header of a file holding tensors in this order, and how many data bytes must follow."""
    document: dict[str, Any] = {METADATA: dict(sorted(metadata.items()))} if metadata else {}
    cursor = 0
    for name, dtype, shape in ordered:
        end = cursor + spec_bytes((name, dtype, shape))
        document[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [cursor, end]}
        cursor = end
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _PREFIX)
    if len(text) > MAX_HEADER:
        raise InputRefused(f"a header of {len(text)} bytes is more than readers accept ({MAX_HEADER})")
    try:
        refuse_marks(text)
    except ValueError as error:
        raise InputRefused(f"a header is more than readers accept: {error}") from error
    return len(text).to_bytes(_PREFIX, "little") + text, cursor


def spec_bytes(spec: Spec) -> int:
    """How many bytes a tensor takes."""
    _, dtype, shape = spec
    count = DTYPES[dtype].itemsize
    for size in shape:
        count *= size
    return count
