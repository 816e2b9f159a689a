"""Laws of the stored delta: what `exact` gives back, what the lossy codings may lose, and that no damage passes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from merging.engines import reference
from storage.blobs import hash_file
from storage.deltas.delta import DeltaFile
from storage.encodings import int4, philox
from storage.encodings.chunks import KeptChunk, dense, kept_places, rebuild
from storage.encodings.coding import EXACT, KEPT_VALUES, SIGN, Coding, dare_coding, magnitude_coding
from storage.encodings.encode import LARGEST, encode_chunk
from storage.encodings.numeric import BITS, convert, widen
from storage.errors import IntegrityFailure
from tests.unit.tiny_models import Tiny, tensor

laws = settings(max_examples=150, deadline=None, derandomize=True, database=None)
DTYPES = st.sampled_from(["F32", "F16", "BF16"])
EXPONENT = {"F32": 0x7F800000, "F16": 0x7C00, "BF16": 0x7F80}
KEYS = st.integers(0, (1 << 64) - 1)
STARTS = st.integers(0, 1 << 20).map(lambda counter: 8 * counter)
LARGEST_VALUES = tuple(magnitude_coding(0.5, "model", values) for values in KEPT_VALUES)
CUTOFFS = st.sampled_from([0.0, 2.0**-149, 1e-3, 1.0, float("inf")])
THRESHOLDS = st.sampled_from([65536, 32768, 6554, 655, 1]) | st.integers(1, 65536)


def patterns(dtype, n):
    """Any finite bit patterns: corners come first when hypothesis shrinks."""
    unsigned = BITS[dtype]
    exponent = EXPONENT[dtype]
    finite = st.integers(0, (1 << 8 * unsigned().itemsize) - 1).filter(lambda bits: bits & exponent != exponent)
    return arrays(unsigned, n, elements=finite, fill=st.just(0))


@st.composite
def pairs(draw):
    """(base, its dtype, fine-tune, its dtype) of one length."""
    n, base_dtype, dtype = draw(st.integers(1, 60)), draw(DTYPES), draw(DTYPES)
    base = draw(patterns(base_dtype, n))
    other = draw(patterns(dtype, n))
    unchanged = draw(arrays(bool, n))
    return base, base_dtype, np.where(unchanged, convert(base, base_dtype, dtype), other), dtype


def chunk(encoded, coding, key, start, pair):
    base, base_dtype, _, dtype = pair
    return KeptChunk(encoded.data, coding, key, start, base.size, base_dtype, dtype, "here")


def encode(pair, coding, key=0, start=0, cutoff=0.0):
    with np.errstate(over="ignore"):
        return encode_chunk(*pair, coding, key, start, cutoff)


@laws
@given(pairs())
def test_exact_gives_back_the_fine_tune_bit_for_bit(pair):
    rebuilt = rebuild(chunk(encode(pair, EXACT), EXACT, 0, 0, pair), pair[0])
    assert rebuilt.tobytes() == pair[2].tobytes()


@laws
@given(pairs(), THRESHOLDS, KEYS, STARTS)
def test_a_sparse_exact_delta_gives_back_what_it_kept(pair, threshold, key, start):
    base, base_dtype, fine_tuned, dtype = pair
    coding = Coding("exact", threshold)
    rebuilt = rebuild(chunk(encode(pair, coding, key, start), coding, key, start, pair), base)
    kept = philox.mask(key, threshold, start, base.size)
    assert np.array_equal(rebuilt, np.where(kept, fine_tuned, convert(base, base_dtype, dtype)))


@laws
@given(pairs(), THRESHOLDS, KEYS, STARTS, st.sampled_from(["int4", "bf16"]))
def test_lossy_codings_lose_at_most_their_step(pair, threshold, key, start, values):
    base, base_dtype, fine_tuned, dtype = pair
    coding = Coding(values, threshold)
    with np.errstate(over="ignore"):
        delta = widen(fine_tuned, dtype) - widen(base, base_dtype)
    if not np.abs(delta).max() <= LARGEST:
        return  # refused when a skill is built
    kept = philox.mask(key, threshold, start, base.size)
    found = dense(chunk(encode(pair, coding, key, start), coding, key, start, pair), base)
    assert not found[~kept].any()
    step = np.abs(delta[kept]).astype(np.float64) * 2.0**-8
    if values == "int4":
        # Blocks count kept values; within one, the step is the block's largest magnitude over 7, rounded up.
        blocks = np.arange(int(kept.sum())) // int4.BLOCK
        largest = [np.abs(delta[kept][blocks == b]).max() for b in blocks]
        step = np.array(largest, np.float64) / 14 * (1 + 2.0**-7)
    error = np.abs(found[kept].astype(np.float64) - delta[kept].astype(np.float64))
    assert (error <= step + 2.0**-133).all()


@laws
@given(pairs(), CUTOFFS, st.sampled_from(LARGEST_VALUES))
def test_the_largest_values_are_kept_and_no_other(pair, cutoff, coding):
    base, base_dtype, fine_tuned, dtype = pair
    with np.errstate(over="ignore"):
        delta = widen(fine_tuned, dtype) - widen(base, base_dtype)
    if not np.abs(delta).max() <= LARGEST:
        return  # refused when a skill is built
    kept = (np.abs(delta) >= np.float32(cutoff)) & (delta != 0)
    encoded = encode(pair, coding, cutoff=cutoff)
    term = chunk(encoded, coding, 0, 0, pair)
    assert encoded.measured.kept == kept.sum()
    assert np.array_equal(kept_places(term), np.flatnonzero(kept))
    found = dense(term, base)
    assert not found[~kept].any()
    if coding.values == "exact":
        assert np.array_equal(found[kept], delta[kept])
        rebuilt = np.where(kept, fine_tuned, convert(base, base_dtype, dtype))
        assert np.array_equal(rebuild(term, base), rebuilt)


CODINGS = st.sampled_from([*LARGEST_VALUES, SIGN]) | st.builds(Coding, st.sampled_from(KEPT_VALUES), THRESHOLDS)


@laws
@given(pairs(), CODINGS, KEYS, STARTS, CUTOFFS)
def test_compiled_and_plain_decoding_agree(pair, coding, key, start, cutoff):
    with np.errstate(all="ignore"):
        term = chunk(encode(pair, coding, key, start, cutoff), coding, key, start, pair)
        found, expected = dense(term, pair[0]), reference.dense(term, pair[0])
    assert np.array_equal(found, expected, equal_nan=True)


@laws
@given(pairs(), CODINGS, st.binary(max_size=80))
def test_any_content_decodes_or_is_an_integrity_failure(pair, coding, data):
    base, base_dtype, _, dtype = pair
    term = KeptChunk(data, coding, 5, 0, base.size, base_dtype, dtype, "here")
    try:
        with np.errstate(all="ignore"):
            assert dense(term, base).size == base.size
    except IntegrityFailure:
        kept = int(philox.mask(5, coding.threshold, 0, base.size).sum())
        assert coding.selects_magnitude or len(data) != coding.frame_size(kept, BITS[dtype]().itemsize)


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """A delta file of every form, and what it holds."""
    rng = np.random.default_rng(3)
    tiny = Tiny(
        tmp_path_factory.mktemp("delta"),
        {
            "kept": tensor(rng.standard_normal(300) * 0.02, "BF16"),
            "same": tensor(rng.standard_normal(5)),
        },
    )
    fine_tuned = {
        "kept": tensor(tiny.tensors["kept"].floats + rng.standard_normal(300) * 1e-3, "BF16"),
        "same": tiny.tensors["same"],
    }
    delta = tiny.delta(fine_tuned, dare_coding(0.5, 1, "int4"))
    adapter = tiny.adapter({"kept": (rng.standard_normal((1, 30)), rng.standard_normal((10, 1)), 0.5, False)})
    yield tiny, [delta.path, adapter.path]
    tiny.close()


def read_whole(path):
    """Everything that a reader of the file learns from it, checked as `verify` checks it."""
    with DeltaFile.open(path) as delta:
        for name in delta.manifest.tensors:
            delta.check_content(name)
        chunks = [delta.term(name).chunk(0) for name in delta.manifest.tensors if delta.term(name)]
        return delta.manifest.digest, [dense(chunk, np.zeros(300, np.uint16)).tobytes() for chunk in chunks]


@laws
@given(which=st.integers(0, 1), where=st.floats(0, 1, exclude_max=True), flip=st.integers(1, 255))
def test_a_changed_byte_is_found_or_makes_another_skill_or_changes_nothing(stored, which, where, flip):
    tiny, paths = stored
    good = paths[which].read_bytes()
    data = bytearray(good)
    data[int(where * len(data))] ^= flip
    damaged = tiny.folder / "damaged.safetensors"
    damaged.write_bytes(data)
    truth = read_whole(paths[which])
    try:
        found = read_whole(damaged)
    except IntegrityFailure:
        return
    # A changed manifest is another digest; statistics are no part of the skill.
    assert found[0] != truth[0] or found[1] == truth[1]


@laws
@given(which=st.integers(0, 1), where=st.floats(0, 1, exclude_max=True))
def test_a_file_cut_anywhere_is_refused(stored, which, where):
    tiny, paths = stored
    good = paths[which].read_bytes()
    damaged = tiny.folder / "cut.safetensors"
    damaged.write_bytes(good[: int(where * len(good))])
    with pytest.raises(IntegrityFailure):
        read_whole(damaged)


def test_the_same_delta_written_twice_is_the_same_file(tmp_path):
    """Stored bytes depend on base, fine-tune, coding and seed alone."""
    hashes = []
    for attempt in ("one", "two"):
        folder = tmp_path / attempt
        folder.mkdir()
        base = Tiny(folder, {"w": tensor(np.linspace(-1, 1, 500)), "v": tensor([1.0, 2.0])})
        fine_tuned = {"v": tensor([1.0, 2.5]), "w": tensor(np.linspace(-1, 1.1, 500))}
        delta = base.delta(fine_tuned, dare_coding(0.9, 7, "int4"))
        hashes.append((delta.manifest.digest, hash_file(delta.path)))
        base.close()
    assert hashes[0] == hashes[1]
