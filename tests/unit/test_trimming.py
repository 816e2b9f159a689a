"""Trimming cutoffs: exactly the k-th largest magnitude, over a tensor or the whole model, however it is cut."""

import dataclasses

import numpy as np
import pytest

from merging.engines import reference
from merging.passes.magnitudes import most_values
from merging.passes.trimming import with_cutoffs
from storage.encodings import frames
from storage.encodings.coding import EXACT, dare_coding, magnitude_coding
from storage.encodings.magnitude_kernels import count_around, count_patterns
from storage.encodings.numeric import BITS, as_bytes
from storage.progress import Silent
from tests.unit.tiny_models import Tiny, tensor


@pytest.fixture
def tiny(tmp_path):
    made = []

    def make(**tensors):
        made.append(Tiny(tmp_path, tensors))
        return made[-1]

    yield make
    for base in made:
        base.close()


def zeros(n, dtype="F32"):
    return tensor(np.zeros(n), dtype)


def cutoffs(base, delta, **parameters):
    """The cutoff of each tensor."""
    plan = base.plan("ties", [(delta, 1.0)], **parameters)
    return {name: cutoff for (_, name), cutoff in plan.cutoffs.items()}


def kept(base, delta, **parameters):
    return {name: np.count_nonzero(w) for name, w in base.merge("ties", [(delta, 1.0)], **parameters).items()}


@pytest.mark.parametrize("density", [0.001, 0.1, 0.2, 0.5, 0.999])
def test_cutoff_is_the_kth_largest_magnitude(tiny, density):
    values = np.random.default_rng(0).standard_t(2, 10_000).astype(np.float32)
    base = tiny(w=zeros(10_000))
    k = int(density * 10_000)
    expected = np.sort(np.abs(values))[-k]
    delta = base.delta({"w": tensor(values)})
    assert cutoffs(base, delta, density=density) == {"w": expected}
    assert kept(base, delta, density=density) == {"w": k}


def test_magnitudes_that_share_their_upper_bits_are_told_apart(tiny):
    ones = np.ones(1000, np.float32).view(np.uint32) + np.arange(1000, dtype=np.uint32)
    values = np.random.default_rng(1).permutation(ones.view(np.float32))
    base = tiny(w=zeros(1000))
    found = cutoffs(base, base.delta({"w": tensor(values)}), density=0.123)
    assert found == {"w": np.sort(values)[-123]}


def test_values_equal_to_the_cutoff_are_all_kept(tiny):
    base = tiny(w=zeros(6))
    delta = base.delta({"w": tensor([3, -2, 2, 2, 1, -1])})
    assert cutoffs(base, delta, density=0.34) == {"w": 2.0}
    assert kept(base, delta, density=0.34) == {"w": 4}


def test_trimming_keeps_everything_when_fewer_values_are_not_zero(tiny):
    base = tiny(w=zeros(10))
    delta = base.delta({"w": tensor([1, 0, 0, 0, 0, 0, 0, 0, 0, -1e-30])})
    assert cutoffs(base, delta, density=0.2) == {"w": 0.0}
    assert cutoffs(base, delta, density=0.1) == {"w": 1.0}


def test_a_density_that_keeps_less_than_one_value_keeps_none(tiny):
    base = tiny(w=zeros(4))
    delta = base.delta({"w": tensor([1, 2, 3, 4])})
    assert cutoffs(base, delta, density=0.2) == {"w": float("inf")}
    assert kept(base, delta, density=0.2) == {"w": 0}


def test_over_the_model_or_within_each_tensor(tiny):
    """The authors trim over the flattened model, mergekit tensor by tensor."""
    base = tiny(large=zeros(4), small=zeros(4))
    delta = base.delta({"large": tensor([10, 20, 30, 40]), "small": tensor([1, 2, 3, 4])})
    assert cutoffs(base, delta, density=0.5) == {"large": 10.0, "small": 10.0}
    assert kept(base, delta, density=0.5) == {"large": 4, "small": 0}
    assert cutoffs(base, delta, density=0.5, trim="tensor") == {"large": 30.0, "small": 3.0}
    assert kept(base, delta, density=0.5, trim="tensor") == {"large": 2, "small": 2}


