"""Blockwise int4: exact bytes, the error bound, the corners of fp32, and the kernel held to the definition."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from storage.encodings import int4, int4_kernels
from storage.encodings.encode import LARGEST

BF16_TINY = 2.0**-133  # the smallest bf16 above zero
F32_TINY = 2.0**-149


def f32(*values):
    return np.array(values, np.float32)


def scale_value(pattern):
    return np.array([int(pattern) << 16], np.uint32).view(np.float32)[0]


def by_kernel(values, block=int4.BLOCK):
    codes = np.zeros(-(-values.size // 2), np.uint8)
    scales = np.zeros(-(-values.size // block), np.uint16)
    int4_kernels.quantize(values, block, codes, scales)
    out = np.empty(values.size, np.float32)
    int4_kernels.dequantize(codes, scales, block, out)
    return codes, scales, out


def test_codes_are_nibbles_low_first_in_twos_complement():
    codes, scales = int4.quantize(f32(7, -7, 1, -1, 3, 0, 2))
    assert codes.tobytes() == bytes([0x97, 0xF1, 0x03, 0x02])
    assert scale_value(scales[0]) == 1.0
    assert int4.dequantize(codes, scales, 7).tolist() == [7, -7, 1, -1, 3, 0, 2]


def test_ties_go_to_the_even_code():
    codes, scales = int4.quantize(f32(7, 0.5, 1.5, 2.5, -0.5, -1.5, -2.5))
    assert int4.dequantize(codes, scales, 7).tolist() == [7, 0, 2, 2, 0, -2, -2]


@pytest.mark.parametrize(
    ("largest", "expected"),
    [(7 * 1.0, 1.0), (7 * 1.001, 1.0078125), (7 * 1.0078125, 1.0078125), (7 * 1.0079, 1.015625)],
)
def test_scale_is_rounded_up_to_bf16(largest, expected):
    _, scales = int4.quantize(f32(0, largest))
    assert scale_value(scales[0]) == expected


def test_the_largest_value_never_needs_a_code_beyond_seven():
    values = np.random.default_rng(0).standard_normal((2000, 4)).astype(np.float32)
    for row in values:
        codes, scales = int4.quantize(row)
        assert np.abs(row).max() <= 7 * scale_value(scales[0])
        assert 8 not in (*(codes & 15), *(codes >> 4))


def test_blocks_are_independent_and_the_last_may_be_short():
    values = np.random.default_rng(1).standard_normal(300).astype(np.float32)
    codes, scales = int4.quantize(values)
    assert (codes.size, scales.size) == (150, 3)
    whole = int4.dequantize(codes, scales, 300)
    for start in (0, 128, 256):
        part = values[start : start + 128]
        assert int4.dequantize(*int4.quantize(part), part.size).tolist() == whole[start : start + 128].tolist()


def test_zeros_are_exact_and_cost_no_scale():
    codes, scales = int4.quantize(f32(0, -0.0, 0))
    assert not codes.any()
    assert not scales.any()
    assert int4.dequantize(codes, scales, 3).view(np.uint32).tolist() == [0, 0, 0]


def test_a_zero_among_others_stays_zero():
    values = np.random.default_rng(2).standard_normal(1000).astype(np.float32)
    values[::3] = 0
    decoded = int4.dequantize(*int4.quantize(values), 1000)
    assert not decoded[::3].any()


@pytest.mark.parametrize("exponent", [-149, -140, -133, -130, -126, -120, 0, 100, 125])
def test_denormal_and_huge_scales_decode_within_the_bound(exponent):
    values = (np.linspace(-1, 1, 101) * 2.0**exponent).astype(np.float32)
    check_bound(values)


def test_the_largest_magnitude_that_encodes_stays_finite():
    values = f32(LARGEST, -LARGEST, 1)
    check_bound(values)
    assert np.isfinite(int4.dequantize(*int4.quantize(values), 3)).all()


def test_values_below_every_scale_vanish():
    values = f32(F32_TINY, -2 * F32_TINY, 3 * F32_TINY)
    codes, scales = int4.quantize(values)
    assert not scales.any()
    assert not int4.dequantize(codes, scales, 3).any()


def check_bound(values):
    """|x − decoded| ≤ scale / 2, up to the rounding of the fp32 quotient; and numba agrees to the bit."""
    codes, scales = int4.quantize(values)
    decoded = int4.dequantize(codes, scales, values.size)
    scale = np.repeat([scale_value(s) for s in scales], int4.BLOCK)[: values.size].astype(np.float64)
    error = np.abs(values.astype(np.float64) - decoded.astype(np.float64))
    assert (error <= np.maximum(scale / 2 * (1 + 2**-20), 3 * F32_TINY)).all()
    for mine, theirs in zip((codes, scales, decoded), by_kernel(values), strict=True):
        assert np.array_equal(mine.view(np.uint8), theirs.view(np.uint8))


floats = st.floats(-LARGEST, LARGEST, width=32) | st.floats(-0.0625, 0.0625, width=32)


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(arrays(np.float32, st.integers(1, 300), elements=floats))
def test_any_values_decode_within_the_bound(values):
    check_bound(values)


@pytest.mark.parametrize("block", [32, 64, 256, 512])
def test_other_block_sizes_agree_too(block):
    values = np.random.default_rng(3).standard_normal(1001).astype(np.float32)
    codes, scales = int4.quantize(values, block)
    decoded = int4.dequantize(codes, scales, 1001, block)
    for mine, theirs in zip((codes, scales, decoded), by_kernel(values, block), strict=True):
        assert np.array_equal(mine, theirs)
