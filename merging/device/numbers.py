"""Device functions on numbers: mask bits and their ranks, int4 codes, widening and rounding. No table, no order.

Elements stand in groups of 8, arrays of shape ``[groups]`` or ``[groups, 8]``; bits of a group have lane 0 lowest.
"""

from __future__ import annotations

import triton
import triton.language as tl
from triton import knobs

from merging.device.tables import F16, F32

CASTS = tl.constexpr(not knobs.runtime.interpret)
"""Whether casting to bf16 rounds to nearest even: one instruction of the device. The interpreter cuts off."""


@triton.jit
def drawn(key, threshold, element, group):
    """Eight mask bits for each group, lane 0 lowest; ``element``: of the tensor, the first of the block."""
    counter = element // 8 + group
    low = (counter & 0xFFFFFFFF).to(tl.uint32)
    high = (counter >> 32).to(tl.uint32)
    key0 = (key & 0xFFFFFFFF).to(tl.uint32)
    key1 = ((key >> 32) & 0xFFFFFFFF).to(tl.uint32)
    zero = low & 0
    w0, w1, w2, w3 = tl.philox_impl(low, high + zero, zero, zero, key0, key1)
    limit = threshold.to(tl.uint32)
    bits = two_lanes(w0, limit) | (two_lanes(w1, limit) << 2)
    return bits | (two_lanes(w2, limit) << 4) | (two_lanes(w3, limit) << 6)


@triton.jit
def two_lanes(word, limit):
    """Whether each half of a word, the low one first, is below the limit."""
    return ((word & 0xFFFF) < limit).to(tl.uint32) | (((word >> 16) < limit).to(tl.uint32) << 1)


@triton.jit
def limited(bits, first, group, elements):
    """Mask bits without those of elements behind the tensor's end."""
    left = tl.minimum(tl.maximum(elements - (first + group * 8), 0), 8).to(tl.uint32)
    return bits & ((tl.full(left.shape, 1, tl.uint32) << left) - 1)


@triton.jit
def nibbles(bits):
    """Eight bits moved into the lowest bits of eight nibbles."""
    spread = (bits | (bits << 12)) & 0x000F000F
    spread = (spread | (spread << 6)) & 0x03030303
    return (spread | (spread << 3)) & 0x11111111


@triton.jit
def population(bits):
    """How many of eight bits are set."""
    return ((nibbles(bits) * 0x11111111) >> 28).to(tl.int32)


@triton.jit
def kept_below(word, shift):
    """How many bits of a 32-bit word are set below bit ``shift``, which is 0, 8, 16 or 24."""
    pairs = word - ((word >> 1) & 0x55555555)
    fours = (pairs & 0x33333333) + ((pairs >> 2) & 0x33333333)
    bytes_ = (fours + (fours >> 4)) & 0x0F0F0F0F
    return (((bytes_ * 0x01010100) >> shift) & 0xFF).to(tl.int32)


@triton.jit
def is_kept(bits, lane):
    """The bits of each group as truth values of its lanes."""
    return ((bits[:, None] >> lane[None, :].to(tl.uint32)) & 1) != 0


@triton.jit
def kept_before(bits, lane):
    """How many bits of each group are set before each lane: a nibble for each in the product."""
    counts = nibbles(bits) * 0x11111110
    return ((counts[:, None] >> (lane[None, :] * 4).to(tl.uint32)) & 15).to(tl.int32)


@triton.jit
def eight_more(word):
    """Eight codes (two's complement, four bits each) as numbers without a sign: each code plus eight."""
    return word ^ 0x88888888


@triton.jit
def nibble(word, two_to_23):
    """The lowest four bits, less the eight that ``eight_more`` added, in fp32."""
    # 2^23 + n has n in its lowest bits: exact, and quicker than a conversion. The pattern comes as an argument, because
    # only then taking four bits and putting them there is one instruction: it has room for one constant.
    return as_float((word & 15) | two_to_23) - 8388616.0


@triton.jit
def eight_codes(word, lane, two_to_23):
    """The eight codes of each word as fp32, lowest first: as ``nibble``, but each where it lies, in either half."""
    word = eight_more(word)
    shift = (lane % 4) * 4
    half = tl.where(lane[None, :] < 4, word[:, None], word[:, None] >> 16)
    moved = (half & (15 << shift).to(tl.uint32)[None, :]) | two_to_23
    # Divided by 16 for each place that it lies higher, which is exact.
    unit = as_float(((127 - shift) << 23).to(tl.uint32))
    return (as_float(moved) - (8388608 + (8 << shift)).to(tl.float32)[None, :]) * unit[None, :]


@triton.jit
def as_float(bits):
    """The fp32 value of a pattern."""
    return bits.to(tl.float32, bitcast=True)


@triton.jit
def load_bits(address, first, place, inside, DTYPE: tl.constexpr, ALIGNED: tl.constexpr):
    """Bit patterns of elements; 0 where not inside."""
    if DTYPE == F32:
        return tl.load(pointer(address, tl.uint32, ALIGNED) + first + place, mask=inside, other=0)
    return tl.load(pointer(address, tl.uint16, ALIGNED) + first + place, mask=inside, other=0).to(tl.uint32)


@triton.jit
def store_bits(address, first, place, inside, bits, DTYPE: tl.constexpr, ALIGNED: tl.constexpr):
    """Write bit patterns of elements."""
    if DTYPE == F32:
        tl.store(pointer(address, tl.uint32, ALIGNED) + first + place, bits, mask=inside)
    else:
        tl.store(pointer(address, tl.uint16, ALIGNED) + first + place, bits.to(tl.uint16), mask=inside)


@triton.jit
def pointer(address, TYPE: tl.constexpr, ALIGNED: tl.constexpr):
    """An address as a pointer. Only where it is known to be a multiple of 16 are 16 bytes taken at once."""
    typed = address.to(tl.pointer_type(TYPE))
    if ALIGNED:
        typed = tl.multiple_of(typed, 16)
    return typed


@triton.jit
def widen(bits, DTYPE: tl.constexpr):
    """The fp32 values of bit patterns (uint32): F32, F16 or BF16."""
    if DTYPE == F32:
        return as_float(bits)
    if DTYPE == F16:
        return bits.to(tl.uint16).to(tl.float16, bitcast=True).to(tl.float32)
    return as_float(bits << 16)


@triton.jit
def narrow(values, DTYPE: tl.constexpr):
    """Bit patterns (uint32) of fp32 values rounded to nearest, ties to even; NaN stays NaN."""
    bits = values.to(tl.uint32, bitcast=True)
    if DTYPE == F32:
        return bits
    if DTYPE == F16:
        return values.to(tl.float16).to(tl.uint16, bitcast=True).to(tl.uint32)
    if CASTS:
        return values.to(tl.bfloat16).to(tl.uint16, bitcast=True).to(tl.uint32)
    rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
    # The carry would turn a NaN whose bits are all ones into a zero.
    return tl.where((bits & 0x7FFFFFFF) > 0x7F800000, 0x7FC0, rounded)


@triton.jit
def codes_from(address, rank):
    """The eight int4 codes from the one of rank ``rank`` on."""
    words = address.to(tl.pointer_type(tl.uint32))
    shift = ((rank % 8) * 4).to(tl.uint32)
    low, high = tl.load(words + rank // 8), tl.load(words + rank // 8 + 1)
    return (low >> shift) | ((high << 1) << (31 - shift))
