"""Merge methods from stored deltas to merged tensors: known answers, and the laws each promises."""

import numpy as np
import pytest

from merging.engines import numba_engine, reference
from merging.engines.torch_engine import TorchEngine
from merging.methods import METHODS, Unified, method_named
from merging.streaming.materializer import materialize
from merging.streaming.sinks import MemorySink
from storage.encodings.coding import EXACT, Coding, dare_coding
from storage.encodings.philox import keep_threshold, mask, mask_key
from storage.errors import InputRefused, UsageError
from storage.progress import Silent
from tests.unit.tiny_models import raw, stored_sparse, tensor

RNG = np.random.default_rng(11)


def zeros(n, dtype="F32"):
    return tensor(np.zeros(n), dtype)


def noise(n, scale=1e-3, seed=0):
    return (np.random.default_rng(seed).standard_normal(n) * scale).astype(np.float32)


def test_task_arithmetic_known_answer(tiny):
    base = tiny(w=tensor([1.0]))
    one, two = base.delta({"w": tensor([2.0])}), base.delta({"w": tensor([3.0])})
    assert base.merge("task_arithmetic", [(one, 1.0), (two, 1.0)], lambda_=0.5)["w"].tolist() == [2.5]
    assert base.merge("task_arithmetic", [(one, -1.0)])["w"].tolist() == [0.0]
    assert base.merge("task_arithmetic", [(one, 0.5), (two, -0.25)])["w"].tolist() == [1.0]


def test_ties_known_answer(tiny):
    base = tiny(w=zeros(4))
    one, two = base.delta({"w": tensor([4, -1, 0.5, 2])}), base.delta({"w": tensor([-3, -2, 0.1, 3])})
    merged = base.merge("ties", [(one, 1.0), (two, 1.0)], density=0.5)
    assert merged["w"].tolist() == [4, 0, 0, 2.5]


def test_ties_without_trimming_or_conflict_is_the_mean_of_what_changed(tiny):
    base = tiny(w=zeros(3))
    one, two = base.delta({"w": tensor([1, 0, 2])}), base.delta({"w": tensor([3, 5, 0])})
    assert base.merge("ties", [(one, 1.0), (two, 1.0)], density=1.0)["w"].tolist() == [2, 5, 2]


def test_ties_divisor_by_weights(tiny):
    base = tiny(w=zeros(1))
    one, two = base.delta({"w": tensor([4.0])}), base.delta({"w": tensor([8.0])})
    skills = [(one, 0.5), (two, 0.25)]
    assert base.merge("ties", skills, density=1.0)["w"].tolist() == [2.0]
    by_weight = base.merge("ties", skills, density=1.0, divisor="weights")["w"].tolist()
    assert by_weight == [float(np.float32(4) / np.float32(0.75))]


def test_linear_is_the_average_of_the_fine_tunes(tiny):
    base = tiny(w=tensor([8.0, 8.0]))
    one, two = base.delta({"w": tensor([2.0, 4.0])}), base.delta({"w": tensor([6.0, 8.0])})
    assert base.merge("linear", [(one, 1.0), (two, 1.0)])["w"].tolist() == [4, 6]
    weighted = base.merge("linear", [(one, 3.0), (two, 1.0)])["w"].tolist()
    assert weighted == [3, 5] == base.merge("linear", [(one, 300.0), (two, 100.0)])["w"].tolist()


def test_linear_unnormalized_adds_the_models_up(tiny):
    base = tiny(w=tensor([8.0]), same=tensor([1.0]))
    one = base.delta({"w": tensor([2.0]), "same": tensor([1.0])})
    two = base.delta({"w": tensor([6.0]), "same": tensor([1.0])})
    merged = base.merge("linear", [(one, 1.0), (two, 0.5)], normalize=False)
    assert merged["w"].tolist() == [5.0]
    assert merged["same"].tolist() == [1.5]


def test_linear_without_its_base_in_the_sum_needs_only_the_fine_tunes(tiny):
    """Σ wₖθₖ / Σ wₖ does not contain the base: another base of the same fine-tunes gives the same result."""
    found = []
    for start in (0.0, 4.0):
        base = tiny(w=tensor([start]))
        one, two = base.delta({"w": tensor([1.0])}), base.delta({"w": tensor([2.0])})
        found.append(base.merge("linear", [(one, 1.0), (two, 1.0)])["w"].tolist())
    assert found == [[1.5], [1.5]]


@pytest.mark.parametrize("method", ["dare_linear", "dare_ties"])
def test_dare_that_drops_nothing_is_the_fine_tune_to_the_bit(tiny, method):
    base = tiny(w=tensor(noise(999, 0.02, 1), "BF16"))
    fine_tuned = tensor(base.tensors["w"].floats + noise(999, 1e-3, 2), "BF16")
    delta = base.delta({"w": fine_tuned})
    assert np.array_equal(base.merge(method, [(delta, 1.0)], drop_rate=0)["w"], fine_tuned.floats)


