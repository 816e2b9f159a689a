"""The fused CPU pass over chunks of many blocks: every kind of skill, the reference's bits at every length."""

import numpy as np
import pytest

from merging.engines import numba_engine, reference
from merging.engines.combination import Combine, Contribution, Drop
from storage.encodings.chunks import KeptChunk, LowRankChunk
from storage.encodings.coding import Coding
from storage.encodings.encode import encode_chunk
from storage.encodings.mask_kernels import BLOCK
from storage.encodings.numeric import narrow, widen
from storage.errors import IntegrityFailure
from tests.unit.merged_chunk import merged_chunk

LENGTHS = [1, 63, 64, 65, 127, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 517]
SUM, ELECT = Combine(False, False, 0.7, 1.0), Combine(True, True, 1.3, 0.9)
START = 5 * (1 << 20)


def weights(n, seed, sigma=0.02, dtype="BF16"):
    return narrow((np.random.default_rng(seed).standard_normal(n) * sigma).astype(np.float32), dtype)


def skill(base, coding, seed, base_dtype="BF16", dtype="BF16"):
    moved = widen(base, base_dtype) + widen(weights(base.size, seed, 1e-3, "F32"), "F32")
    cutoff = 1e-3 if coding.selects_magnitude else 0.0
    data = encode_chunk(base, base_dtype, narrow(moved, dtype), dtype, coding, 7 * seed, START, cutoff).data
    return KeptChunk(data, coding, 7 * seed, START, base.size, base_dtype, dtype, "skill: tensor 'w'")


CODINGS = [
    *(Coding(values, threshold, 0) for values in ("int4", "bf16", "exact") for threshold in (65536, 6554, 655)),
    *(Coding(values, density=0.1, trim="model") for values in ("int4", "bf16", "exact")),
    Coding("sign"),
]


