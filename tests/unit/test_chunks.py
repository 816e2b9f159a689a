"""Decoding a chunk on the CPU: the same as the plain reference, and no damaged size gets through."""

import numpy as np
import pytest

from merging.engines import reference
from storage.encodings.chunks import KeptChunk, LowRankChunk, dense, rebuild
from storage.encodings.coding import SIGN, Coding, magnitude_coding
from storage.encodings.encode import encode_chunk
from storage.encodings.numeric import narrow, widen
from storage.errors import IntegrityFailure

RNG = np.random.default_rng(0)
KEY = 99
N = 2500
BASE = (RNG.standard_normal(N) * 0.02).astype(np.float32)
FINE_TUNED = BASE + (RNG.standard_normal(N) * 1e-3).astype(np.float32)
CODINGS = [
    *(Coding(values, threshold, 5) for values in ("int4", "bf16", "exact") for threshold in (65536, 6554, 1)),
    *(magnitude_coding(0.2, "model", values) for values in ("int4", "bf16", "exact")),
    SIGN,
]
CUTOFF = 1.3e-3  # a fifth of the values are larger


def label(coding):
    return f"{coding.values}-{coding.density or coding.threshold}"


def encoded(coding, dtype="F32", base_dtype="F32", start=0):
    base, fine_tuned = narrow(BASE, base_dtype), narrow(FINE_TUNED, dtype)
    data = encode_chunk(base, base_dtype, fine_tuned, dtype, coding, KEY, start, CUTOFF).data
    return KeptChunk(data, coding, KEY, start, N, base_dtype, dtype, "delta.safetensors: tensor 'w'"), base


@pytest.mark.parametrize("coding", CODINGS, ids=label)
@pytest.mark.parametrize(("dtype", "base_dtype"), [("F32", "F32"), ("BF16", "BF16"), ("BF16", "F32"), ("F32", "F16")])
@pytest.mark.parametrize("start", [0, 1 << 20])
def test_kernels_decode_what_the_reference_does(coding, dtype, base_dtype, start):
    term, base = encoded(coding, dtype, base_dtype, start)
    assert dense(term, base).tobytes() == reference.dense(term, base).tobytes()


@pytest.mark.parametrize("coding", CODINGS, ids=label)
@pytest.mark.parametrize("change", [-3, -2, -1, 1, 2, 4])
def test_bytes_missing_or_left_over_are_found(coding, change):
    term, base = encoded(coding)
    data = term.data[:change] if change < 0 else term.data + bytes(change)
    damaged = KeptChunk(data, coding, KEY, 0, N, "F32", "F32", term.where)
    if not data:
        return  # a chunk without content is one of zeros
    with pytest.raises(IntegrityFailure, match="tensor 'w'"):
        dense(damaged, base)


def test_another_key_is_found_when_it_keeps_another_number():
    term, base = encoded(Coding("bf16", 6554, 5))
    with pytest.raises(IntegrityFailure):
        dense(KeptChunk(term.data, term.coding, KEY + 1, 0, N, "F32", "F32", "x"), base)


@pytest.mark.parametrize("threshold", [65536, 6554])
def test_rebuilding_checks_its_size_too(threshold):
    term, base = encoded(Coding("exact", threshold))
    for data in (term.data[:-4], term.data[:-1], term.data + bytes(4)):
        with pytest.raises(IntegrityFailure):
            rebuild(KeptChunk(data, term.coding, KEY, 0, N, "F32", "F32", "x"), base)


def test_a_sparse_exact_delta_rebuilds_kept_elements_and_leaves_the_rest():
    term, base = encoded(Coding("exact", 6554))
    rebuilt = widen(rebuild(term, base), "F32")
    changed = rebuilt != BASE
    assert 150 < changed.sum() < 350
    assert np.array_equal(rebuilt[changed], FINE_TUNED[changed])


def low_rank(transposed, start, count, rank=3, rows=14, columns=9):
    a = RNG.standard_normal((rank, columns)).astype(np.float32)
    b = RNG.standard_normal((rows, rank)).astype(np.float32)
    return LowRankChunk(a, b, 0.3, transposed, start, count)


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize(("start", "count"), [(0, 126), (0, 5), (8, 1), (16, 110), (120, 6), (64, 20)])
def test_a_low_rank_chunk_is_a_slice_of_the_product(transposed, start, count):
    term = low_rank(transposed, start, count)
    base = np.zeros(count, np.uint32)
    found = dense(term, base)
    assert found.tobytes() == reference.dense(term, base).tobytes()
    product = 0.3 * (term.b.astype(np.float64) @ term.a.astype(np.float64))
    whole = (product.T if transposed else product).reshape(-1)
    assert found == pytest.approx(whole[start : start + count], rel=1e-5, abs=1e-6)


def test_a_low_rank_product_adds_in_order_of_rank():
    """fp32 sums depend on their order: 1e8 + 1 − 1e8 is 0, and 1e8 − 1e8 + 1 is 1."""
    ones = np.ones((1, 3), np.float32)
    for column, expected in (([1e8, 1, -1e8], 0.0), ([1e8, -1e8, 1], 1.0)):
        term = LowRankChunk(np.array(column, np.float32)[:, None], ones, 1.0, False, 0, 1)
        assert dense(term, np.zeros(1, np.uint32))[0] == expected
        assert reference.dense(term, np.zeros(1, np.uint32))[0] == expected