@pytest.mark.parametrize("p", [0.5, 0.9, 0.99])
def test_survivors_are_exactly_rescaled(tiny, p):
    values = noise(5000)
    base = tiny(w=zeros(5000))
    merged = base.merge("dare_linear", [(base.delta({"w": tensor(values)}), 1.0)], drop_rate=p, seed=4)["w"]
    threshold = keep_threshold(p)
    kept = mask(mask_key(4, tensor(values).digest, "w"), threshold, 0, 5000)
    assert not merged[~kept].any()
    assert np.array_equal(merged[kept], values[kept] * np.float32(1 / (threshold / 65536)))


@pytest.mark.parametrize("method", ["dare_linear", "dare_ties"])
def test_q_divides_what_dropping_leaves_and_nothing_else(tiny, method):
    """DAREx-q: survivors are δ/q, of skills dropped when stored and while merging; whole skills stay as they are."""
    values = noise(4000)
    base = tiny(w=zeros(4000), v=zeros(4000))
    exact = base.delta({"w": tensor(values), "v": base.tensors["v"]})
    stored = base.delta({"w": base.tensors["w"], "v": tensor(values)}, dare_coding(0.5, 3, "exact"))
    merged = base.merge(method, [(exact, 1.0), (stored, 1.0)], drop_rate=0.75, q=0.4)
    for name, kept in (("w", 1000), ("v", 2000)):
        survivors = merged[name] != 0
        assert abs(np.count_nonzero(survivors) - kept) < 150
        assert np.allclose(merged[name][survivors], values[survivors] / np.float32(0.4), rtol=2e-7)
    whole = base.merge(method, [(exact, 1.0)], drop_rate=0, q=0.4)
    assert np.array_equal(whole["w"], values)
    assert "q" not in base.plan(method, [(exact, 1.0)]).recipe.parameters


def test_q_of_one_skill_alone(tiny):
    base = tiny(w=zeros(500))
    one, two = (base.delta({"w": tensor(np.full(500, value))}) for value in (1.0, 64.0))
    merged = base.merge("dare_linear", [(one, 1.0, {"q": 1.0}), (two, 1.0)], drop_rate=0.5)["w"]
    assert set(merged.tolist()) <= {0.0, 1.0, 128.0, 129.0}


@pytest.mark.parametrize("p", [0.5, 0.9])
@pytest.mark.parametrize("method", ["dare_linear", "dare_ties"])
def test_dropping_when_stored_or_when_merging_is_the_same(tiny, p, method):
    """One seed, one mask: an archived skill gives what the sparse one gives."""
    base = tiny(w=tensor(noise(3000, 0.02, 3)), v=tensor(noise(77, 0.02, 4), "BF16"))
    fine_tunes = [
        {"w": tensor(base.tensors["w"].floats + noise(3000, seed=s)), "v": tensor(noise(77, 0.02, s), "BF16")}
        for s in (5, 6)
    ]
    archived = [(base.delta(f), w) for f, w in zip(fine_tunes, (0.7, -0.4), strict=True)]
    sparse = [(base.delta(f, dare_coding(p, 9, "exact")), w) for f, w in zip(fine_tunes, (0.7, -0.4), strict=True)]
    drawn = base.merge(method, archived, drop_rate=p, seed=9)
    # Canonical order is by digest, which differs between the two; a sum of two terms does not depend on it.
    stored = base.merge(method, sparse)
    assert all(np.array_equal(drawn[name], stored[name]) for name in drawn)


def test_dare_is_unbiased_with_the_variance_it_claims(tiny):
    """E[δ̂] = δ and Var = δ²·p/(1 − p), over fixed seeds; z-tests on both."""
    n, seeds, p = 400, 250, 0.75
    values = np.abs(noise(n, seed=7)) + np.float32(1e-3)
    base = tiny(w=zeros(n))
    delta = base.delta({"w": tensor(values)})
    drawn = np.stack(
        [base.merge("dare_linear", [(delta, 1.0)], engine=numba_engine, drop_rate=p, seed=s)["w"] for s in range(seeds)]
    )
    relative = drawn.astype(np.float64) / values
    z = (relative.mean() - 1) / np.sqrt(p / (1 - p) / relative.size)
    assert abs(z) < 3
    # Per element too: the largest of n deviations of a normal variable.
    assert np.abs((relative.mean(axis=0) - 1) / np.sqrt(p / (1 - p) / seeds)).max() < 5
    assert relative.var() == pytest.approx(p / (1 - p), rel=0.02)


