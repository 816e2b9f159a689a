"""Bit patterns and values: widening to fp32, rounding back, and the order-preserving integers of `exact`.

Raw tensors travel as unsigned integers (``uint16`` for BF16 and F16, ``uint32`` for F32), little-endian.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float32]
Bits: TypeAlias = NDArray[Any]
"""An array of ``uint16`` or ``uint32`` bit patterns."""

BITS: dict[str, type[np.unsignedinteger[Any]]] = {"F32": np.uint32, "F16": np.uint16, "BF16": np.uint16}
"""The unsigned integer type that holds one element of each dtype that merges."""


def as_bits(raw: bytes | bytearray | memoryview, dtype: str) -> Bits:
    """View raw little-endian bytes as bit patterns."""
    return np.frombuffer(raw, dtype=np.dtype(BITS[dtype]).newbyteorder("<"))


def as_bytes(bits: Bits) -> memoryview:
    """The raw bytes of bit patterns, not copied."""
    return memoryview(bits.view(np.uint8))  # type: ignore[arg-type]  # numpy arrays are buffers


def read_only(array: NDArray[Any]) -> NDArray[Any]:
    """A view that cannot be written to: compiled code is made once for each kind of argument, so there is one kind."""
    view = array.view()
    view.flags.writeable = False
    return view


def widen(bits: Bits, dtype: str) -> Floats:
    """The fp32 values of bit patterns; exact for every mergeable dtype."""
    if dtype == "F32":
        return bits.view(np.float32)
    if dtype == "F16":
        return bits.view(np.float16).astype(np.float32)
    return (bits.astype(np.uint32) << np.uint32(16)).view(np.float32)


def narrow(values: Floats, dtype: str) -> Bits:
    """Round fp32 values to nearest, ties to even. Values beyond the dtype's range become infinite; NaN stays NaN."""
    if dtype == "F32":
        return values.view(np.uint32)
    if dtype == "F16":
        with np.errstate(over="ignore", under="ignore"):
            return values.astype(np.float16).view(np.uint16)
    bits = values.view(np.uint32)
    odd = (bits >> np.uint32(16)) & np.uint32(1)
    rounded: Bits = ((bits + np.uint32(0x7FFF) + odd) >> np.uint32(16)).astype(np.uint16)
    # The carry would turn a NaN whose bits are all ones into a zero.
    rounded[np.isnan(values)] = 0x7FC0
    return rounded


def convert(bits: Bits, dtype: str, target: str) -> Bits:
    """Bit patterns of the same values in another dtype, rounded to nearest even where it is narrower."""
    return bits if dtype == target else narrow(widen(bits, dtype), target)


def finite(bits: Bits, dtype: str) -> bool:
    """Whether no element is NaN or infinite: the exponent is all ones in exactly those."""
    if not bits.size:
        return True
    infinity = {"F32": 0x7F800000, "F16": 0x7C00, "BF16": 0x7F80}[dtype]
    # Two maxima and no temporary: read as signed the positive patterns are the largest, as unsigned the negative ones.
    signed = bits.view(bits.dtype.str.replace("u", "i"))
    return bool(bits.max() < infinity + (1 << (8 * bits.itemsize - 1)) and signed.max() < infinity)


def ordered(bits: Bits) -> Bits:
    """Map float bit patterns to unsigned integers in the order of the values (−0 below +0)."""
    top = bits.dtype.type(1 << (8 * bits.itemsize - 1))
    return np.where(bits & top, ~bits, bits | top)


def unordered(integers: Bits) -> Bits:
    """The inverse of ``ordered``."""
    top = integers.dtype.type(1 << (8 * integers.itemsize - 1))
    return np.where(integers & top, integers ^ top, ~integers)


def zigzag(differences: Bits) -> Bits:
    """Fold signed differences, held modulo 2^n, so that small ones of either sign become small: 0, −1, 1, −2 …"""
    sign = differences >> differences.dtype.type(8 * differences.itemsize - 1)
    folded: Bits = (differences << differences.dtype.type(1)) ^ (-sign).astype(differences.dtype)
    return folded


def unzigzag(folded: Bits) -> Bits:
    """The inverse of ``zigzag``."""
    one = folded.dtype.type(1)
    differences: Bits = (folded >> one) ^ (-(folded & one)).astype(folded.dtype)
    return differences


def bit_difference(base: Bits, fine_tuned: Bits) -> Bits:
    """The `exact` code of each element: zigzag of ordered(fine-tuned) − ordered(base), modulo 2^n."""
    return zigzag(ordered(fine_tuned) - ordered(base))


def apply_difference(base: Bits, code: Bits) -> Bits:
    """Rebuild the fine-tuned bit patterns from the base's and the `exact` code."""
    return unordered(ordered(base) + unzigzag(code))


def split_planes(integers: Bits) -> bytes:
    """Bytes of the integers with all most significant bytes first, then the next plane, down to the lowest."""
    shifts = range(8 * (integers.itemsize - 1), -8, -8)
    planes = [(integers >> integers.dtype.type(shift)).astype(np.uint8) for shift in shifts]
    return b"".join(plane.data for plane in planes)


def join_planes(data: bytes | memoryview, itemsize: int) -> Bits:
    """The inverse of ``split_planes`` for integers of ``itemsize`` bytes."""
    high, *others = np.frombuffer(data, dtype=np.uint8).reshape(itemsize, -1)
    joined: Bits = high.astype(np.uint16 if itemsize == 2 else np.uint32)
    for plane in others:
        joined <<= joined.dtype.type(8)
        joined |= plane
    return joined
