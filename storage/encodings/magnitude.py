"""Places of the values that `magnitude` keeps, in plain numpy: the definition that the compiled kernels are held to.

    K (uint32), G (uint32), G gap bytes, then K values

A gap is the number of elements passed over since the last kept one (or since the chunk's beginning): one byte of 255
for every 255 of them, then one byte, below 255, for the rest. So every gap has one byte below 255, its last.
Choice of code: ``docs/decisions/0010-magnitude.md``.
"""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray

Places = NDArray[np.int64]
"""Ascending indices of kept elements in their chunk."""

HEADER = struct.Struct("<II")
LONG = 255


def pack_places(places: Places) -> bytes:
    """Header and gap bytes of the places of kept elements, which are at least one."""
    gaps = np.diff(places, prepend=-1) - 1
    ends = np.cumsum(gaps // LONG + 1)
    encoded = np.full(ends[-1], LONG, np.uint8)
    encoded[ends - 1] = gaps % LONG
    return HEADER.pack(places.size, encoded.size) + encoded.tobytes()


def unpack_places(data: bytes, count: int) -> tuple[Places, memoryview]:
    """The places in a chunk of ``count`` elements, and the bytes of the values. Raises ValueError for damaged bytes."""
    kept, gaps, rest = split(data, count)
    encoded = np.frombuffer(gaps, np.uint8)
    ends = np.flatnonzero(encoded != LONG)
    if ends.size != kept or ends[-1] != encoded.size - 1:
        raise ValueError(f"{encoded.size} gap bytes hold {ends.size} gaps, not {kept}")
    places: Places = np.cumsum(encoded.astype(np.int64))[ends] + np.arange(kept)
    if places[-1] >= count:
        raise ValueError(f"the last kept element is {places[-1]} of {count}")
    return places, rest


def split(data: bytes, count: int) -> tuple[int, memoryview, memoryview]:
    """(K, gap bytes, bytes of the values) of a frame, with sizes that a chunk of ``count`` elements can have.

    Raises ValueError for others.
    """
    if len(data) < HEADER.size:
        raise ValueError(f"{len(data)} bytes hold no header")
    kept, gaps = HEADER.unpack_from(data)
    if not 1 <= kept <= count or not kept <= gaps <= count or HEADER.size + gaps > len(data):
        raise ValueError(f"{kept} values and {gaps} gap bytes do not fit a chunk of {count} elements")
    after = HEADER.size + gaps
    return kept, memoryview(data)[HEADER.size : after], memoryview(data)[after:]