@pytest.mark.parametrize("values", ["int4", "bf16", "exact"])
def test_stored_dare_skills_are_unbiased_too(tiny, values):
    n = 200_000
    truth = np.abs(noise(n, seed=8)) + np.float32(1e-4)
    base = tiny(w=zeros(n))
    delta = base.delta({"w": tensor(truth)}, dare_coding(0.9, 1, values))
    merged = base.merge("dare_linear", [(delta, 1.0)], engine=numba_engine)["w"].astype(np.float64)
    p = delta.manifest.coding.drop_rate
    deviation = np.sqrt((truth.astype(np.float64) ** 2).sum() * p / (1 - p))
    assert abs(merged.sum() - truth.sum(dtype=np.float64)) < 4 * deviation


def test_a_skill_stands_alone(tiny):
    """Its mask, and so its share of the result, does not change with its neighbours or the order of writing."""
    base = tiny(w=zeros(1000))
    math, code = base.delta({"w": tensor(noise(1000, seed=1))}), base.delta({"w": tensor(noise(1000, seed=2))})
    alone = base.merge("dare_linear", [(math, 1.0)], seed=3)["w"]
    other = base.merge("dare_linear", [(code, 1.0)], seed=3)["w"]
    together = base.merge("dare_linear", [(math, 1.0), (code, 1.0)], seed=3)["w"]
    assert np.array_equal(together, alone + other)
    assert np.array_equal(together, base.merge("dare_linear", [(code, 1.0), (math, 1.0)], seed=3)["w"])
    kept = [set(np.flatnonzero(merged)) for merged in (alone, other)]
    assert kept[0] != kept[1]


def every_kind(base):
    """One skill of every encoding over the same base."""
    n, rows, columns = base.tensors["w"].bits.size, 30, 40
    tuned = [
        {
            "w": tensor(base.tensors["w"].floats + noise((rows, columns), 1e-3, s), "BF16"),
            "v": tensor(base.tensors["v"].floats + noise(77, 1e-3, s)),
            "ids": base.tensors["ids"],
        }
        for s in range(4)
    ]
    assert n == rows * columns
    a, b = noise((3, columns), 0.1, 8), noise((rows, 3), 0.1, 9)
    return [
        (base.delta(tuned[0]), 0.6),
        (base.delta(tuned[1], dare_coding(0.9, 1, "int4")), 0.4),
        (base.delta(tuned[2], dare_coding(0.5, 2, "bf16")), -0.3),
        (base.delta(tuned[3], dare_coding(0.9, 3, "exact")), 0.2),
        (base.adapter({"w": (a, b, 0.25, False)}), 0.5),
    ]


def suitable(method, skills):
    """The first of these that a method can take, with weights if it has any."""
    whole = "unsparsified" in method.needs
    able = [(skill, weight) for skill, weight in skills if not (whole and stored_sparse(skill))]
    signed = [(skill, weight if method.signed else abs(weight)) for skill, weight in able[: method.skills[1]]]
    return [(skill, weight if method.weighted else 1.0) for skill, weight in signed]


def mixed_base(tiny):
    return tiny(
        w=tensor(noise((30, 40), 0.02, 20), "BF16"),
        v=tensor(noise(77, 0.02, 21)),
        ids=raw(np.arange(6), "F32"),  # patterns of denormals, which no skill changes
    )


@pytest.mark.parametrize("method", sorted(name for name, row in METHODS.items() if not isinstance(row.how, Unified)))
@pytest.mark.parametrize("dtype", [None, "F16"])
def test_engine_threads_and_order_do_not_matter(tiny, method, dtype):
    base = mixed_base(tiny)
    skills = suitable(METHODS[method], every_kind(base))
    runs = [
        base.merge(method, skills, engine=reference, dtype=dtype),
        base.merge(method, skills[::-1], engine=numba_engine, threads=3, dtype=dtype),
        base.merge(method, skills, engine=TorchEngine("cpu"), threads=2, dtype=dtype),
    ]
    for other in runs[1:]:
        assert all(runs[0][name].tobytes() == other[name].tobytes() for name in runs[0])
    assert not np.array_equal(runs[0]["w"], base.tensors["w"].floats)


def test_what_no_skill_changes_keeps_its_bits(tiny):
    base = tiny(w=tensor([1.0]), v=raw([0x80000000, 1, 0x3F800000], "F32"))
    delta = base.delta({"w": tensor([2.0]), "v": base.tensors["v"]})
    merged = base.merge("task_arithmetic", [(delta, 0.5)])
    assert merged["v"].tobytes() == base.tensors["v"].bits.tobytes()


def test_adapters_merge_products_and_not_factors(tiny):
    """Σ Bₖ·Aₖ: the product of summed factors would hold cross terms."""
    base = tiny(w=zeros((2, 2)))
    one = base.adapter({"w": (np.array([[1.0, 0.0]]), np.array([[1.0], [0.0]]), 1.0, False)})
    two = base.adapter({"w": (np.array([[0.0, 1.0]]), np.array([[0.0], [1.0]]), 2.0, False)})
    merged = base.merge("task_arithmetic", [(one, 1.0), (two, 0.5)])["w"]
    assert merged.tolist() == [[1, 0], [0, 1]]


