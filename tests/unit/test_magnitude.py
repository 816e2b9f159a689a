"""Values kept by magnitude: which ones, where they stand, and that damaged places are found."""

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from merging.engines import reference
from storage.encodings import int4, magnitude, mask_kernels
from storage.encodings.chunks import KeptChunk, dense, kept_places, rebuild, stored_mask
from storage.encodings.coding import magnitude_coding
from storage.encodings.encode import encode_chunk
from storage.encodings.numeric import narrow, widen
from storage.errors import IntegrityFailure

laws = settings(max_examples=150, deadline=None, derandomize=True, database=None)
CODINGS = {values: magnitude_coding(0.1, "model", values) for values in ("int4", "bf16", "exact")}
RNG = np.random.default_rng(5)
BASE = (RNG.standard_normal(3000) * 0.02).astype(np.float32)
DELTA = np.where(RNG.random(3000) < 0.3, 0, RNG.standard_normal(3000) * 1e-3).astype(np.float32)


def places_of(*places):
    return np.array(places, np.int64)


def places_of_bits(bits):
    return np.flatnonzero(np.unpackbits(bits.view(np.uint8), bitorder="little"))


def encoded(values="bf16", dtype="F32", base_dtype="F32", cutoff=1e-3):
    """(chunk, base patterns, delta) of one fine-tune."""
    base, fine_tuned = narrow(BASE, base_dtype), narrow(BASE + DELTA, dtype)
    chunk = encode_chunk(base, base_dtype, fine_tuned, dtype, CODINGS[values], 0, 0, cutoff)
    kept = KeptChunk(chunk.data, CODINGS[values], 0, 0, base.size, base_dtype, dtype, "skill: tensor 'w'")
    return kept, base, widen(fine_tuned, dtype) - widen(base, base_dtype)


@pytest.mark.parametrize(
    ("places", "gaps"),
    [
        ([0], [0]),
        ([5], [5]),
        ([0, 1, 3], [0, 0, 1]),
        ([254], [254]),
        ([255], [255, 0]),
        ([256, 257], [255, 1, 0]),
        ([510], [255, 255, 0]),
        ([7, 7 + 1 + 510 + 3], [7, 255, 255, 3]),
    ],
)
def test_known_gap_bytes(places, gaps):
    packed = magnitude.pack_places(places_of(*places))
    assert packed == struct.pack("<II", len(places), len(gaps)) + bytes(gaps)
    found, rest = magnitude.unpack_places(packed + b"rest", places[-1] + 1)
    assert found.tolist() == places
    assert bytes(rest) == b"rest"


some_places = st.lists(st.integers(1, 700), min_size=1, max_size=60).map(lambda steps: np.cumsum(steps) - 1)


