"""Compiled masks: which elements are kept, as bits, as places, and as gap bytes.

Held to ``philox.mask`` and ``magnitude`` bit for bit. Bits come in 64-bit words, lowest bit first.
"""

from __future__ import annotations

import numba
import numpy as np
from llvmlite import ir

from storage.encodings.kernels import draw_lanes, jit

BLOCK = 4096  # elements whose lanes are drawn at once: 8 KiB, stays in the first-level cache


@jit
def draw_bits(key, threshold, first, count, words, bits):
    """The mask of ``count`` elements from ``first`` on as 64-bit words, lowest bit first; returns how many are kept.

    ``words`` (uint32, ``BLOCK`` / 2) is working memory; ``bits`` (uint64) holds ceil(count / 64).
    """
    draw_lanes(key, first // 8, words[: 32 * bits.size])
    lanes = words.view(np.uint16)
    for j in range(bits.size):
        bits[j] = lanes_below(lanes, 64 * j, np.uint16(threshold))
    if count % 64:
        bits[bits.size - 1] &= (np.uint64(1) << np.uint64(count % 64)) - np.uint64(1)
    return count_bits(bits)


@jit
def count_bits(bits):
    """How many bits are set."""
    kept = np.int64(0)
    for j in range(bits.size):
        kept += np.int64(population(bits[j]))
    return kept


@numba.extending.intrinsic
def lanes_below(typing_context, lanes, first, limit):
    """Which of 64 lanes (uint16) from ``first`` on are below the limit, as the bits of a uint64: one vector compare."""

    def generate(context, builder, signature, arguments):
        lanes_type = signature.args[0]
        array = context.make_array(lanes_type)(context, builder, arguments[0])
        vector = ir.VectorType(ir.IntType(16), 64)
        address = builder.bitcast(builder.gep(array.data, [arguments[1]]), vector.as_pointer())
        values = builder.load(address, align=2)
        limits = builder.insert_element(ir.Constant(vector, ir.Undefined), arguments[2], ir.IntType(32)(0))
        zeros = ir.Constant(ir.VectorType(ir.IntType(32), 64), None)
        limits = builder.shuffle_vector(limits, ir.Constant(vector, ir.Undefined), zeros)
        return builder.bitcast(builder.icmp_unsigned("<", values, limits), ir.IntType(64))

    return numba.types.uint64(lanes, numba.types.int64, numba.types.uint16), generate


@jit
def places_of_bits(bits, first, places):
    """The places of set bits, ``first`` being that of the lowest bit, into ``places``; returns how many."""
    used = 0
    for j in range(bits.size):
        word = bits[j]
        place = first + 64 * j
        while word != 0:
            places[used] = place + np.int64(trailing_zeros(word))
            used += 1
            word &= word - np.uint64(1)
    return used


@jit
def mask_places(key, threshold, start, count, places):
    """The kept of ``count`` elements from ``start`` on, numbered from 0, into ``places`` (int64); returns how many."""
    words, bits = np.empty(BLOCK // 2, np.uint32), np.empty(BLOCK // 64, np.uint64)
    used = 0
    for begin in range(0, count, BLOCK):
        size = min(BLOCK, count - begin)
        own = bits[: (size + 63) // 64]
        draw_bits(key, threshold, start + begin, size, words, own)
        used += places_of_bits(own, begin, places[used:])
    return used


@jit
def places_of_gaps(gaps, count, places):
    """Places out of gap bytes; False where they are not as many as ``places`` holds, or not all below ``count``."""
    place = np.int64(-1)
    used = 0
    complete = False
    for i in range(gaps.size):
        byte = np.int64(gaps[i])
        complete = byte != 255
        place += byte
        if complete:
            place += 1
            if used == places.size or place >= count:
                return False
            places[used] = place
            used += 1
    return complete and used == places.size


@jit
def bits_of_gaps(gaps, kept, count, bits):
    """``places_of_gaps`` as bits, of which all are zero before; False where they are not ``kept`` below ``count``."""
    place, used = np.int64(-1), np.int64(0)
    index, word = np.int64(0), np.uint64(0)
    complete = False
    for i in range(gaps.size):
        byte = np.int64(gaps[i])
        complete = byte != 255
        place += byte
        if complete:
            place += 1
            if used == kept or place >= count:
                return False
            if place // 64 != index:
                bits[index] = word
                index, word = place // 64, np.uint64(0)
            word |= np.uint64(1) << np.uint64(place % 64)
            used += 1
    if bits.size:
        bits[index] = word
    return complete and used == kept


@jit
def gaps_of_places(places, gaps):
    """Gap bytes of places into ``gaps``, which is long enough; returns how many."""
    used = 0
    last = np.int64(-1)
    for i in range(places.size):
        gap = np.int64(places[i]) - last - 1
        last = np.int64(places[i])
        while gap >= 255:
            gaps[used] = np.uint8(255)
            used += 1
            gap -= 255
        gaps[used] = np.uint8(gap)
        used += 1
    return used


@numba.extending.intrinsic
def trailing_zeros(typing_context, word):
    """Index of the lowest set bit of a uint64 that is not zero."""

    def generate(context, builder, signature, arguments):
        return builder.cttz(arguments[0], context.get_constant(numba.types.boolean, True))

    return numba.types.uint64(numba.types.uint64), generate


@numba.extending.intrinsic
def population(typing_context, word):
    """How many bits of a uint64 are set."""

    def generate(context, builder, signature, arguments):
        return builder.ctpop(arguments[0])

    return numba.types.uint64(numba.types.uint64), generate
