"""Device functions that decode a block of one term: from what lies on the device to its fp32 delta values."""

from __future__ import annotations

import triton
import triton.language as tl

from merging.device.numbers import (
    as_float,
    codes_from,
    drawn,
    eight_codes,
    eight_more,
    is_kept,
    kept_before,
    kept_below,
    limited,
    load_bits,
    nibble,
    population,
    widen,
)
from merging.device.tables import (
    ACROSS,
    ACROSS_RANK,
    ACROSS_STEP,
    ALL,
    BF16,
    BFLOAT,
    BITMAP,
    CUTOFF,
    DRAWN,
    DROP_KEY,
    DROP_THRESHOLD,
    INT4,
    KEY,
    LINE_RANK,
    LINE_STEP,
    LINES,
    LOW_RANK,
    OFFSETS,
    RANK,
    SCALES,
    SCALING,
    SIGN,
    SPREAD,
    STARTS,
    THRESHOLD,
    VALUES,
    WIDTH,
)


@triton.jit
def delta(
    term,
    factor,
    own,
    origin,
    first,
    elements,
    two_to_23,
    KIND: tl.constexpr,
    DTYPE: tl.constexpr,
    REBUILDS: tl.constexpr,
    INT4_BLOCK: tl.constexpr,
    SIGN_BLOCK: tl.constexpr,
    SPAN: tl.constexpr,
):
    """The delta values of a block as fp32, dropped and trimmed; with ``REBUILDS`` the fine-tune's own values."""
    kind: tl.constexpr = KIND & 7
    select: tl.constexpr = (KIND >> 3) & 3
    dtype: tl.constexpr = (KIND >> 5) & 3
    group = tl.arange(0, SPAN // 8)
    lane = tl.arange(0, 8)
    if kind == LOW_RANK:
        value = low_rank(term, factor, origin + first, first, elements, group, lane)
    elif kind == SIGN:
        value = signs(term, first, group, lane, SIGN_BLOCK)
    elif select == SPREAD:
        value = spread(term, first, group, lane, two_to_23, INT4_BLOCK, SPAN)
    elif select == ALL:
        value = every(term, first, group, lane, own, two_to_23, kind, dtype, REBUILDS, INT4_BLOCK)
    else:
        value = chosen(
            term,
            origin,
            first,
            elements,
            group,
            lane,
            own,
            two_to_23,
            kind,
            select,
            dtype,
            REBUILDS,
            INT4_BLOCK,
            SPAN,
        )
    if (KIND >> 7) & 1:
        bits = drawn(tl.load(term + DROP_KEY), tl.load(term + DROP_THRESHOLD), origin + first, group)
        value = tl.where(((bits[:, None] >> lane[None, :].to(tl.uint32)) & 1) != 0, value, 0.0)
    if (KIND >> 8) & 1:
        value = tl.where(tl.abs(value) < tl.load(factor + CUTOFF), 0.0, value)
    return value


@triton.jit
def every(
    term,
    first,
    group,
    lane,
    own,
    two_to_23,
    KIND: tl.constexpr,
    DTYPE: tl.constexpr,
    REBUILDS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Values of a term that keeps all elements: the first one is the element itself."""
    values = tl.load(term + VALUES)
    place = group[:, None] * 8 + lane[None, :]
    if KIND == INT4:
        words = values.to(tl.pointer_type(tl.uint32))
        scales = tl.load(term + SCALES).to(tl.pointer_type(tl.uint16))
        codes = tl.load(words + first // 8 + group)
        value = eight_codes(codes, lane, two_to_23) * block_scale(scales, (first + group * 8) // BLOCK)[:, None]
    elif KIND == BFLOAT:
        value = widen(load_bits(values, first, place, place >= 0, BF16, True), BF16)
    else:
        value = widen(load_bits(values, first, place, place >= 0, DTYPE, True), DTYPE)
        if not REBUILDS:
            value = value - own
    return value


@triton.jit
def chosen(
    term,
    origin,
    first,
    elements,
    group,
    lane,
    own,
    two_to_23,
    KIND: tl.constexpr,
    SELECT: tl.constexpr,
    DTYPE: tl.constexpr,
    REBUILDS: tl.constexpr,
    BLOCK: tl.constexpr,
    SPAN: tl.constexpr,
):
    """Values of a term that keeps some elements, zero elsewhere: the n-th kept element has the n-th value."""
    _, rank, bits = search(term, origin, first, elements, group, SELECT == DRAWN, SPAN)
    kept, local = is_kept(bits, lane), kept_before(bits, lane)
    values = tl.load(term + VALUES)
    if KIND == INT4:
        scales = tl.load(term + SCALES).to(tl.pointer_type(tl.uint16))
        block = rank // BLOCK
        behind = (rank - block * BLOCK).to(tl.int32)
        next_block = local >= BLOCK - behind[:, None]
        scale = tl.where(next_block, block_scale(scales, block + 1)[:, None], block_scale(scales, block)[:, None])
        codes = eight_more(codes_from(values, rank))
        value = nibble(codes[:, None] >> (local * 4).to(tl.uint32), two_to_23) * scale
    elif KIND == BFLOAT:
        value = widen(load_bits(values, rank[:, None], local, kept, BF16, False), BF16)
    else:
        value = widen(load_bits(values, rank[:, None], local, kept, DTYPE, False), DTYPE)
        if not REBUILDS:
            value = value - own
    return tl.where(kept, value, 0.0)


@triton.jit
def spread(term, first, group, lane, two_to_23, BLOCK: tl.constexpr, SPAN: tl.constexpr):
    """Values of int4 codes that ``spread_codes`` brought to their places."""
    start = tl.load(tl.load(term + STARTS).to(tl.pointer_type(tl.int64)) + first // SPAN)
    scales = tl.load(term + SCALES).to(tl.pointer_type(tl.uint16)) + start // BLOCK
    codes = tl.load(tl.load(term + VALUES).to(tl.pointer_type(tl.uint32)) + first // 8 + group)
    border = tl.load(tl.load(term + BITMAP).to(tl.pointer_type(tl.uint8)) + first // 8 + group).to(tl.int32)
    block, begins = border >> 3, border & 7
    behind = (0xFF << tl.where(begins == 0, 8, begins)).to(tl.uint32)  # lanes of the next block
    scale = tl.where(
        is_kept(behind, lane), block_scale(scales, block + 1)[:, None], block_scale(scales, block)[:, None]
    )
    return eight_codes(codes, lane, two_to_23) * scale


@triton.jit
def signs(term, first, group, lane, BLOCK: tl.constexpr):
    """Plus or minus each block's scale."""
    scales = tl.load(term + SCALES).to(tl.pointer_type(tl.uint16))
    byte = tl.load(tl.load(term + VALUES).to(tl.pointer_type(tl.uint8)) + first // 8 + group).to(tl.uint32)
    scale = block_scale(scales, (first + group * 8) // BLOCK).to(tl.uint32, bitcast=True)
    negative = ((byte[:, None] >> lane[None, :].to(tl.uint32)) & 1) << 31
    return as_float(scale[:, None] ^ negative)


@triton.jit
def low_rank(term, factor, element, first, elements, group, lane):
    """The product of two factors, summed in the order of the rank; ``element``: the block's first in its tensor."""
    lines = tl.load(term + LINES).to(tl.pointer_type(tl.float32))
    across = tl.load(term + ACROSS).to(tl.pointer_type(tl.float32))
    rank, width = tl.load(term + RANK).to(tl.int32), tl.load(term + WIDTH)
    line_step, line_rank = tl.load(term + LINE_STEP), tl.load(term + LINE_RANK)
    across_step, across_rank = tl.load(term + ACROSS_STEP), tl.load(term + ACROSS_RANK)
    start = element + group * 8
    line = start // width
    behind = (start - line * width).to(tl.int32)[:, None] + lane[None, :]  # perhaps in one of the next lines
    further = behind // width.to(tl.int32)
    line = line[:, None] + further
    column = behind - further * width.to(tl.int32)
    inside = first + group[:, None] * 8 + lane[None, :] < elements
    total = tl.zeros([group.shape[0], 8], tl.float32)
    for index in range(rank):
        one = tl.load(lines + line * line_step + index * line_rank, mask=inside, other=0.0)
        other = tl.load(across + column * across_step + index * across_rank, mask=inside, other=0.0)
        total = total + one * other
    return total * tl.load(factor + SCALING)


@triton.jit
def search(term, origin, first, elements, group, DRAWS: tl.constexpr, SPAN: tl.constexpr):
    """The rank of a span's first kept element, that of each group's, and the mask bits of each group."""
    start = tl.load(tl.load(term + STARTS).to(tl.pointer_type(tl.int64)) + first // SPAN)
    if DRAWS:
        bits = drawn(tl.load(term + KEY), tl.load(term + THRESHOLD), origin + first, group)
        bits = limited(bits, first, group, elements)
        kept = population(bits)
        before = tl.cumsum(kept, 0) - kept
    else:
        bitmap = tl.load(term + BITMAP).to(tl.pointer_type(tl.uint32))
        offsets = tl.load(term + OFFSETS).to(tl.pointer_type(tl.uint16))
        word = tl.load(bitmap + first // 32 + group // 4)
        shift = ((group % 4) * 8).to(tl.uint32)
        bits = (word >> shift) & 0xFF
        before = tl.load(offsets + first // 32 + group // 4).to(tl.int32) + kept_below(word, shift)
    return start, start + before, bits


@triton.jit
def block_scale(scales, block):
    """The scales of blocks, as fp32."""
    return as_float(tl.load(scales + block).to(tl.uint32) << 16)
