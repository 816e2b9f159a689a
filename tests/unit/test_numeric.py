"""Bit patterns: widening, rounding back, the ordered integers and byte planes of `exact`, over every pattern."""

from fractions import Fraction

import numpy as np
import pytest

from storage.encodings import numeric

EVERY16 = np.arange(1 << 16, dtype=np.uint16)
DTYPES16 = ("BF16", "F16")
RNG = np.random.default_rng(5)
RANDOM32 = RNG.integers(0, 1 << 32, 20000, dtype=np.uint32)


def finite_patterns(dtype):
    exponent = np.uint16(0x7C00 if dtype == "F16" else 0x7F80)
    return EVERY16[(EVERY16 & exponent) != exponent]


@pytest.mark.parametrize("dtype", DTYPES16)
def test_widening_and_rounding_back_is_the_identity_on_every_finite_pattern(dtype):
    bits = finite_patterns(dtype)
    assert np.array_equal(numeric.narrow(numeric.widen(bits, dtype), dtype), bits)


def test_bf16_is_the_upper_half_of_fp32():
    assert numeric.widen(np.array([0x3F80, 0xBFC0, 0x0001], np.uint16), "BF16").tolist() == [1.0, -1.5, 2.0**-133]


def test_f16_patterns_have_their_values():
    assert numeric.widen(np.array([0x3C00, 0x0001, 0x7BFF, 0x8000], np.uint16), "F16").tolist() == [
        1,
        2.0**-24,
        65504,
        0,
    ]


@pytest.mark.parametrize("dtype", DTYPES16)
def test_rounding_is_to_nearest_even(dtype):
    """Held to exact fractions: no neighbour is nearer, and a tie goes to the even pattern."""
    scale = 1.0 if dtype == "F16" else 1e30
    values = np.concatenate(
        [
            (RNG.standard_normal(400) * scale).astype(np.float32),
            (RNG.standard_normal(200) * (2.0**-22 if dtype == "F16" else 2.0**-131)).astype(np.float32),
            midpoints(dtype),
        ]
    )
    for value, pattern in zip(values, numeric.narrow(values, dtype), strict=True):
        exact = Fraction(float(value))
        error = abs(fraction(pattern, dtype) - exact)
        for step in (-1, 1):
            magnitude = int(pattern & 0x7FFF) + step
            if magnitude < 0:
                continue
            other = abs(fraction(np.uint16(magnitude | int(pattern & 0x8000)), dtype) - exact)
            assert error < other or (error == other and pattern % 2 == 0)


def fraction(pattern, dtype):
    return Fraction(float(numeric.widen(np.array([pattern], np.uint16), dtype)[0]))


def midpoints(dtype):
    """fp32 values halfway between neighbours."""
    low = np.sort(RNG.choice(finite_patterns(dtype)[:0x7000], 100))
    low = low[low < (0x7BFF if dtype == "F16" else 0x7F7F)]
    a, b = numeric.widen(low, dtype), numeric.widen(low + np.uint16(1), dtype)
    return ((a.astype(np.float64) + b.astype(np.float64)) / 2).astype(np.float32)


@pytest.mark.parametrize(("dtype", "limit"), [("F16", 65520.0), ("BF16", 2.0**128 * (1 - 2**-9))])
def test_values_beyond_the_range_become_infinite(dtype, limit):
    below = np.nextafter(np.float32(limit), np.float32(0), dtype=np.float32)
    patterns = numeric.narrow(np.array([limit, -limit, below], np.float32), dtype)
    assert numeric.widen(patterns, dtype)[:2].tolist() == [np.inf, -np.inf]
    assert numeric.finite(patterns[2:], dtype)


@pytest.mark.parametrize("dtype", ["BF16", "F16", "F32"])
@pytest.mark.parametrize("pattern", [0x7FFFFFFF, 0xFFFFFFFF, 0x7FC00000, 0xFFC00000, 0x7F800001])
def test_nan_never_becomes_a_number(dtype, pattern):
    """CUDA's NaN is 0x7fffffff, whose carry would round to a zero."""
    narrowed = numeric.narrow(np.array([pattern], np.uint32).view(np.float32), dtype)
    assert np.isnan(numeric.widen(narrowed, dtype)).all()


