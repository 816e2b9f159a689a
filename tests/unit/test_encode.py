"""Encoding one chunk: `exact` gives the fine-tune back bit for bit, the lossy codings what their definition says."""

import itertools

import numpy as np
import pytest

from storage.digests import blake3_digest
from storage.encodings import int4, philox
from storage.encodings.chunks import KeptChunk, dense, rebuild
from storage.encodings.coding import EXACT, Coding, dare_coding
from storage.encodings.encode import encode_chunk
from storage.encodings.numeric import BITS, as_bytes, join_planes, narrow, widen
from storage.errors import UsageError

KEY = 0x0123456789ABCDEF
DTYPES = ("BF16", "F16", "F32")
PAIRS = list(itertools.product(DTYPES, DTYPES))
EXPONENT = {"F32": 0x7F800000, "F16": 0x7C00, "BF16": 0x7F80}


def every_finite(dtype, seed):
    """All finite 16-bit patterns (or as many random fp32 ones) in random order, corners included."""
    rng = np.random.default_rng(seed)
    if dtype == "F32":
        bits = rng.integers(0, 1 << 32, 1 << 16, dtype=np.uint32)
        bits[:8] = [0, 0x80000000, 1, 0x80000001, 0x007FFFFF, 0x00800000, 0x7F7FFFFF, 0xFF7FFFFF]
    else:
        bits = np.arange(1 << 16, dtype=np.uint16)
    exponent = bits.dtype.type(EXPONENT[dtype])
    return rng.permutation(np.where((bits & exponent) == exponent, bits & ~exponent, bits))


def small_delta(n, seed, scale=1e-3):
    rng = np.random.default_rng(seed)
    base = (rng.standard_normal(n) * 0.02).astype(np.float32)
    return base.view(np.uint32), (base + rng.standard_normal(n).astype(np.float32) * np.float32(scale)).view(np.uint32)


def chunk_of(data, coding, base, dtype, base_dtype, start=0):
    return KeptChunk(data, coding, KEY, start, base.size, base_dtype, dtype, "here")


@pytest.mark.parametrize(("base_dtype", "dtype"), PAIRS)
def test_exact_rebuilds_every_pattern_on_any_base(base_dtype, dtype):
    base, fine_tuned = every_finite(base_dtype, 1), every_finite(dtype, 2)
    encoded = encode_chunk(base, base_dtype, fine_tuned, dtype, EXACT, KEY, 0)
    rebuilt = rebuild(chunk_of(encoded.data, EXACT, base, dtype, base_dtype), base)
    assert np.array_equal(rebuilt, fine_tuned)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("pair", [(0.0, -0.0), (-0.0, 0.0), (1e-45, -0.0), (65504.0, -65504.0)])
def test_exact_keeps_zeros_of_either_sign_denormals_and_extremes(dtype, pair):
    base, fine_tuned = (narrow(np.array([value], np.float32), dtype) for value in pair)
    encoded = encode_chunk(base, dtype, fine_tuned, dtype, EXACT, KEY, 0)
    rebuilt = rebuild(chunk_of(encoded.data, EXACT, base, dtype, dtype), base)
    assert rebuilt.tobytes() == fine_tuned.tobytes()


@pytest.mark.parametrize(("base_dtype", "dtype"), PAIRS)
def test_exact_delta_is_fine_tuned_minus_base(base_dtype, dtype):
    base = narrow(widen(small_delta(5000, 3)[0], "F32"), base_dtype)
    fine_tuned = narrow(widen(small_delta(5000, 3)[1], "F32"), dtype)
    encoded = encode_chunk(base, base_dtype, fine_tuned, dtype, EXACT, KEY, 0)
    delta = dense(chunk_of(encoded.data, EXACT, base, dtype, base_dtype), base)
    assert np.array_equal(delta, widen(fine_tuned, dtype) - widen(base, base_dtype))


def test_a_fine_tune_that_only_rounds_its_base_still_has_a_delta():
    """All codes are zero, so nothing is stored; the values differ all the same."""
    base, _ = small_delta(1000, 4)
    fine_tuned = narrow(base.view(np.float32), "BF16")
    encoded = encode_chunk(base, "F32", fine_tuned, "BF16", EXACT, KEY, 0)
    assert encoded.data == b""
    delta = dense(chunk_of(b"", EXACT, base, "BF16", "F32"), base)
    assert np.array_equal(delta, widen(fine_tuned, "BF16") - base.view(np.float32))
    assert delta.any()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("values", ["int4", "bf16", "exact"])