@laws
@given(some_places, st.integers(0, 300))
def test_compiled_places_are_the_plain_ones(places, beyond):
    packed, count = magnitude.pack_places(places), int(places[-1]) + 1 + beyond
    assert np.array_equal(magnitude.unpack_places(packed, count)[0], places)
    gaps, found = np.empty(places.size + count // magnitude.LONG, np.uint8), np.empty(places.size, np.int64)
    used = mask_kernels.gaps_of_places(places, gaps)
    assert magnitude.HEADER.pack(places.size, used) + gaps[:used].tobytes() == packed
    assert mask_kernels.places_of_gaps(gaps[:used], count, found)
    assert np.array_equal(found, places)
    bits = np.zeros(-(-count // 64), np.uint64)
    assert mask_kernels.bits_of_gaps(gaps[:used], places.size, count, bits)
    assert np.array_equal(places_of_bits(bits), places)


@laws
@given(st.integers(1, 40), st.integers(0, 12), st.binary(max_size=24) | st.lists(st.integers(250, 255)).map(bytes))
def test_any_places_are_read_alike_or_refused_by_both(count, kept, gaps):
    data = struct.pack("<II", kept, len(gaps)) + gaps + bytes(2 * kept)
    term = KeptChunk(data, CODINGS["bf16"], 0, 0, count, "F32", "F32", "here")
    try:
        expected, _ = magnitude.unpack_places(data, count)
    except ValueError:
        for read in (lambda: dense(term, np.zeros(count, np.uint32)), lambda: stored_mask(term)):
            with pytest.raises(IntegrityFailure):
                read()
        return
    assert np.array_equal(kept_places(term), expected)
    assert stored_mask(term)[0] == expected.size
    assert np.array_equal(places_of_bits(stored_mask(term)[1]), expected)
    assert expected[-1] < count


@pytest.mark.parametrize("values", CODINGS)
@pytest.mark.parametrize(("dtype", "base_dtype"), [("F32", "F32"), ("BF16", "BF16"), ("BF16", "F32"), ("F32", "F16")])
def test_the_largest_values_are_kept_where_they_were(values, dtype, base_dtype):
    term, base, delta = encoded(values, dtype, base_dtype)
    kept = np.abs(delta) >= np.float32(1e-3)
    assert 200 < kept.sum() < 1200
    assert np.array_equal(kept_places(term), np.flatnonzero(kept))
    expected = delta[kept]
    if values == "int4":
        expected = int4.dequantize(*int4.quantize(expected), expected.size)
    elif values == "bf16":
        expected = widen(narrow(expected, "BF16"), "BF16")
    found = dense(term, base)
    assert np.array_equal(found[kept], expected)
    assert not found[~kept].any()
    assert found.tobytes() == reference.dense(term, base).tobytes()


def test_values_equal_to_the_cutoff_are_kept_and_zeros_never():
    base = np.zeros(5, np.uint32)
    delta = np.array([0.25, -0.25, 0.125, 0.0, -0.0], np.float32)
    for cutoff, places in ((0.25, [0, 1]), (0.125, [0, 1, 2]), (0.0, [0, 1, 2]), (0.5, [])):
        chunk = encode_chunk(base, "F32", delta.view(np.uint32), "F32", CODINGS["bf16"], 0, 0, cutoff)
        kept = KeptChunk(chunk.data, CODINGS["bf16"], 0, 0, 5, "F32", "F32", "here")
        assert kept_places(kept).tolist() == places
        assert chunk.measured.kept == len(places)
    assert encode_chunk(base, "F32", delta.view(np.uint32), "F32", CODINGS["bf16"], 0, 0, np.inf).data == b""


def test_a_kept_value_counts_even_if_its_code_is_zero():
    """Between two dtypes, a fine-tune that is the base's own rounding has codes of 0 and a delta all the same."""
    base = BASE.view(np.uint32)
    fine_tuned = narrow(BASE, "BF16")
    delta = widen(fine_tuned, "BF16") - BASE
    cutoff = float(np.sort(np.abs(delta))[-100])
    chunk = encode_chunk(base, "F32", fine_tuned, "BF16", CODINGS["exact"], 0, 0, cutoff)
    found = dense(KeptChunk(chunk.data, CODINGS["exact"], 0, 0, base.size, "F32", "BF16", "here"), base)
    assert np.array_equal(found, np.where(np.abs(delta) >= np.float32(cutoff), delta, np.float32(0)))
    assert chunk.measured.kept >= 100


def test_kept_elements_are_rebuilt_and_the_rest_is_the_base():
    term, base, delta = encoded("exact")
    kept = np.abs(delta) >= np.float32(1e-3)
    assert np.array_equal(widen(rebuild(term, base), "F32"), np.where(kept, BASE + DELTA, BASE))


def test_a_chunk_without_content_has_no_places():
    term = KeptChunk(b"", CODINGS["exact"], 0, 0, 4, "F32", "BF16", "here")
    assert kept_places(term).size == 0
    assert not dense(term, BASE[:4].view(np.uint32)).any()


HOSTILE = {
    "no header": b"\0\0\0\0\1\0\0",
    "no values": struct.pack("<II", 0, 0),
    "a gap that does not end": struct.pack("<II", 1, 1) + b"\xff" + bytes(2),
    "more gaps than values": struct.pack("<II", 1, 2) + b"\0\0" + bytes(2),
    "fewer gaps than values": struct.pack("<II", 2, 2) + b"\xff\0" + bytes(4),
    "a place at the end": struct.pack("<II", 1, 1) + bytes([10]) + bytes(2),
    "many places, the last beyond": struct.pack("<II", 10, 10) + bytes(9) + b"\1" + bytes(20),
    "more values than elements": struct.pack("<II", 11, 11) + bytes(11) + bytes(22),
    "four billion values": struct.pack("<II", 2**32 - 1, 2**32 - 1) + bytes(8),
    "four billion gap bytes": struct.pack("<II", 1, 2**32 - 1) + bytes(8),
    "bytes of a value missing": struct.pack("<II", 2, 2) + bytes(2) + bytes(3),
    "bytes left over": struct.pack("<II", 2, 2) + bytes(2) + bytes(5),
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE)
def test_hostile_frames_are_integrity_failures(data):
    torch_kernels = pytest.importorskip("merging.engines.torch_kernels")
    term = KeptChunk(data, CODINGS["bf16"], 0, 0, 10, "F32", "F32", "skill: tensor 'w'")
    base = np.zeros(10, np.uint32)
    with pytest.raises(IntegrityFailure, match="tensor 'w'"):
        dense(term, base)
    with pytest.raises(IntegrityFailure, match="tensor 'w'"):
        torch_kernels.dense(term, torch_kernels.upload(base, "cpu"))


@pytest.mark.parametrize("values", CODINGS)
def test_every_cut_of_a_frame_is_found(values):
    term, base, _ = encoded(values)
    for size in (1, 7, 8, 9, len(term.data) // 2, len(term.data) - 1):
        with pytest.raises(IntegrityFailure):
            dense(KeptChunk(term.data[:size], term.coding, 0, 0, base.size, "F32", "F32", "here"), base)