@pytest.mark.parametrize("dtype", DTYPES16)
def test_finite_knows_every_pattern(dtype):
    values = numeric.widen(EVERY16, dtype)
    for pattern in range(0, 1 << 16, 97):
        assert numeric.finite(EVERY16[pattern : pattern + 1], dtype) == np.isfinite(values[pattern])
    assert numeric.finite(finite_patterns(dtype), dtype)


def test_finite_finds_one_bad_value_of_fp32():
    values = np.ones(1000, np.float32)
    assert numeric.finite(values.view(np.uint32), "F32")
    for bad in (np.inf, -np.inf, np.nan):
        values[777] = bad
        assert not numeric.finite(values.view(np.uint32), "F32")


@pytest.mark.parametrize("dtype", DTYPES16)
def test_ordered_integers_stand_in_the_order_of_the_values(dtype):
    bits = finite_patterns(dtype)
    by_integer = numeric.widen(bits[np.argsort(numeric.ordered(bits))], dtype)
    assert (np.diff(by_integer.astype(np.float64)) >= 0).all()
    assert numeric.ordered(np.array([0x8000], np.uint16)) + 1 == numeric.ordered(np.array([0], np.uint16))


@pytest.mark.parametrize("bits", [EVERY16, RANDOM32], ids=["16", "32"])
def test_ordered_and_zigzag_have_inverses(bits):
    assert np.array_equal(numeric.unordered(numeric.ordered(bits)), bits)
    assert np.array_equal(numeric.unzigzag(numeric.zigzag(bits)), bits)
    assert np.unique(numeric.ordered(EVERY16)).size == np.unique(numeric.zigzag(EVERY16)).size == 1 << 16


def test_zigzag_makes_small_differences_small():
    differences = np.array([0, -1, 1, -2, 2, 32767, -32768], np.int16).view(np.uint16)
    assert numeric.zigzag(differences).tolist() == [0, 1, 2, 3, 4, 65534, 65535]


@pytest.mark.parametrize("base", [EVERY16, RANDOM32], ids=["16", "32"])
def test_a_difference_rebuilds_any_pattern_on_any_base(base):
    other = np.random.default_rng(1).permutation(base)
    code = numeric.bit_difference(base, other)
    assert np.array_equal(numeric.apply_difference(base, code), other)
    assert np.array_equal(code == 0, base == other)


def test_neighbouring_values_have_codes_one_and_two():
    one = np.array([0x3F80, 0x3F80], np.uint16)
    assert numeric.bit_difference(one, np.array([0x3F7F, 0x3F81], np.uint16)).tolist() == [1, 2]


def test_planes_hold_the_most_significant_bytes_first():
    assert numeric.split_planes(np.array([0x0102, 0x0304], np.uint16)) == bytes([1, 3, 2, 4])
    assert numeric.split_planes(np.array([0x01020304, 0x05060708], np.uint32)) == bytes([1, 5, 2, 6, 3, 7, 4, 8])


@pytest.mark.parametrize("bits", [EVERY16, RANDOM32, EVERY16[:0], RANDOM32[:1]])
def test_planes_join_again(bits):
    assert np.array_equal(numeric.join_planes(numeric.split_planes(bits), bits.itemsize), bits)


def test_bytes_are_little_endian_and_shared():
    raw = bytearray([0x80, 0x3F, 0xC0, 0xBF])
    bits = numeric.as_bits(raw, "BF16")
    assert bits.tolist() == [0x3F80, 0xBFC0]
    assert numeric.as_bytes(bits) == raw
    raw[0] = 0x81
    assert bits[0] == 0x3F81


@pytest.mark.parametrize("dtype", ["BF16", "F16", "F32"])
def test_converting_to_its_own_dtype_changes_nothing(dtype):
    bits = EVERY16.astype(numeric.BITS[dtype])
    assert numeric.convert(bits, dtype, dtype) is bits


def test_converting_between_the_16_bit_dtypes_goes_through_fp32():
    values = np.array([1.0, -2.5, 2.0**-24, 65504], np.float32)
    f16 = numeric.narrow(values, "F16")
    assert np.array_equal(numeric.convert(f16, "F16", "BF16"), numeric.narrow(values, "BF16"))