@pytest.mark.parametrize("p", [0.0, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("start", [0, 4096])
def test_stored_bytes_are_the_kept_values_in_order(dtype, values, p, start):
    base, fine_tuned = (narrow(widen(bits, "F32"), dtype) for bits in small_delta(3001, 5))
    coding = dare_coding(p, 11, values)
    encoded = encode_chunk(base, dtype, fine_tuned, dtype, coding, KEY, start)
    kept = philox.mask(KEY, coding.threshold, start, base.size)
    delta = (widen(fine_tuned, dtype) - widen(base, dtype))[kept]
    assert len(encoded.data) == coding.frame_size(delta.size, BITS[dtype]().itemsize)
    assert encoded.measured.kept == delta.size
    found = dense(chunk_of(encoded.data, coding, base, dtype, dtype, start), base)
    assert not found[~kept].any()
    if values == "int4":
        delta = int4.dequantize(*int4.quantize(delta), delta.size)
    elif values == "bf16":
        delta = widen(narrow(delta, "BF16"), "BF16")
    assert np.array_equal(found[kept], delta)


def test_int4_bytes_are_codes_then_scale_planes():
    base = np.zeros(130, np.uint32)
    fine_tuned = np.full(130, 7.0, np.float32)
    fine_tuned[128:] = -3.5
    data = encode_chunk(base, "F32", fine_tuned.view(np.uint32), "F32", dare_coding(0, 0, "int4"), KEY, 0).data
    assert data[:64] == b"\x77" * 64
    assert data[64:65] == b"\x99"
    assert data[65:] == bytes([0x3F, 0x3F, 0x80, 0x00])  # scales 1.0 and 0.5: upper bytes, then lower bytes


def test_bytes_of_a_frozen_format_never_change():
    spread = (np.arange(4000, dtype=np.uint64) * 2654435761 % 2**32).astype(np.float64) / 2**32 - 0.5
    base = (spread[:2000] * 0.04).astype(np.float32).view(np.uint32)
    fine_tuned = (spread[:2000] * 0.04 + spread[2000:] * 0.002).astype(np.float32).view(np.uint32)
    digests = {}
    for values in ("int4", "bf16", "exact"):
        data = encode_chunk(base, "F32", fine_tuned, "F32", dare_coding(0.9, 3, values), KEY, 0).data
        digests[values] = blake3_digest(data)[7:23]
    assert digests == {"int4": "af3bc55c8e827b3c", "bf16": "2e4d51ae301d655f", "exact": "08de7940c5983447"}


def test_encoding_depends_on_nothing_but_its_inputs():
    base, fine_tuned = small_delta(4096, 7)
    coding = dare_coding(0.9, 1, "bf16")
    once = encode_chunk(base, "F32", fine_tuned, "F32", coding, KEY, 0).data
    encode_chunk(fine_tuned, "F32", base, "F32", coding, KEY + 1, 0)
    assert encode_chunk(base.copy(), "F32", fine_tuned.copy(), "F32", coding, KEY, 0).data == once
    assert encode_chunk(base, "F32", fine_tuned, "F32", coding, KEY + 1, 0).data != once


def test_values_kept_in_two_halves_are_those_of_the_whole():
    base, fine_tuned = small_delta(4096, 8)
    coding = dare_coding(0.5, 1, "bf16")
    whole = encode_chunk(base, "F32", fine_tuned, "F32", coding, KEY, 0).data
    halves = [
        encode_chunk(base[cut], "F32", fine_tuned[cut], "F32", coding, KEY, cut.start).data
        for cut in (slice(0, 2048), slice(2048, 4096))
    ]
    assert np.array_equal(np.concatenate([join_planes(half, 2) for half in halves]), join_planes(whole, 2))


@pytest.mark.parametrize("coding", [EXACT, dare_coding(0.5, 0, "int4"), dare_coding(0.9, 0, "bf16")])
def test_an_unchanged_chunk_costs_nothing(coding):
    base, _ = small_delta(1000, 9)
    encoded = encode_chunk(base, "F32", base, "F32", coding, KEY, 0)
    assert encoded.data == b""
    assert encoded.measured.unchanged == 1000
    assert not dense(chunk_of(b"", coding, base, "F32", "F32"), base).any()


def test_no_elements_are_no_bytes():
    nothing = np.zeros(0, np.uint16)
    assert encode_chunk(nothing, "BF16", nothing, "BF16", EXACT, KEY, 0).data == b""


def test_statistics_are_of_the_whole_delta_before_dropping():
    base = np.zeros(6, np.float32).view(np.uint32)
    delta = np.array([0, 0.006, -0.02, 0.04, 0, -0.001], np.float32)
    measured = encode_chunk(base, "F32", delta.view(np.uint32), "F32", dare_coding(0.9, 0, "int4"), KEY, 0).measured
    assert (measured.elements, measured.unchanged) == (6, 2)
    assert (measured.minimum, measured.maximum) == (np.float32(-0.02), np.float32(0.04))
    assert (measured.above_safe, measured.above_degrading, measured.above_failing) == (3, 2, 1)
    assert measured.squares == pytest.approx(np.square(delta.astype(np.float64)).sum())
    assert measured.total == pytest.approx(delta.astype(np.float64).sum())


def test_a_difference_beyond_fp32_shows_in_the_statistics():
    low, high = (np.array([value], np.float32).view(np.uint32) for value in (-3e38, 3e38))
    assert encode_chunk(low, "F32", high, "F32", EXACT, KEY, 0).measured.maximum == np.inf


@pytest.mark.parametrize(("p", "values"), [(1.0, "int4"), (-0.5, "int4"), (0.5, "int8"), (0.5, "")])
def test_a_coding_that_does_not_exist_is_refused(p, values):
    with pytest.raises(UsageError):
        dare_coding(p, 0, values)


def test_frame_sizes():
    assert Coding("int4").frame_size(129, 2) == 65 + 4
    assert Coding("bf16").frame_size(129, 4) == 258
    assert [Coding("exact").frame_size(129, itemsize) for itemsize in (2, 4)] == [258, 516]
    assert as_bytes(np.zeros(3, np.uint32)).nbytes == 12