def test_unchanged_tensors_count_among_the_models_values(tiny):
    base = tiny(w=zeros(4), same=tensor([1, 2, 3, 4]))
    delta = base.delta({"w": tensor([1, 2, 3, 4]), "same": base.tensors["same"]})
    assert cutoffs(base, delta, density=0.25) == {"w": 3.0}


def test_each_skill_has_its_own_cutoff(tiny):
    base = tiny(w=zeros(4))
    one, two = base.delta({"w": tensor([1, 2, 3, 4])}), base.delta({"w": tensor([10, 20, 30, 40])})
    plan = base.plan("ties", [(one, 1.0), (two, 1.0)], density=0.5)
    assert {plan.cutoffs[one.manifest.digest, "w"], plan.cutoffs[two.manifest.digest, "w"]} == {3.0, 30.0}


def test_a_delta_of_any_dtype_is_trimmed_on_its_fp32_values(tiny):
    values = np.random.default_rng(2).standard_normal(1000).astype(np.float32)
    base = tiny(w=tensor(np.random.default_rng(3).standard_normal(1000), "BF16"))
    fine_tuned = tensor(base.tensors["w"].floats + values, "F16")
    magnitudes = np.sort(np.abs(fine_tuned.floats - base.tensors["w"].floats))
    found = cutoffs(base, base.delta({"w": fine_tuned}), density=0.2)
    assert found == {"w": magnitudes[-200]}


def test_a_dropped_skill_is_trimmed_on_its_stored_values(tiny):
    values = np.random.default_rng(4).standard_normal(5000).astype(np.float32)
    base = tiny(w=zeros(5000))
    delta = base.delta({"w": tensor(values)}, dare_coding(0.5, 1, "exact"))
    stored = np.sort(np.abs(base.merge("task_arithmetic", [(delta, 0.5)])["w"]))  # 0.5 undoes the rescaling
    assert cutoffs(base, delta, density=0.2) == {"w": stored[-1000]}


def test_an_adapter_is_trimmed_on_its_product(tiny):
    base = tiny(w=zeros((2, 3)), v=zeros(6))
    delta = base.adapter({"w": (np.array([[1.0, 2.0, 3.0]]), np.array([[1.0], [10.0]]), 1.0, False)})
    assert cutoffs(base, delta, density=0.25) == {"w": 10.0}


@pytest.mark.parametrize("threads", [1, 3])
def test_a_tensor_of_several_chunks(tiny, threads):
    n = (1 << 20) + 777
    values = np.random.default_rng(5).standard_normal(n).astype(np.float32)
    base = tiny(w=zeros(n))
    plan = base.plan("ties", [(base.delta({"w": tensor(values)}), 1.0)], density=0.2)
    plan = dataclasses.replace(plan, cutoffs={})
    (cutoff,) = with_cutoffs(plan, threads, Silent()).cutoffs.values()
    k = int(0.2 * n)
    assert cutoff == np.partition(np.abs(values), n - k)[n - k]


def test_other_methods_have_no_cutoffs(tiny):
    base = tiny(w=zeros(4))
    plan = base.plan("dare_ties", [(base.delta({"w": tensor([1, 2, 3, 4])}), 1.0)])
    assert plan.cutoffs == {}
    assert with_cutoffs(plan, 1, Silent()) is plan


CODINGS = [
    EXACT,
    dare_coding(0.5, 7, "int4"),
    dare_coding(0.5, 7, "bf16"),
    dare_coding(0.5, 7, "exact"),
    magnitude_coding(0.5, "model", "int4"),
    magnitude_coding(0.5, "model", "exact"),
]


class Passes(Silent):
    """Counts how often the chunks are gone through."""

    def __init__(self):
        self.sizes = []

    def start(self, label, total):
        self.sizes.append(total)


def cutoff_of(base, delta, density, threads=2):
    """The one cutoff, and the bytes of each pass over the values."""
    plan = dataclasses.replace(base.plan("ties", [(delta, 1.0)], density=density), cutoffs={})
    passes = Passes()
    (cutoff,) = set(with_cutoffs(plan, threads, passes).cutoffs.values())
    return cutoff, passes.sizes


def plain_cutoff(base, delta, density):
    """By the definition: the values of the reference, sorted."""
    plan = base.plan("ties", [(delta, 1.0)], density=1.0)
    ones = {name: reference_values(plan, name) for name in base.tensors}
    magnitudes = np.sort(np.abs(np.concatenate(list(ones.values()))))
    k = int(density * magnitudes.size)
    nonzero = np.count_nonzero(magnitudes)
    return 0.0 if nonzero <= k else float("inf") if k == 0 else magnitudes[-k]


