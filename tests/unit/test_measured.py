"""Statistics of a delta: the stated order of summing to the bit, the counts by plain numpy, the corners of fp32."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from storage.encodings.measure_kernels import BLOCK, ROW
from storage.encodings.measured import Measured, measure_delta

laws = settings(max_examples=60, deadline=None, derandomize=True, database=None)


def sum_in_order(values):
    """Four rows of a block at a time, the rows of a last, shorter block one by one; then sum by sum."""
    sums = np.zeros(ROW)
    for begin in range(0, values.size, BLOCK):
        rows = [values[begin + k * ROW : begin + (k + 1) * ROW] for k in range(4)]
        if values.size - begin >= BLOCK:
            sums += (rows[0] + rows[1]) + (rows[2] + rows[3])
        else:
            for row in rows:
                sums[: row.size] += row
    total = 0.0
    for each in sums.tolist():
        total += each
    return total


def check(values):
    found, wide = measure_delta(values), values.astype(np.float64)
    assert (found.elements, found.kept) == (values.size, values.size)
    assert (found.minimum, found.maximum) == (values.min(), values.max())
    assert found.unchanged == int((values == 0).sum())
    limits = (found.above_safe, found.above_degrading, found.above_failing)
    assert limits == tuple(int((np.abs(values) > np.float32(limit)).sum()) for limit in (0.005, 0.01, 0.03))
    sums = (found.total, found.absolute, found.squares)
    assert sums == tuple(sum_in_order(each) for each in (wide, np.abs(wide), wide * wide))
    return found


@laws
@given(arrays(np.float32, st.integers(1, 90), elements=st.floats(-0.0625, 0.0625, width=32)))
def test_small_arrays_are_measured_as_stated(values):
    check(values)


@pytest.mark.parametrize("size", [ROW - 1, ROW, ROW + 1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 700])
@pytest.mark.parametrize("sigma", [1e-3, 0.02])
def test_blocks_and_what_is_left_of_them(size, sigma):
    values = (np.random.default_rng(size).standard_normal(size) * sigma).astype(np.float32)
    found = check(values)
    assert found.total == pytest.approx(math.fsum(values.tolist()), abs=1e-12)


@pytest.mark.parametrize("value", [0.0, -0.0, 2.0**-149, -(2.0**-149), 3.4028235e38, -3.4028235e38])
def test_corners_of_fp32(value):
    check(np.full(3, value, np.float32))


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_what_is_not_finite_shows_in_the_sum_of_magnitudes(value):
    assert not math.isfinite(measure_delta(np.array([1, value, 2], np.float32)).absolute)


def test_nothing_measures_as_nothing():
    assert measure_delta(np.empty(0, np.float32)) == Measured()
