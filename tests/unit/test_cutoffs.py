"""The k-th largest magnitude in two passes: what sorting finds, whatever the parts."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from storage.encodings.cutoffs import count_difference, count_magnitudes, find_cutoff, kept_count, new_counts
from storage.encodings.numeric import narrow, widen


def cutoff_of(parts, keep):
    asked = []

    def histogram(prefix):
        asked.append(prefix)
        counts = new_counts()
        for part in parts:
            count_magnitudes(part, prefix, counts)
        return counts

    found = find_cutoff(keep, histogram)
    assert len(asked) <= 2
    assert asked[0] is None
    return found


def by_sorting(values, keep):
    magnitudes = np.sort(np.abs(values[values != 0]))[::-1]
    if magnitudes.size <= keep:
        return 0.0
    return float(magnitudes[keep - 1]) if keep else float("inf")


values = arrays(
    np.float32,
    st.integers(0, 80),
    elements=st.floats(-4, 4, width=32) | st.sampled_from([0.0, -0.0, 1.0, -1.0, 2**-149]),
)


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(values, st.integers(0, 90), st.integers(0, 80))
def test_it_is_what_sorting_finds(values, keep, split):
    assert cutoff_of([values[:split], values[split:]], keep) == by_sorting(values, keep)


def test_neighbours_in_one_bin_are_told_apart():
    values = (np.float32(1.0).view(np.uint32) + np.arange(1000, dtype=np.uint32)).view(np.float32)
    for keep in (1, 2, 500, 999):
        assert cutoff_of([values], keep) == float(values[1000 - keep])


@pytest.mark.parametrize(("dtype", "base_dtype"), [("BF16", "BF16"), ("F16", "F32"), ("F32", "BF16")])
@pytest.mark.parametrize("prefix", [None, 0x3A83])
def test_the_difference_is_counted_straight_from_patterns(dtype, base_dtype, prefix):
    rng = np.random.default_rng(1)
    base = narrow((rng.standard_normal(5001) * 0.02).astype(np.float32), base_dtype)
    fine_tuned = narrow(widen(base, base_dtype) + (rng.standard_normal(5001) * 1e-3).astype(np.float32), dtype)
    found, expected = new_counts(), new_counts()
    count_difference(base, base_dtype, fine_tuned, dtype, prefix, found)
    count_magnitudes(widen(fine_tuned, dtype) - widen(base, base_dtype), prefix, expected)
    assert expected.sum() > 0
    assert np.array_equal(found, expected)


@pytest.mark.parametrize(
    ("density", "elements", "expected"), [(0.1, 19, 1), (0.1, 20, 2), (0.29, 100, 28), (0.5, 1, 0)]
)
def test_the_number_kept_is_rounded_down_in_fp64(density, elements, expected):
    assert kept_count(density, elements) == expected
