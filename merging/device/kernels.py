"""The fused CUDA kernel: one pass over blocks of elements, from compressed deltas to merged bit patterns.

A program computes ``SPAN`` consecutive elements of one tensor; one launch covers many tensors. Elements stand in
groups of 8 (``[groups, 8]``), which is what one Philox counter decides and what one thread loads at once. What a
program needs stands in three tables, described in ``merging.device.launch``. Each operation rounds on its own: these
kernels must be launched with ``enable_fp_fusion=False``, and divide with ``div_rn``.
"""

from __future__ import annotations

import triton
import triton.language as tl

from merging.device.numbers import (
    codes_from,
    drawn,
    is_kept,
    kept_before,
    limited,
    load_bits,
    narrow,
    population,
    store_bits,
    widen,
)
from merging.device.tables import (
    BASE,
    BITMAP,
    COEFFICIENT,
    ELEMENTS,
    F16,
    F32,
    FACTOR_COLUMNS,
    FIRST_PROGRAM,
    FLAG,
    KEY,
    OFFSETS,
    ORIGIN,
    OUT,
    TENSOR_COLUMNS,
    TERM_COLUMNS,
    THRESHOLD,
    VALUES,
    WEIGHT,
)
from merging.device.terms import delta, search


@triton.jit
def merge_blocks(
    tensor_of,
    tensors,
    terms,
    factors,
    scale,
    base_scale,
    two_to_23,
    DTYPE: tl.constexpr,
    OUT_DTYPE: tl.constexpr,
    KINDS: tl.constexpr,
    TERMS: tl.constexpr,
    ELECTS: tl.constexpr,
    BY_WEIGHT: tl.constexpr,
    BASE_SCALED: tl.constexpr,
    SCALED: tl.constexpr,
    REBUILDS: tl.constexpr,
    EVEN: tl.constexpr,
    INT4_BLOCK: tl.constexpr,
    SIGN_BLOCK: tl.constexpr,
    SPAN: tl.constexpr,
):
    """Merge one block: read the base, decode and combine ``TERMS`` terms, narrow, write, tell what is not finite.

    ``two_to_23``: the pattern of 2^23 in fp32, which ``nibble`` wants to come from outside.
    """
    two_to_23 = two_to_23.to(tl.uint32)
    program = tl.program_id(0)
    tensor = tl.load(tensor_of + program)
    row = tensors + tensor.to(tl.int64) * TENSOR_COLUMNS
    block = program - tl.load(row + FIRST_PROGRAM)
    elements = tl.load(row + ELEMENTS)
    base = tl.load(row + BASE)
    out = tl.load(row + OUT)
    flag = tl.load(row + FLAG).to(tl.pointer_type(tl.int32))
    origin = tl.load(row + ORIGIN)
    if EVEN:
        # Whole groups, in places that are multiples of 16 bytes: loads and stores take 16 bytes at once.
        elements = tl.multiple_of(elements, 8)
    group = tl.arange(0, SPAN // 8)
    lane = tl.arange(0, 8)
    first = block.to(tl.int64) * SPAN
    place = group[:, None] * 8 + lane[None, :]
    inside = first + place < elements
    own = widen(load_bits(base, first, place, inside, DTYPE, EVEN), DTYPE)
    term = terms + tensor.to(tl.int64) * (TERMS * TERM_COLUMNS)
    factor = factors + tensor.to(tl.int64) * (TERMS * FACTOR_COLUMNS)
    if REBUILDS:
        merged = delta(
            term, factor, own, origin, first, elements, two_to_23, KINDS, DTYPE, True, INT4_BLOCK, SIGN_BLOCK, SPAN
        )
    elif TERMS == 0:
        merged = own
        if BASE_SCALED:
            merged = own * base_scale
    else:
        values = ()
        combined = own
        for k in tl.static_range(TERMS):
            value = delta(
                term + k * TERM_COLUMNS,
                factor + k * FACTOR_COLUMNS,
                own,
                origin,
                first,
                elements,
                two_to_23,
                (KINDS >> (k * 9)) & 511,
                DTYPE,
                False,
                INT4_BLOCK,
                SIGN_BLOCK,
                SPAN,
            )
            value = value * tl.load(factor + k * FACTOR_COLUMNS + COEFFICIENT)
            if ELECTS:
                values = values + (value,)
            elif k == 0:
                combined = value
            else:
                combined = combined + value
        if ELECTS:
            combined = elect(values, factor, TERMS, BY_WEIGHT)
        # To multiply by exactly 1 changes nothing.
        if SCALED:
            combined = combined * scale
        merged = own
        if BASE_SCALED:
            merged = own * base_scale
        merged = merged + combined
    store_bits(out, first, place, inside, narrow(merged, OUT_DTYPE), OUT_DTYPE, EVEN)
    magnitude = tl.abs(merged)
    if not EVEN:
        magnitude = tl.where(inside, magnitude, 0.0)
    # The least magnitude that rounds to infinity.
    limit: tl.constexpr = float("inf") if OUT_DTYPE == F32 else 65520.0 if OUT_DTYPE == F16 else 3.3961775292304957e38
    finite = tl.reduce(magnitude, 1, larger) < limit  # NaN is less than nothing
    bad = ~finite & (first + group * 8 < elements)
    tl.store(flag + group * 0, 1, mask=bad)


@triton.jit
def larger(a, b):
    """The larger of two numbers; NaN if one of them is."""
    return tl.maximum(a, b, propagate_nan=tl.PropagateNan.ALL)


@triton.jit
def elect(values, factor, TERMS: tl.constexpr, BY_WEIGHT: tl.constexpr):
    """The mean of the terms that agree with the sign of their sum."""
    total = values[0]
    for k in tl.static_range(1, TERMS):
        total = total + values[k]
    positive = total >= 0
    merged = tl.zeros_like(total)
    divisor = tl.zeros_like(total)
    for k in tl.static_range(TERMS):
        value = values[k]
        agrees = (value != 0) & ((value > 0) == positive)
        share = tl.load(factor + k * FACTOR_COLUMNS + WEIGHT) if BY_WEIGHT else 1.0
        merged = merged + tl.where(agrees, value, 0.0)
        divisor = divisor + tl.where(agrees, share, 0.0)
    divisor = tl.where(tl.abs(divisor) < 9.99999993922529e-09, 1.0, divisor)
    return tl.div_rn(merged, divisor)


@triton.jit
def index_masks(term_of, tensors, terms, counts, CACHES: tl.constexpr, SPAN: tl.constexpr):
    """Draw masks, and count what they keep in each span; with ``CACHES``, keep them in the terms' bitmaps, and in
    their offsets how many are kept before each 32 elements of a span.
    """
    program = tl.program_id(0)
    index = tl.load(term_of + program).to(tl.int64)
    tensor, term = tensors + index * TENSOR_COLUMNS, terms + index * TERM_COLUMNS
    group = tl.arange(0, SPAN // 8)
    first = (program - tl.load(tensor + FIRST_PROGRAM)) * SPAN
    bits = drawn(tl.load(term + KEY), tl.load(term + THRESHOLD), tl.load(tensor + ORIGIN) + first, group)
    bits = limited(bits, first, group, tl.load(tensor + ELEMENTS))
    kept = population(bits)
    if CACHES:
        bitmap = tl.load(term + BITMAP).to(tl.pointer_type(tl.uint8))
        offsets = tl.load(term + OFFSETS).to(tl.pointer_type(tl.uint16))
        before = tl.cumsum(kept, 0) - kept
        tl.store(bitmap + first // 8 + group, bits.to(tl.uint8))
        tl.store(offsets + first // 32 + group // 4, before.to(tl.uint16), mask=group % 4 == 0)
    tl.store(counts + program, tl.sum(kept, 0))


@triton.jit
def spread_codes(term_of, tensors, terms, DRAWS: tl.constexpr, BLOCK: tl.constexpr, SPAN: tl.constexpr):
    """Write int4 codes to the places of their elements, eight a word, zeros between them.

    Beside each word stands a byte: its upper five bits count the blocks that began in the span before it, the lower
    three say at which element the next block begins, 0 that none does. ``BASE`` and ``OUT`` are where both go.
    """
    program = tl.program_id(0)
    index = tl.load(term_of + program).to(tl.int64)
    tensor, term = tensors + index * TENSOR_COLUMNS, terms + index * TERM_COLUMNS
    group = tl.arange(0, SPAN // 8)
    lane = tl.arange(0, 8)
    first = (program - tl.load(tensor + FIRST_PROGRAM)) * SPAN
    start, rank, bits = search(term, tl.load(tensor + ORIGIN), first, tl.load(tensor + ELEMENTS), group, DRAWS, SPAN)
    local = kept_before(bits, lane)
    own = (codes_from(tl.load(term + VALUES), rank)[:, None] >> (local * 4).to(tl.uint32)) & 15
    own = tl.where(is_kept(bits, lane), own, 0) << (lane[None, :] * 4).to(tl.uint32)
    left = BLOCK - (rank % BLOCK).to(tl.int32)
    begins = tl.sum((local < left[:, None]).to(tl.int32), 1) & 7
    codes = tl.load(tensor + BASE).to(tl.pointer_type(tl.uint32))
    borders = tl.load(tensor + OUT).to(tl.pointer_type(tl.uint8))
    tl.store(codes + first // 8 + group, tl.sum(own, 1))
    tl.store(borders + first // 8 + group, ((rank // BLOCK - start // BLOCK) * 8 + begins).to(tl.uint8))
