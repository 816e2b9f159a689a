"""Constants that the CUDA kernels and what launches them share: kinds of terms, and the columns of the tables."""

from __future__ import annotations

import triton.language as tl

SPAN = 2048
"""Elements of a program; a divisor of the chunk, so that no block lies in two of them."""

# How a term's values are stored, and which elements have one: all; those of a bitmap; those of a mask that is drawn
# now; or all again, int4 codes having been spread to the places of their elements, zeros between them.
INT4, BFLOAT, EXACT, SIGN, LOW_RANK = (tl.constexpr(kind) for kind in range(5))
ALL, PLACED, DRAWN, SPREAD = (tl.constexpr(select) for select in range(4))
F32, F16, BF16 = (tl.constexpr(dtype) for dtype in range(3))
KIND_BITS = 9  # a kind as ``layout`` writes it: values, selection, dtype, whether it drops, whether it trims

TWO_TO_23 = 0x4B000000
"""The pattern of 2^23 in fp32: what is added to it stands in its lowest bits."""

# Columns of the tables. Addresses and keys are 64-bit patterns in int64.
FIRST_PROGRAM, ELEMENTS, BASE, OUT, FLAG, ORIGIN = (tl.constexpr(column) for column in range(6))
TENSOR_COLUMNS = tl.constexpr(6)
VALUES, SCALES, BITMAP, OFFSETS, STARTS, KEY, THRESHOLD = (tl.constexpr(column) for column in range(7))
LINES, ACROSS, RANK, WIDTH, LINE_STEP, LINE_RANK, ACROSS_STEP, ACROSS_RANK = (tl.constexpr(c) for c in range(8))
DROP_KEY, DROP_THRESHOLD, TERM_COLUMNS = tl.constexpr(8), tl.constexpr(9), tl.constexpr(10)
COEFFICIENT, WEIGHT, CUTOFF, SCALING, FACTOR_COLUMNS = (tl.constexpr(column) for column in range(5))
