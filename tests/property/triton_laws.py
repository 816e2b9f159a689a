"""The Triton engine against the reference, by Triton's interpreter on the CPU or compiled on a CUDA device.

Not collected by itself: ``test_triton`` runs it in a process of its own, because whether kernels are compiled or
interpreted is settled when Triton is imported.
"""

import os
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from merging.device.engine import TritonEngine
from merging.device.index import Raw, index, spread
from merging.device.launch import Arena, Work, launch, pack
from merging.device.layout import lay_out
from merging.device.tables import SPAN
from merging.engines import reference
from merging.engines.combination import Combine, Contribution, Drop
from storage.encodings import philox
from storage.encodings.chunks import KeptChunk, LowRankChunk
from storage.encodings.coding import SIGN, Coding
from storage.encodings.encode import difference, encode_chunk
from storage.encodings.frames import CHUNK
from storage.encodings.numeric import BITS, narrow, widen
from storage.errors import IntegrityFailure
from tests.property.test_engines import DTYPES, combines, contributions, low_rank_chunks, patterns, same
from tests.unit.merged_chunk import merged_chunk

DEVICE = torch.device("cpu" if os.environ.get("TRITON_INTERPRET") == "1" else "cuda:0")
EXAMPLES = 40 if DEVICE.type == "cpu" else 400
laws = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    phases=[Phase.generate],  # to shrink takes minutes here
)


@pytest.fixture(scope="module")
def engine():
    engine = TritonEngine("cpu")
    if DEVICE.type == "cuda":
        engine = TritonEngine(str(DEVICE))
    return engine


@st.composite
def kept_chunks(draw, base, base_dtype, start):
    """A chunk of any encoding that stores values."""
    dtype = draw(DTYPES)
    fine_tuned = draw(patterns(dtype, base.size)) if draw(st.integers(0, 5)) or dtype != base_dtype else base.copy()
    key = draw(st.integers(0, (1 << 64) - 1))
    values = draw(st.sampled_from(["int4", "bf16", "exact"]))
    kind = draw(st.sampled_from(["masked", "masked", "magnitude", "sign"]))
    cutoff = 0.0
    if kind == "masked":
        coding = Coding(values, draw(st.sampled_from([65536, 32768, 6554, 655, 1])))
    elif kind == "sign":
        coding = SIGN
    else:
        coding = Coding(values, density=0.25, trim="tensor")
        magnitudes = np.sort(np.abs(difference(base, base_dtype, fine_tuned, dtype)))
        cutoff = float(magnitudes[draw(st.integers(0, base.size - 1))])
    data = encode_chunk(base, base_dtype, fine_tuned, dtype, coding, key, start, cutoff).data
    return KeptChunk(data, coding, key, start, base.size, base_dtype, dtype, "here")


@st.composite
def chunks(draw):
    """One chunk to merge: base, its dtype, up to four skills of any kind, what to do, the output dtype."""
    n = draw(st.one_of(st.integers(1, 280), st.sampled_from([8, 64, 256, 1024]), st.integers(SPAN - 9, SPAN + 700)))
    start = 8 * draw(st.integers(0, 1 << 40))
    base_dtype = draw(DTYPES)
    base = draw(patterns(base_dtype, n))
    terms = []
    for _ in range(draw(st.integers(1, 4))):
        factors = draw(st.integers(0, 3)) == 0 and start < 1 << 16
        kind = low_rank_chunks(n, start, base_dtype) if factors else kept_chunks(base, base_dtype, start)
        terms.append(draw(kind))
    return base, base_dtype, tuple(draw(contributions(term)) for term in terms), draw(combines), draw(DTYPES)


@laws
@given(chunks())
def test_triton_agrees_with_the_reference_to_the_bit(engine, chunk):
    with np.errstate(all="ignore"):  # any magnitude means overflow, too
        assert same(merged_chunk(engine, *chunk), merged_chunk(reference, *chunk), chunk[-1])


def uploaded(chunks, base, device=DEVICE):
    """One tensor's term on the device."""
    layout = lay_out(chunks, lambda chunk: base[chunk.start : chunk.start + chunk.count])
    arena = Arena()
    packed = pack(layout, arena)
    return Raw(packed.term(arena.gather(pinned=False).to(device)), layout, base.size)


