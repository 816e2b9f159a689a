"""Laws of the engines, over any combination of skills: one result to the bit, whoever computes it."""

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from merging.engines import numba_engine, reference
from merging.engines.combination import Combine, Contribution, Drop
from merging.engines.torch_engine import TorchEngine
from storage.encodings.chunks import KeptChunk, LowRankChunk
from storage.encodings.coding import KEPT_VALUES, SIGN, Coding, magnitude_coding
from storage.encodings.encode import encode_chunk
from storage.encodings.numeric import BITS
from tests.unit.merged_chunk import merged_chunk

TORCH = TorchEngine("cpu")
EXPONENT = {"F32": 0x7F800000, "F16": 0x7C00, "BF16": 0x7F80}
DTYPES = st.sampled_from(["F32", "F16", "BF16"])
laws = settings(max_examples=250, deadline=None, derandomize=True, database=None)


@st.composite
def patterns(draw, dtype, n):
    """Finite values: mostly as weights are, sometimes of any magnitude, some zeros of either sign."""
    rng = np.random.default_rng(draw(st.integers(0, 1 << 32)))
    unsigned = BITS[dtype]
    if draw(st.booleans()):
        bits = rng.integers(0, 1 << (8 * unsigned().itemsize), n, dtype=unsigned)
        exponent = unsigned(EXPONENT[dtype])
        bits = np.where((bits & exponent) == exponent, bits & ~exponent, bits)
    else:
        bits = weights_like(rng, n).view(np.uint32)
        bits = {"F32": bits, "BF16": (bits >> 16).astype(np.uint16)}.get(dtype)
        if bits is None:
            bits = weights_like(rng, n).astype(np.float16).view(np.uint16)
    bits[rng.random(n) < 0.1] = 0
    bits[rng.random(n) < 0.05] = 1 << (8 * unsigned().itemsize - 1)
    return bits


def weights_like(rng, n):
    return (rng.standard_normal(n) * 0.02).astype(np.float32)


@st.composite
def codings(draw, values):
    if values != KEPT_VALUES or draw(st.integers(0, 2)):
        return Coding(draw(st.sampled_from(values)), draw(st.sampled_from([65536, 32768, 6554, 655, 1])), 0)
    return draw(st.sampled_from([SIGN, *(magnitude_coding(0.5, "tensor", each) for each in values)]))


@st.composite
def kept_chunks(draw, base, base_dtype, start, values=KEPT_VALUES):
    dtype = draw(DTYPES)
    fine_tuned = draw(patterns(dtype, base.size)) if draw(st.integers(0, 5)) or dtype != base_dtype else base.copy()
    coding = draw(codings(values))
    key = draw(st.integers(0, (1 << 64) - 1))
    cutoff = draw(st.sampled_from([0.0, 0.01, 0.03, float("inf")]))  # only read where a coding selects by magnitude
    with np.errstate(over="ignore"):
        data = encode_chunk(base, base_dtype, fine_tuned, dtype, coding, key, start, cutoff).data
    return KeptChunk(data, coding, key, start, base.size, base_dtype, dtype, "here"), fine_tuned


