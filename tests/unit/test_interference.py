"""How skills lie to each other: by hand, against float64, and where most was dropped against the truth."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from merging.engines import reference
from merging.passes.interference import find_interference
from merging.plans.plan import OtherBase
from merging.plans.planning import make_plan
from merging.recipes.recipe import Chosen, make_recipe
from storage.encodings.coding import EXACT, SIGN, dare_coding, magnitude_coding
from storage.encodings.measure_kernels import ROW, add_square_products, count_signs
from storage.errors import IntegrityFailure
from storage.progress import Silent
from tests.unit.tiny_models import digest_of, tensor

RANDOM = np.random.default_rng(11)
LAYER = "model.layers.{}.mlp.up_proj.weight"


def noise(*shape, scale=1e-3):
    return RANDOM.normal(0, scale, shape).astype(np.float32)


def found(base, skills, method="task_arithmetic", threads=1, **parameters):
    """The interference of (delta, weight) pairs, and their places in it, in the order given."""
    plan = base.plan(method, skills, **parameters)
    result = find_interference(plan, threads, Silent())
    return result, [result.skills.index(delta.manifest.digest) for delta, *_ in skills]


def changed(base, **deltas):
    """The base plus fp32 deltas; tensors that are not named stay."""
    return {
        name: tensor(own.floats + np.asarray(deltas[name], np.float32), own.dtype) if name in deltas else own
        for name, own in base.tensors.items()
    }


def test_by_hand(tiny):
    base = tiny(w=tensor([0.0, 0.0, 0.0, 0.0]))
    one = base.delta(changed(base, w=[3.0, 4.0, 0.0, 0.0]))
    other = base.delta(changed(base, w=[4.0, 0.0, 0.0, -3.0]))
    result, (i, j) = found(base, [(one, 1.0), (other, 2.0)])
    whole = result.whole
    assert (whole.norm(i), whole.norm(j)) == (5.0, 10.0)
    assert whole.cosine(i, j) == whole.cosine(j, i) == 12 / 25
    assert whole.cosine(i, i) == 1.0
    assert whole.overlap(i, j) == 1 / 4
    assert whole.agreement(i, j) == 1.0
    assert whole.error(i, j) == 0.0
    # The sum is (11, 4, 0, −6).
    assert whole.cancelled() == pytest.approx(1 - math.sqrt(173) / 15)
    assert whole.unrelated() == pytest.approx(1 - math.sqrt(125) / 15)
    assert result.estimated == (False, False)


def test_a_negative_weight_turns_a_skill_round(tiny):
    base = tiny(w=tensor([0.0, 0.0, 0.0]))
    one, other = base.delta(changed(base, w=[1.0, 2.0, 2.0])), base.delta(changed(base, w=[2.0, 4.0, -4.0]))
    for weight, cosine, agreement in ((1.0, 1 / 9, 2 / 3), (-0.5, -1 / 9, 1 / 3)):
        result, (i, j) = found(base, [(one, 1.0), (other, weight)])
        assert result.whole.cosine(i, j) == pytest.approx(cosine)
        assert result.whole.agreement(i, j) == pytest.approx(agreement)
        assert result.whole.norm(j) == pytest.approx(6 * abs(weight))


def test_what_cancels_whole_is_all_of_it_and_what_agrees_is_nothing(tiny):
    base = tiny(w=tensor([0.0, 0.0]))
    one, other = base.delta(changed(base, w=[1.0, -2.0])), base.delta(changed(base, w=[2.0, -4.0]))
    against, _ = found(base, [(one, 1.0), (other, -0.5)])
    along, _ = found(base, [(one, 1.0), (other, 0.5)])
    assert against.whole.cancelled() == 1.0
    assert along.whole.cancelled() == pytest.approx(0.0, abs=1e-15)
    assert along.whole.unrelated() == pytest.approx(1 - 1 / math.sqrt(2))


def test_a_skill_alone_has_a_norm(tiny):
    base = tiny(w=tensor([0.0, 0.0]))
    result, _ = found(base, [(base.delta(changed(base, w=[3.0, 4.0])), 0.5)])
    assert result.whole.norm(0) == 2.5
    assert result.whole.cancelled() is None
    assert result.whole.unrelated() is None


def test_nothing_has_no_direction(tiny):
    base = tiny(w=tensor([0.0, 1.0]), v=tensor([1.0]))
    one, other = base.delta(changed(base, w=[3.0, 4.0])), base.delta(changed(base, v=[1.0]))
    result, (i, j) = found(base, [(one, 1.0), (other, 1.0)])
    groups = dict(result.groups)
    assert result.whole.cosine(i, j) == 0.0
    assert result.whole.agreement(i, j) is None
    assert groups["other"].elements == 3
    zero, (i, j) = found(base, [(one, 1.0), (other, 0.0)])
    assert zero.whole.cosine(i, j) is None
    assert zero.whole.cancelled() is None


def test_groups_are_embeddings_layers_in_order_and_the_rest(tiny):
    names = ["model.embed_tokens.weight", LAYER.format(10), LAYER.format(2), "model.norm.weight", "lm_head.weight"]
    base = tiny(**{name: tensor(noise(3)) for name in names})
    one = base.delta(changed(base, **{LAYER.format(2): [1.0, 0.0, 0.0], "lm_head.weight": [0.0, 2.0, 0.0]}))
    other = base.delta(changed(base, **{LAYER.format(2): [1.0, 1.0, 0.0], LAYER.format(10): [1.0, 0.0, 0.0]}))
    result, (i, j) = found(base, [(one, 1.0), (other, 1.0)])
    assert [(name, group.elements) for name, group in result.groups] == [
        ("embeddings", 6),
        ("layer 2", 3),
        ("layer 10", 3),
        ("other", 3),
    ]
    groups = dict(result.groups)
    assert groups["layer 2"].cosine(i, j) == pytest.approx(1 / math.sqrt(2), abs=1e-6)
    assert groups["layer 10"].cosine(i, j) is None
    assert groups["layer 10"].norm(i) == 0.0
    assert groups["embeddings"].norm(i) == pytest.approx(2.0, abs=1e-6)
    assert result.whole.elements == 15


def test_stacks_of_layers_are_told_apart(tiny):
    base = tiny(**{f"{stack}.block.0.w": tensor(noise(2)) for stack in ("encoder", "decoder")})
    result, _ = found(base, [(base.delta(changed(base, **{"encoder.block.0.w": [1.0, 1.0]})), 1.0)])
    assert [name for name, _ in result.groups] == ["decoder layer 0", "encoder layer 0"]


def test_weights_differ_from_tensor_to_tensor_as_the_recipe_says(tiny):
    base = tiny(**{LAYER.format(number): tensor([0.0, 0.0]) for number in range(2)})
    whole = changed(base, **{LAYER.format(number): [3.0, 4.0] for number in range(2)})
    one, other = base.delta(whole), base.delta(changed(base, **{LAYER.format(0): [4.0, 3.0]}))
    result, (i, _) = found(base, [(one, [0.5, 2.0]), (other, 1.0)])
    groups = dict(result.groups)
    assert (groups["layer 0"].norm(i), groups["layer 1"].norm(i)) == (2.5, 10.0)
    assert result.whole.norm(i) == math.hypot(2.5, 10.0)


def test_a_delta_from_another_base_is_the_one_that_is_added(tiny):
    pretrained, general = tiny(w=tensor([1.0, 2.0])), tiny(w=tensor([10.0, 20.0]))
    foreign = pretrained.delta({"w": tensor([4.0, 6.0])})
    own = general.delta({"w": tensor([14.0, 17.0])})
    chosen = {
        foreign.manifest.digest: Chosen(1.0, base=digest_of(pretrained.tensors)),
        own.manifest.digest: Chosen(1.0, base=digest_of(general.tensors)),
    }
    plan = make_plan(
        make_recipe("task_arithmetic", digest_of(general.tensors), chosen, {}),
        general.source,
        general.digests,
        {delta.manifest.digest: delta for delta in (foreign, own)},
        {digest_of(pretrained.tensors): OtherBase(pretrained.source, pretrained.digests)},
    )
    whole = find_interference(plan, 1, Silent()).whole
    assert (whole.norm(0), whole.norm(1)) == (5.0, 5.0)
    assert whole.cosine(0, 1) == 0.0


# Against float64


def stored(base, delta, name):
    """The delta values of a tensor as they are stored, in float64, by the plain engine."""
    term = delta.term(name)
    if term is None:
        return np.zeros(base.tensors[name].bits.size)
    kept = 1 - (term.tensor.coding.drop_rate if term.tensor.coding else 0.0)
    return reference.dense(term.chunk(0), base.tensors[name].bits).astype(np.float64) / kept


CODINGS = {
    "exact": EXACT,
    "int4": dare_coding(0, 0, "int4"),
    "bf16": dare_coding(0, 0, "bf16"),
    "dare": dare_coding(0.4, 5, "int4"),
    "dare exact": dare_coding(0.6, 5, "exact"),
    "magnitude": magnitude_coding(0.3, "model", "bf16"),
    "sign": SIGN,
}


@pytest.mark.parametrize("dtype", ["F32", "BF16", "F16"])
def test_every_encoding_is_compared_as_it_is_stored(tiny, dtype):
    base = tiny(w=tensor(noise(40, 30, scale=0.02), dtype), v=tensor(noise(700, scale=0.02), dtype))
    deltas = [
        base.delta({name: tensor(own.floats + noise(*own.shape), dtype) for name, own in base.tensors.items()}, coding)
        for coding in CODINGS.values()
    ]
    deltas.append(base.adapter({"w": (noise(3, 30, scale=0.03), noise(40, 3, scale=0.03), 1.5, False)}))
    weights = [RANDOM.normal() for _ in deltas]
    result, places = found(base, list(zip(deltas, weights, strict=True)), threads=2)
    rows = [
        weight * np.concatenate([stored(base, delta, name) for name in ("v", "w")])
        for delta, weight in zip(deltas, weights, strict=True)
    ]
    for one, i in zip(rows, places, strict=True):
        for other, j in zip(rows, places, strict=True):
            both = (one != 0) & (other != 0)
            assert result.whole.both[i, j] == (both.sum() if i != j else 0)
            if i != j:
                assert result.whole.same[i, j] == (both & (np.sign(one) == np.sign(other))).sum()
                assert result.whole.products[i, j] == pytest.approx(one @ other, rel=1e-5, abs=1e-9)
    for row, place, coding in zip(rows, places, [*CODINGS.values(), EXACT], strict=True):
        assert result.whole.norm(place) ** 2 == pytest.approx(row @ row * (1 - coding.drop_rate), rel=1e-5)
    assert sum(result.estimated) == 2


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 5000), st.integers(0, 2**32 - 1))
def test_the_kernels_count_and_add_what_numpy_does(size, seed):
    random = np.random.default_rng(seed)
    special = np.array([0.0, -0.0, 1e-45, -1e-45, 1.0, -2.0, 3e38], np.float32)
    one, other = (
        np.where(random.random(size) < 0.5, random.choice(special, size), random.normal(size=size)) for _ in "ab"
    )
    one, other = one.astype(np.float32), other.astype(np.float32)
    both = (one != 0) & (other != 0)
    assert count_signs(one, other) == (both.sum(), (both & ((one > 0) == (other > 0))).sum())
    one, other, sums = one * np.float32(1e-20), other * np.float32(1e-20), np.zeros(ROW)
    add_square_products(one, other, sums)
    assert sums.sum() == pytest.approx(((one.astype(np.float64) * other.astype(np.float64)) ** 2).sum(), rel=1e-12)


def test_any_number_of_threads_gives_the_same_bits(tiny):
    base = tiny(w=tensor(noise(2_300_000, scale=0.02), "BF16"), v=tensor(noise(50), "BF16"))
    deltas = [
        base.delta({"w": tensor(base.tensors["w"].floats + noise(2_300_000)), "v": base.tensors["v"]}, coding)
        for coding in (EXACT, dare_coding(0.9, 1, "int4"))
    ]
    results = [found(base, [(deltas[0], 0.3), (deltas[1], 0.7)], threads=threads)[0].whole for threads in (1, 2, 5)]
    for other in results[1:]:
        for matrix in ("products", "variances", "both", "same"):
            assert getattr(results[0], matrix).tobytes() == getattr(other, matrix).tobytes()


@pytest.mark.parametrize("method", ["ties", "dare_ties", "della", "sce", "karcher", "linear"])
def test_deltas_are_compared_before_the_method_has_changed_them(tiny, method):
    base = tiny(w=tensor(noise(20, 30, scale=0.02)))
    skills = [(base.delta(changed(base, w=noise(20, 30))), 1.0) for _ in range(2)]
    plain, (i, j) = found(base, skills)
    other, _ = found(base, skills, method)
    assert other.whole.cosine(i, j) == pytest.approx(plain.whole.cosine(i, j), rel=1e-12)
    assert np.array_equal(other.whole.both, plain.whole.both)
    assert np.array_equal(other.whole.same, plain.whole.same)


# Skills of which most was dropped


def related(size, cosine):
    """Two deltas of about this cosine."""
    one, own = noise(size), noise(size)
    return one, (cosine * one + math.sqrt(1 - cosine**2) * own).astype(np.float32)


@pytest.mark.parametrize("cosine", [-0.5, 0.0, 0.8])
@pytest.mark.parametrize("rates", [(0.9, 0.9), (0.9, 0.5), (0.95, 0.0)], ids=str)
def test_dropped_skills_show_the_cosine_and_the_norms_of_what_they_were(tiny, cosine, rates):
    base = tiny(w=tensor(np.zeros(400_000, np.float32)))
    rows = related(400_000, cosine)
    skills = [
        (base.delta(changed(base, w=row), dare_coding(rate, 0, "bf16")), weight)
        for row, rate, weight in zip(rows, rates, (0.6, 0.4), strict=True)
    ]
    result, (i, j) = found(base, skills)
    one, other = (row.astype(np.float64) for row in rows)
    truth = one @ other / math.sqrt((one @ one) * (other @ other))
    error = result.whole.error(i, j)
    assert 0 < error < 0.03
    assert abs(result.whole.cosine(i, j) - truth) < 4 * error
    assert result.whole.norm(i) == pytest.approx(0.6 * math.sqrt(one @ one), rel=0.02)
    assert result.whole.norm(j) == pytest.approx(0.4 * math.sqrt(other @ other), rel=0.02)
    lost = 1 - np.linalg.norm(0.6 * one + 0.4 * other) / (0.6 * np.linalg.norm(one) + 0.4 * np.linalg.norm(other))
    assert result.whole.cancelled() == pytest.approx(lost, abs=0.02)
    if cosine == 0.8:
        assert result.whole.agreement(i, j) == pytest.approx(1 - math.acos(0.8) / math.pi, abs=0.02)
    assert result.whole.overlap(i, j) == pytest.approx((1 - rates[0]) * (1 - rates[1]), rel=0.1)


def test_the_standard_error_is_as_large_as_the_errors_are(tiny):
    rows = related(20_000, 0.3)
    one, other = (row.astype(np.float64) for row in rows)
    base = tiny(w=tensor(np.zeros(20_000, np.float32)))
    truth = one @ other / math.sqrt((one @ one) * (other @ other))
    tuned = [changed(base, w=row) for row in rows]
    off = []
    for seed in range(40):
        skills = [
            (base.delta(each, dare_coding(0.8, seed, "exact"), f"{seed}-{n}"), 1.0) for n, each in enumerate(tuned)
        ]
        result, (i, j) = found(base, skills)
        off.append((result.whole.cosine(i, j) - truth) / result.whole.error(i, j))
    assert abs(np.mean(off)) < 4 / math.sqrt(len(off))
    assert 0.7 < np.std(off) < 1.3


@pytest.mark.parametrize("codings", [((0.9, 7), (0.5, 7)), ((0.9, 7), (0.9, 7)), ((0.9, 7), (0.9, 8))], ids=str)
def test_one_fine_tune_dropped_twice_is_itself(tiny, codings):
    """With the same seed one mask lies within the other: they are not independent, and that is allowed for."""
    base = tiny(w=tensor(np.zeros(300_000, np.float32)))
    tuned = changed(base, w=noise(300_000))
    values = ("bf16", "exact")
    skills = [
        (base.delta(tuned, dare_coding(rate, seed, kind)), 1.0)
        for (rate, seed), kind in zip(codings, values, strict=True)
    ]
    result, (i, j) = found(base, skills)
    unclipped = result.whole.products[i, j] / (result.whole.norm(i) * result.whole.norm(j))
    assert unclipped == pytest.approx(1.0, abs=0.05)
    assert result.whole.agreement(i, j) == 1.0


def test_damage_is_told(tiny):
    base = tiny(w=tensor(noise(1000)))
    delta = base.delta(changed(base, w=noise(1000)))
    damaged = bytearray(delta.path.read_bytes())
    damaged[-100] ^= 1
    delta.path.write_bytes(damaged)
    with pytest.raises(IntegrityFailure):
        found(base, [(delta, 1.0)])