def test_a_transposed_adapter_is_its_transpose(tiny):
    base = tiny(w=zeros((3, 2)))
    a, b = np.array([[1.0, 2.0, 3.0]]), np.array([[1.0], [10.0]])
    merged = base.merge("task_arithmetic", [(base.adapter({"w": (a, b, 1.0, True)}), 1.0)])["w"]
    assert merged.tolist() == [[1, 10], [2, 20], [3, 30]]


def test_an_adapter_drops_like_any_other_skill(tiny):
    base = tiny(w=zeros((20, 50)))
    delta = base.adapter({"w": (np.ones((1, 50)), np.ones((20, 1)), 1.0, False)})
    merged = base.merge("dare_linear", [(delta, 1.0)], drop_rate=0.5, seed=1)["w"]
    assert set(merged.reshape(-1).tolist()) == {0.0, 2.0}
    assert 400 < np.count_nonzero(merged) < 600


def test_a_base_of_another_digest_is_refused(tiny):
    right, wrong = tiny(w=tensor([1.0]), v=tensor([1.0])), tiny(w=tensor([1.5]), v=tensor([1.0]))
    delta = right.delta({"w": tensor([2.0]), "v": tensor([3.0])})
    with pytest.raises(InputRefused, match="another base: 1 tensors differ \\('w'\\)"):
        wrong.merge("task_arithmetic", [(delta, 1.0)])


def test_a_tensor_that_only_one_side_has_is_refused(tiny):
    right, wrong = tiny(w=tensor([1.0]), v=tensor([1.0])), tiny(w=tensor([1.0]))
    delta = right.delta({"w": tensor([2.0]), "v": tensor([3.0])})
    with pytest.raises(InputRefused, match="1 are in only one of them \\('v'\\)"):
        wrong.merge("task_arithmetic", [(delta, 1.0)])


@pytest.mark.parametrize("engine", [numba_engine, reference], ids=["numba", "reference"])
def test_a_result_that_does_not_fit_names_tensor_and_element(tiny, engine):
    base = tiny(w=tensor([1.0, 60000.0, 1.0], "F16"))
    delta = base.delta({"w": tensor([1.0, 65000.0, 1.0], "F16")})
    with pytest.raises(InputRefused, match="tensor 'w': element 1 of the result is inf"):
        base.merge("task_arithmetic", [(delta, 3.0)], engine=engine)
    merged = base.merge("task_arithmetic", [(delta, 3.0)], engine=engine, dtype="F32")
    assert merged["w"].tolist() == [1.0, 60000.0 + 3 * (float(np.float16(65000)) - 60000.0), 1.0]


def test_statistics_of_the_merge_count_what_changed(tiny):
    base = tiny(w=zeros(5))
    plan = base.plan("task_arithmetic", [(base.delta({"w": tensor([0, 3, 0, -4, 0])}), 1.0)])
    (done,) = materialize(plan, MemorySink(), numba_engine, 1, Silent())
    assert (done.squares, done.changed) == (25.0, 2)


def test_merging_over_several_chunks_is_merging_each_element(tiny):
    n = (1 << 20) + 12345
    base = tiny(w=zeros(n, "BF16"))
    values = np.tile(np.array([1, -2, 3], np.float32), n // 3 + 1)[:n]
    delta = base.delta({"w": tensor(values, "BF16")}, Coding("bf16"))
    merged = base.merge("task_arithmetic", [(delta, 0.5)], engine=numba_engine, threads=2)["w"]
    assert np.array_equal(merged, values / 2)


@pytest.mark.parametrize("method", sorted(METHODS))
def test_every_method_says_what_it_is(method):
    row = method_named(method)
    assert row.summary
    assert row.formula
    assert "https://" in row.source
    names = [parameter.name for parameter in row.parameters]
    assert len(names) == len(set(names))
    assert all(parameter.summary for parameter in row.parameters)
    draws = any(parameter.draws and parameter.name == "drop_rate" for parameter in row.parameters)
    assert row.check({}, draws=True) == {p.name: p.check(p.default) for p in row.parameters if not p.unless} | (
        {"drop_rate": 1 - 6554 / 65536} if draws else {}
    )


def test_defaults_are_the_papers():
    assert method_named("ties").check({}, draws=True) == {
        "lambda": 1.0,
        "density": 0.2,
        "trim": "model",
        "divisor": "count",
    }
    with pytest.raises(UsageError, match="unknown method"):
        method_named("soup")
    assert EXACT.drop_rate == 0