def merged_with(terms, chunk):
    """The merged bits, by terms that are on the device already."""
    base, dtype, given_terms, combine, out_dtype = chunk
    there = torch.from_numpy(base.copy().view(np.uint8)).to(DEVICE)
    out = torch.zeros(base.size * np.dtype(BITS[out_dtype]).itemsize, dtype=torch.uint8, device=DEVICE)
    pairs = tuple(zip(terms, given_terms, strict=True))
    work = Work(there, dtype, out, out_dtype, base.size, pairs)
    with np.errstate(all="ignore"):  # any magnitude means overflow, too
        flags = launch([work], combine, DEVICE)
    found = out.cpu().numpy().view(BITS[out_dtype])
    assert bool(flags[0]) == (not np.isfinite(widen(found, out_dtype)).all())
    return found


def at_the_beginning(chunk):
    """The chunk as the first of its tensor, which is where resident terms begin."""
    base, dtype, given_terms, combine, out_dtype = chunk
    moved = []
    for each in given_terms:
        term = each.term
        if isinstance(term, LowRankChunk):
            term = replace(term, start=0)
        elif term.coding.threshold != philox.FULL:
            fine_tuned = np.roll(base, 1)
            data = encode_chunk(base, dtype, fine_tuned, dtype, term.coding, term.key, 0).data
            term = KeptChunk(data, term.coding, term.key, 0, term.count, dtype, dtype, "here")
        else:
            term = KeptChunk(term.data, term.coding, term.key, 0, term.count, dtype, term.dtype, "here")
        moved.append(Contribution(term, each.coefficient, each.weight, each.drop, each.cutoff))
    return base, dtype, tuple(moved), combine, out_dtype