def reference_values(plan, name):
    bits = np.zeros(plan.base.entries[name].elements, BITS[plan.base.entries[name].dtype])
    plan.base.read_into(name, 0, as_bytes(bits))
    parts = [np.zeros(bits.size, np.float32)]
    for _, term in plan.terms(name):
        parts = []
        for index in range(frames.chunk_count(bits.size)):
            start, count = frames.chunk_span(index, bits.size)
            parts.append(reference.dense(term.chunk(index), bits[start : start + count]))
    return np.concatenate(parts)


def even_and_uneven(random, n):
    """Values of one kind throughout; and such that a sample of the chunks is far from the whole."""
    even = random.standard_normal(n).astype(np.float32)
    uneven = even.copy()
    for chunk in range(8, n // 64, 16):  # the chunks that the sample takes
        uneven[64 * chunk : 64 * (chunk + 1)] *= 1000
    return even, uneven


@pytest.mark.parametrize("coding", CODINGS, ids=str)
@pytest.mark.parametrize("uneven", [False, True])
@pytest.mark.parametrize("density", [0.0001, 0.1, 0.3, 0.7])
def test_of_many_chunks_of_any_encoding_it_is_the_kth_largest(tiny, monkeypatch, coding, uneven, density):
    monkeypatch.setattr(frames, "CHUNK", 64)
    random = np.random.default_rng(6)
    base = tiny(w=zeros(8000), v=tensor(random.standard_normal(64 * 9 + 5), "BF16"))
    values = even_and_uneven(random, 8000)[uneven]
    delta = base.delta({"w": tensor(values), "v": tensor(base.tensors["v"].floats + 0.5, "BF16")}, coding)
    expected = plain_cutoff(base, delta, density)
    for threads in (1, 3):
        found, passes = cutoff_of(base, delta, density, threads)
        assert found == expected
        assert len(passes) <= 3
        if not uneven and 0.05 < density < 0.5:
            assert len(passes) == 2  # a sample, then all of it, once
            assert passes[0] < passes[1] / 10


def test_nothing_is_counted_where_no_more_is_stored_than_is_kept(tiny):
    base = tiny(w=zeros(5000))
    values = np.random.default_rng(4).standard_normal(5000).astype(np.float32)
    for coding in (dare_coding(0.8, 1, "int4"), dare_coding(0.8, 1, "bf16"), magnitude_coding(0.2, "model", "int4")):
        assert cutoff_of(base, base.delta({"w": tensor(values)}, coding), 0.25) == (0.0, [])


@pytest.mark.parametrize("coding", CODINGS, ids=str)
def test_frame_sizes_bound_the_values_from_above(tiny, coding):
    base = tiny(w=zeros(999))
    delta = base.delta({"w": tensor(np.random.default_rng(8).standard_normal(999))}, coding)
    stored = np.count_nonzero(reference_values(base.plan("linear", [(delta, 1.0)]), "w"))
    assert stored <= most_values(delta.term("w")) <= min(999, 1.04 * stored + 200)


@pytest.mark.parametrize("first", [0, 0x3F79, 0x3F80, 0x4000])
def test_histograms_count_magnitudes_and_no_zeros(first):
    values = np.array([0.0, -0.0, 1.0, -1.0, 1.5, 2.0**-149], np.float32).view(np.uint32)
    upper = {0x3F80: 2, 0x3FC0: 1, 0: 1}
    counts, window = np.zeros(1 << 16, np.uint64), np.zeros((16 << 16) + 16, np.uint64)
    count_around(values, np.int64(first), counts, window)
    assert bins(counts) == upper
    in_window = {0: {1: 1}, 0x3F79: {7 << 16: 2}, 0x3F80: {0: 2}, 0x4000: {}}
    assert bins(window[:-16]) == in_window[first]
    counts[:] = 0
    count_patterns(values, np.int64(-1), counts)
    assert bins(counts) == upper
    counts[:] = 0
    count_patterns(values, np.int64(0x3F80), counts)
    assert bins(counts) == {0: 2}


def bins(counts):
    return {int(bin_): int(counts[bin_]) for bin_ in np.flatnonzero(counts)}