def every_kind(base):
    n = base.size
    rng = np.random.default_rng(3)
    a, b = rng.standard_normal((3, 100)).astype(np.float32), rng.standard_normal((n // 100 + 2, 3)).astype(np.float32)
    low_rank = LowRankChunk(a, b * np.float32(1e-3), 0.5, False, 50, n)
    return [*(skill(base, coding, seed) for seed, coding in enumerate(CODINGS, 1)), low_rank]


def same(base, contributions, combine, dtype="BF16", base_dtype="BF16"):
    arguments = (base, base_dtype, tuple(contributions), combine, dtype)
    assert np.array_equal(merged_chunk(numba_engine, *arguments), merged_chunk(reference, *arguments))


@pytest.mark.parametrize("n", LENGTHS)
@pytest.mark.parametrize("combine", [SUM, ELECT], ids=["sum", "elect"])
def test_all_kinds_together(n, combine):
    base = weights(n, 0)
    contributions = [
        Contribution(term, 0.3 + k / 7, 0.3, Drop(k, 30000) if k % 3 == 0 else None, 5e-4 if k % 4 == 0 else 0.0)
        for k, term in enumerate(every_kind(base))
    ]
    same(base, contributions, combine)


@pytest.mark.parametrize("n", LENGTHS)
@pytest.mark.parametrize("coding", CODINGS, ids=lambda coding: f"{coding.values}-{coding.threshold}-{coding.density}")
def test_each_kind_alone(n, coding):
    base = weights(n, 0)
    same(base, [Contribution(skill(base, coding, 1), -2.5, 0.5)], SUM)


@pytest.mark.parametrize("signs", [(1, 1), (1, -1), (-1, -1), (-1, 0)])
@pytest.mark.parametrize("n", [65, 2 * BLOCK + 3])
def test_passing_over_what_is_dropped_leaves_the_signs_of_zeros(n, signs):
    base = weights(n, 0)
    base[::3], base[1::3] = 0, 0x8000  # plus and minus zero
    terms = [skill(base, Coding("int4", threshold, 0), seed) for seed, threshold in ((1, 6554), (2, 655))]
    terms.append(skill(base, Coding("int4", density=0.1, trim="tensor"), 3))
    for combine in (SUM, Combine(False, False, -1.0, 1.0), Combine(False, False, 1.0, -1.0)):
        for count in (1, 2, 3):
            weighed = zip(terms[:count], (*signs, signs[0]), strict=False)
            same(base, [Contribution(term, 10.0 * sign, sign) for term, sign in weighed], combine)


@pytest.mark.parametrize("base_dtype", ["BF16", "F16", "F32"])
@pytest.mark.parametrize("dtype", ["BF16", "F16", "F32"])
@pytest.mark.parametrize("out_dtype", ["BF16", "F16", "F32"])
def test_every_dtype(base_dtype, dtype, out_dtype):
    base = weights(BLOCK + 77, 0, dtype=base_dtype)
    contributions = [
        Contribution(skill(base, coding, seed, base_dtype, dtype), 1 + seed / 9, 1.0)
        for seed, coding in enumerate(CODINGS, 1)
    ]
    same(base, contributions, SUM, out_dtype, base_dtype)


def test_sixty_four_skills():
    base = weights(BLOCK + 9, 0)
    coding = Coding("int4", 6554, 0)
    contributions = [Contribution(skill(base, coding, seed), 10 * (-1) ** seed, 1.0) for seed in range(64)]
    same(base, contributions, SUM)
    same(base, contributions, ELECT)


def test_chunks_that_are_all_dropped():
    base = weights(300, 0)
    empty = KeptChunk(b"", Coding("int4", 6554, 0), 1, START, 300, "BF16", "BF16", "skill")
    assert np.array_equal(
        merged_chunk(numba_engine, base, "BF16", (Contribution(empty, 1.0, 1.0),) * 2, SUM, "BF16"), base
    )


@pytest.mark.parametrize("coding", CODINGS, ids=lambda coding: f"{coding.values}-{coding.threshold}-{coding.density}")
@pytest.mark.parametrize("change", [-66, -4, -1, 1, 4, 66])
def test_bytes_of_the_wrong_number_are_refused(coding, change):
    base = weights(4 * BLOCK + 1000, 0)
    term = skill(base, coding, 1)
    data = term.data[:change] if change < 0 else term.data + bytes(change)
    damaged = KeptChunk(data, coding, term.key, START, base.size, "BF16", "BF16", term.where)
    with pytest.raises(IntegrityFailure, match="tensor 'w'"):
        merged_chunk(numba_engine, base, "BF16", (Contribution(damaged, 1.0, 1.0),), SUM, "BF16")


@pytest.mark.parametrize("coding", CODINGS, ids=lambda coding: f"{coding.values}-{coding.threshold}-{coding.density}")
def test_delta_values_of_a_chunk(coding):
    base = weights(BLOCK + 1000, 0)
    term = skill(base, coding, 1)
    out = np.full(base.size, 7, np.float32)
    numba_engine.values(Contribution(term, 3.0, 1.0, Drop(9, 40000), 4e-4), base, out)
    expected = reference._values(Contribution(term, 3.0, 1.0, Drop(9, 40000), 4e-4), base)
    assert np.array_equal(out, expected)


def test_scales_below_zero_which_no_writer_makes_come_out_alike():
    base = weights(300, 0)
    base[:] = 0x8000  # minus zero shows the sign of a zero that is added
    for coding in (Coding("int4", 6554, 0), Coding("int4", density=0.1, trim="tensor")):
        term = skill(base, coding, 1)
        data = bytearray(term.data)
        data[-2] |= 0x80  # the only block's scale
        data[-10:-2] = bytes(8)  # among its codes, zeros
        hostile = KeptChunk(bytes(data), coding, term.key, START, 300, "BF16", "BF16", term.where)
        same(base, [Contribution(hostile, 1.0, 1.0)], SUM)


def test_a_weight_so_small_that_values_become_zeros():
    base = np.full(300, 0x8000, np.uint16)
    moved = (np.random.default_rng(1).standard_normal(300) * 1e-12).astype(np.float32)
    coding = Coding("int4", 32768, 0)
    data = encode_chunk(base, "BF16", narrow(moved, "BF16"), "BF16", coding, 7, START).data
    term = KeptChunk(data, coding, 7, START, 300, "BF16", "BF16", "skill")
    for weight in (1e-36, 1e-30, 0.0):
        same(base, [Contribution(term, weight, weight)], SUM)


def test_a_term_of_another_length_than_the_base_is_never_decoded():
    base = weights(300, 0)
    term = skill(base, Coding("sign"), 1)
    with pytest.raises(ValueError, match="300 elements"):
        merged_chunk(numba_engine, weights(400, 0), "BF16", (Contribution(term, 1.0, 1.0),), SUM, "BF16")
