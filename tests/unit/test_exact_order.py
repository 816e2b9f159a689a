"""The order of `exact` codes: by the base's exponent, stable, the same in compiled code and plain numpy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from storage.encodings import exact, exact_kernels
from storage.encodings.coding import EXACT
from storage.encodings.encode import encode_chunk
from storage.encodings.numeric import BITS, apply_difference, bit_difference, narrow
from storage.encodings.numeric_kernels import DTYPE

laws = settings(max_examples=100, deadline=None, derandomize=True, database=None)
DTYPES = ("F32", "F16", "BF16")


@st.composite
def pairs(draw):
    """(dtype, base patterns, codes), of any bits at all."""
    dtype = draw(st.sampled_from(DTYPES))
    n, most = draw(st.integers(0, 70)), (1 << 8 * BITS[dtype]().itemsize) - 1
    return dtype, *(draw(arrays(BITS[dtype], n, elements=st.integers(0, most))) for _ in range(2))


def test_codes_lie_by_ascending_exponent_and_then_as_they_stand():
    base = narrow(np.array([1.0, 0.01, -1.5, 0.0, 0.012, -0.0, 2.0], np.float32), "BF16")
    assert exact.order(base, "BF16").tolist() == [3, 5, 1, 4, 0, 2, 6]


def test_known_bytes():
    base = narrow(np.array([1.0, 0.25, 1.0], np.float32), "BF16")
    codes = np.array([0x0102, 0x0304, 0x0506], np.uint16)
    assert exact.pack(codes, base, "BF16") == bytes([3, 1, 5, 4, 2, 6])


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_sign_of_the_base_plays_no_part(dtype):
    values = np.random.default_rng(0).standard_normal(500).astype(np.float32)
    plus, minus = narrow(np.abs(values), dtype), narrow(-np.abs(values), dtype)
    assert np.array_equal(exact.order(plus, dtype), exact.order(minus, dtype))


@laws
@given(pairs())
def test_unpacking_gives_back_the_codes(pair):
    dtype, base, codes = pair
    assert np.array_equal(exact.unpack(exact.pack(codes, base, dtype), base, dtype), codes)


@laws
@given(pairs())
def test_compiled_order_is_the_plain_one(pair):
    dtype, base, codes = pair
    planes, found = np.zeros(codes.nbytes, np.uint8), np.zeros_like(codes)
    ranks = np.empty(256, np.int64)
    exact_kernels.rank_codes(base, DTYPE[dtype], ranks)
    first = ranks.copy()
    exact_kernels.distribute(codes, DTYPE[dtype], base, ranks, planes)
    assert planes.tobytes() == exact.pack(codes, base, dtype)
    # In two steps, as a merge does it: the ranks go on where the first block left them.
    half = codes.size // 2
    for part in (slice(0, half), slice(half, None)):
        exact_kernels.collect(planes, codes.size, DTYPE[dtype], base[part], first, found[part])
    assert np.array_equal(found, codes)


@laws
@given(pairs())
def test_compiled_codes_are_the_plain_ones(pair):
    _, base, fine_tuned = pair
    width, codes = np.uint32(8 * base.itemsize), np.empty_like(base)
    exact_kernels.difference(base, fine_tuned, width, codes)
    assert np.array_equal(codes, bit_difference(base, fine_tuned))
    exact_kernels.rebuild(base, width, codes)
    assert np.array_equal(codes, apply_difference(base, bit_difference(base, fine_tuned)))
    assert np.array_equal(codes, fine_tuned)


def test_cuts_lie_between_groups_of_exponents_in_each_plane():
    base = np.repeat(narrow(np.array([4.0, 1.0, 2.0], np.float32), "BF16"), [5000, 6000, 10])
    fine_tuned = base + np.uint16(1)
    chunk = encode_chunk(base, "BF16", fine_tuned, "BF16", EXACT, 0, 0)
    # 6000 codes of exponent 127, then 10 and 5000 of the next two: ten are too few for a group of their own.
    assert chunk.cuts == (6000, 11010, 17010)
    assert len(chunk.data) == 22020
