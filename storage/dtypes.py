"""The tensor dtypes of safetensors files, and which of them merge."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class DType:
    """One safetensors dtype: its name in file headers and bytes per element."""

    name: str
    itemsize: int
    merges: bool = False


_TABLE = (
    DType("F32", 4, merges=True),
    DType("F16", 2, merges=True),
    DType("BF16", 2, merges=True),
    # Everything else is carried bit for bit when base and fine-tune agree, and refused when they differ.
    DType("F64", 8),
    DType("F8_E4M3", 1),
    DType("F8_E5M2", 1),
    DType("I64", 8),
    DType("I32", 4),
    DType("I16", 2),
    DType("I8", 1),
    DType("U64", 8),
    DType("U32", 4),
    DType("U16", 2),
    DType("U8", 1),
    DType("BOOL", 1),
    DType("C64", 8),
)

DTYPES: dict[str, DType] = {dtype.name: dtype for dtype in _TABLE}
MERGEABLE: frozenset[str] = frozenset(dtype.name for dtype in _TABLE if dtype.merges)