@settings(laws, max_examples=EXAMPLES // 2)
@given(chunks())
def test_masks_cached_or_drawn_and_codes_spread_give_the_same_bits(chunk):
    chunk = at_the_beginning(chunk)
    with np.errstate(all="ignore"):
        expected = merged_chunk(reference, *chunk)
    raws = [uploaded([each.term], chunk[0]) for each in chunk[2]]
    for caches in (False, True):
        terms = index(raws, DEVICE, caches=caches)
        assert same(merged_with(terms, chunk), expected, chunk[-1])
        places = [place for place, raw in enumerate(raws) if raw.layout.spreads]
        found = [Raw(terms[place], raws[place].layout, raws[place].elements) for place in places]
        for place, term in zip(places, spread(found, DEVICE), strict=True):
            terms[place] = term
        assert same(merged_with(terms, chunk), expected, chunk[-1])


@pytest.mark.parametrize("start", [0, 8, (1 << 35) + 16, (1 << 47) - 8])
@pytest.mark.parametrize("key", [0, 1, (1 << 63) + 12345, (1 << 64) - 1])
def test_masks_are_those_of_the_definition(start, key):
    """The generator itself is held to the published answers in ``test_philox``."""
    n, threshold = 1003, 6554
    base = np.ones(n, np.uint16) * 0x3F80
    fine_tuned = (base + 1).astype(np.uint16)
    coding = Coding("bf16", threshold)
    chunk = KeptChunk(
        encode_chunk(base, "BF16", fine_tuned, "BF16", coding, key, start).data,
        coding,
        key,
        start,
        n,
        "BF16",
        "BF16",
        "w",
    )
    raw = Raw(uploaded([chunk], base).term, lay_out([chunk], lambda _: base), n, start)
    found = index([raw], DEVICE, caches=True)[0]
    bitmap = found.held[1].cpu().numpy()
    kept = np.unpackbits(bitmap, bitorder="little")[:n].astype(bool)
    assert np.array_equal(kept, philox.mask(key, threshold, start, n))
    assert not np.unpackbits(bitmap, bitorder="little")[n:].any()


@pytest.mark.parametrize("change", [-4, -1, 1, 4])
@pytest.mark.parametrize("values", ["int4", "bf16", "exact"])
def test_damaged_sizes_are_found(engine, values, change):
    n = 3000
    rng = np.random.default_rng(0)
    base = narrow((rng.standard_normal(n) * 0.02).astype(np.float32), "BF16")
    fine_tuned = narrow(widen(base, "BF16") + np.float32(1e-3), "BF16")
    coding = Coding(values, 6554)
    data = encode_chunk(base, "BF16", fine_tuned, "BF16", coding, 1, 0).data
    data = data[:change] if change < 0 else data + bytes(change)
    chunk = KeptChunk(data, coding, 1, 0, n, "BF16", "BF16", "delta: tensor 'w'")
    with pytest.raises(IntegrityFailure, match="tensor 'w'"):
        merged_chunk(engine, base, "BF16", (Contribution(chunk, 1.0, 1.0),), Combine(False, False, 1, 1), "F32")


def test_every_pattern_widens_and_narrows_alike(engine):
    """Ties, denormals and overflow included: all 16-bit patterns, and fp32 values around and between them."""
    every = np.arange(1 << 16, dtype=np.uint16)
    nothing = KeptChunk(b"", Coding("bf16"), 0, 0, 0, "F32", "F32", "w")
    for dtype in ("BF16", "F16"):
        values = widen(every, dtype)
        own = np.ascontiguousarray(every[np.isfinite(values)])
        finite = widen(own, dtype)
        near = [np.nextafter(finite, np.float32(to), dtype=np.float32) for to in (-np.inf, np.inf)]
        middles = ((np.sort(finite)[:-1].astype(np.float64) + np.sort(finite)[1:]) / 2).astype(np.float32)
        exact = np.concatenate([finite, *near, middles]).view(np.uint32)
        for base, base_dtype, out_dtype in ((own, dtype, "F32"), (exact, "F32", dtype)):
            term = KeptChunk(nothing.data, nothing.coding, 0, 0, base.size, base_dtype, base_dtype, "w")
            chunk = (base, base_dtype, (Contribution(term, 1.0, 1.0),), Combine(False, False, 1.0, 1.0), out_dtype)
            with np.errstate(all="ignore"):
                assert np.array_equal(merged_chunk(engine, *chunk), merged_chunk(reference, *chunk))


def test_many_tensors_in_one_launch_stay_apart():
    """Odd sizes beside whole ones, an empty one, and a result that is not finite: told of that one alone."""
    rng = np.random.default_rng(3)
    works, expected = [], []
    combine = Combine(False, False, 1.0, 1.0)
    for n in (1, 8, SPAN, 0, 3 * SPAN + 5, 16):
        base = narrow((rng.standard_normal(n) * 0.02).astype(np.float32), "BF16")
        fine_tuned = narrow(widen(base, "BF16") + rng.standard_normal(n).astype(np.float32) * np.float32(1e-3), "BF16")
        coding = Coding("int4", 32768)
        data = encode_chunk(base, "BF16", fine_tuned, "BF16", coding, n, 0).data if n else b""
        chunk = KeptChunk(data, coding, n, 0, n, "BF16", "BF16", "w")
        contribution = Contribution(chunk, 1e38 if n == SPAN else 2.0, 1.0, Drop(n, 40000))
        with np.errstate(all="ignore"):
            expected.append(merged_chunk(reference, base, "BF16", (contribution,), combine, "F16") if n else base)
        term = index([uploaded([chunk], base)], DEVICE, caches=True)[0]
        there = torch.from_numpy(base.copy().view(np.uint8)).to(DEVICE)
        out = torch.zeros(2 * n, dtype=torch.uint8, device=DEVICE)
        works.append(Work(there, "BF16", out, "F16", n, ((term, contribution),)))
    with np.errstate(all="ignore"):
        flags = launch(works, combine, DEVICE)
    assert flags.tolist() == [0, 0, 1, 0, 0, 0]
    for work, bits in zip(works, expected, strict=True):
        assert np.array_equal(work.out.cpu().numpy().view(np.uint16), bits)


def test_a_tensor_of_several_chunks_is_one_term():
    """Each chunk's values begin anew, in room of their own; one chunk has none at all."""
    n = 2 * CHUNK + 1000
    base = np.full(n, 0x3C80, np.uint16)
    fine_tuned = base.copy()
    spots = np.array([0, 3, SPAN, CHUNK - 1, 2 * CHUNK, 2 * CHUNK + 999])
    fine_tuned[spots] += 5
    for coding in (Coding("int4", density=0.1, trim="tensor"), Coding("bf16", density=0.1, trim="tensor")):
        pieces = []
        for start in (0, CHUNK, 2 * CHUNK):
            end = min(start + CHUNK, n)
            data = encode_chunk(
                base[start:end], "BF16", fine_tuned[start:end], "BF16", coding, 0, start, cutoff=2.0**-149
            ).data
            pieces.append(KeptChunk(data, coding, 0, start, end - start, "BF16", "BF16", "w"))
        assert not pieces[1].data
        raw = uploaded(pieces, base)
        kept = np.unpackbits(raw.layout.arrays[2], bitorder="little")[:n]
        assert np.array_equal(np.flatnonzero(kept), spots)
        starts = raw.layout.arrays[4]
        assert starts[[0, 1, CHUNK // SPAN, 2 * CHUNK // SPAN]].tolist() == [0, 2, 128, 128]