@st.composite
def low_rank_chunks(draw, n, start, base_dtype):
    rng = np.random.default_rng(draw(st.integers(0, 1 << 32)))
    rank, width, transposed = draw(st.integers(1, 4)), draw(st.integers(1, 60)), draw(st.booleans())
    lines = -(-(start + n) // width)
    a, b = rng.standard_normal((rank, width)), rng.standard_normal((lines, rank)) * 0.01
    if transposed:
        a, b = b.T, a.T
    matrices = (np.ascontiguousarray(matrix, np.float32) for matrix in (a, b))
    gains = rng.uniform(0.5, 2, b.shape[0]).astype(np.float32) if draw(st.booleans()) else None
    return LowRankChunk(*matrices, draw(st.floats(0.1, 4)), transposed, start, n, gains, base_dtype)


@st.composite
def contributions(draw, term):
    drop = (
        Drop(draw(st.integers(0, (1 << 64) - 1)), draw(st.sampled_from([65535, 6554]))) if draw(st.booleans()) else None
    )
    cutoff = draw(st.sampled_from([0.0, 0.0, 2.0**-149, 0.01, float("inf")]))
    weight = draw(st.floats(-2, 2))
    return Contribution(term, weight * draw(st.sampled_from([1.0, 10.0, 65536 / 6554])), weight, drop, cutoff)


combines = st.builds(
    Combine,
    elects=st.booleans(),
    by_weight=st.booleans(),
    scale=st.sampled_from([1.0, 0.3, -1.5]),
    base_scale=st.sampled_from([1.0, 0.7]),
)


@st.composite
def chunks(draw):
    """One chunk to merge: base, its dtype, up to four skills of any kind, what to do, the output dtype."""
    n, start = draw(st.integers(1, 280)), 8 * draw(st.integers(0, 40))
    base_dtype = draw(DTYPES)
    base = draw(patterns(base_dtype, n))
    terms = [
        draw(low_rank_chunks(n, start, base_dtype))
        if draw(st.integers(0, 3)) == 0
        else draw(kept_chunks(base, base_dtype, start))[0]
        for _ in range(draw(st.integers(1, 4)))
    ]
    return base, base_dtype, tuple(draw(contributions(term)) for term in terms), draw(combines), draw(DTYPES)


def merged(engine, chunk):
    with np.errstate(all="ignore"):  # any magnitude means overflow, too
        return merged_chunk(engine, *chunk)


def same(one, other, dtype):
    """Equal bits; a NaN, which the materializer refuses, may have any."""
    exponent, rest = EXPONENT[dtype], (1 << (8 * one.itemsize - 1)) - 1 ^ EXPONENT[dtype]
    nan = [((bits & exponent) == exponent) & ((bits & rest) != 0) for bits in (one, other)]
    return np.array_equal(*nan) and np.array_equal(one[~nan[0]], other[~nan[1]])


@laws
@given(chunks())
def test_numba_agrees_with_the_reference_to_the_bit(chunk):
    assert same(merged(numba_engine, chunk), merged(reference, chunk), chunk[-1])


@laws
@given(chunks())
def test_torch_agrees_with_the_reference_to_the_bit(chunk):
    assert same(merged(TORCH, chunk), merged(reference, chunk), chunk[-1])


@st.composite
def cut_chunks(draw):
    """A chunk of skills whose encoding has no blocks, and a place to cut it."""
    n = draw(st.integers(9, 250))
    base_dtype = draw(DTYPES)
    base = draw(patterns(base_dtype, n))
    cut = 8 * draw(st.integers(1, (n - 1) // 8))
    whole, left, right = [], [], []
    for _ in range(draw(st.integers(1, 3))):
        if draw(st.booleans()):
            term = draw(low_rank_chunks(n, 0, base_dtype))
            parts = [replace(term, start=start, count=count) for start, count in ((0, cut), (cut, n - cut))]
        else:
            term, fine_tuned = draw(kept_chunks(base, base_dtype, 0, ("bf16", "exact")))
            parts = [part(term, base, fine_tuned, piece) for piece in (slice(0, cut), slice(cut, n))]
        contribution = draw(contributions(term))
        for terms, of in ((whole, term), (left, parts[0]), (right, parts[1])):
            terms.append(
                Contribution(of, contribution.coefficient, contribution.weight, contribution.drop, contribution.cutoff)
            )
    combine, dtype = draw(combines), draw(DTYPES)
    return (
        (base, base_dtype, tuple(whole), combine, dtype),
        (base[:cut], base_dtype, tuple(left), combine, dtype),
        (base[cut:], base_dtype, tuple(right), combine, dtype),
    )


def part(term, base, fine_tuned, piece):
    """The chunk that the same tensor would have had, had it been cut here."""
    data = encode_chunk(
        base[piece], term.base_dtype, fine_tuned[piece], term.dtype, term.coding, term.key, piece.start
    ).data
    count = piece.stop - piece.start
    return KeptChunk(data, term.coding, term.key, piece.start, count, term.base_dtype, term.dtype, term.where)


@laws
@given(cut_chunks())
def test_the_result_does_not_depend_on_where_a_tensor_is_cut(cut):
    whole, left, right = cut
    for engine in (numba_engine, TORCH):
        joined = np.concatenate([merged(engine, left), merged(engine, right)])
        assert same(joined, merged(engine, whole), whole[-1])


@laws
@given(chunks())
def test_computing_twice_changes_nothing(chunk):
    before = [chunk[0].copy(), *(c.term.data for c in chunk[2] if isinstance(c.term, KeptChunk))]
    assert merged(numba_engine, chunk).tobytes() == merged(numba_engine, chunk).tobytes()
    assert np.array_equal(before[0], chunk[0])
