"""Methods that follow lengths and angles: known answers by hand, and the papers' formulas in float64."""

import numpy as np
import pytest

from merging.engines import numba_engine, reference
from storage.errors import InputRefused, UsageError
from tests.unit.methods import references
from tests.unit.tiny_models import tensor

RNG = np.random.default_rng(4)


def model(shape=(6, 7), scale=1.0):
    return RNG.standard_normal(shape).astype(np.float32) * np.float32(scale)


def near(merged, wanted):
    """Within two roundings to fp32 of values of this size."""
    assert np.allclose(merged, wanted, rtol=3e-7, atol=3e-7 * np.abs(wanted).max())


def made(tiny, count, scale=0.3):
    """A base of one tensor, so many fine-tunes as skills, and all of them as float64."""
    own = model()
    tuned = [own + model(scale=scale) for _ in range(count)]
    base = tiny(w=tensor(own))
    return (
        base,
        [base.delta({"w": tensor(each)}) for each in tuned],
        own.astype(float),
        [t.astype(float) for t in tuned],
    )


def test_slerp_of_a_right_angle_by_hand(tiny):
    base = tiny(w=tensor([1.0, 0.0]))
    skill = base.delta({"w": tensor([0.0, 1.0])})
    near(base.merge("slerp", [(skill, 0.5)])["w"], np.array([0.5**0.5, 0.5**0.5]))
    near(base.merge("slerp", [(skill, 1 / 3)])["w"], np.array([3**0.5 / 2, 0.5]))


@pytest.mark.parametrize("t", [0.0, 0.2, 0.9, 1.0, 1.3, -0.4])
def test_slerp_from_the_base_to_a_skill(tiny, t):
    base, (skill,), own, (tuned,) = made(tiny, 1)
    near(base.merge("slerp", [(skill, t)])["w"], references.slerp(own, tuned, t))


def test_slerp_at_weight_one_is_the_fine_tune_to_the_bit(tiny):
    base = tiny(w=tensor(model(), "BF16"))
    tuned = tensor(model(), "BF16")
    assert np.array_equal(base.merge("slerp", [(base.delta({"w": tuned}), 1.0)])["w"], tuned.floats)


def test_slerp_between_two_skills_takes_their_shares(tiny):
    base, (one, two), _, (first, second) = made(tiny, 2)
    wanted = references.slerp(first, second, 0.25)
    near(base.merge("slerp", [(one, 0.75), (two, 0.25)])["w"], wanted)
    near(base.merge("slerp", [(two, 1.0), (one, 3.0)])["w"], wanted)


def test_slerp_along_a_line_is_linear(tiny):
    base = tiny(w=tensor([1.0, 2.0]), z=tensor([0.0, 0.0]))
    skill = base.delta({"w": tensor([3.0, 6.0]), "z": tensor([1.0, 1.0])})
    merged = base.merge("slerp", [(skill, 0.5)])
    assert merged["w"].tolist() == [2, 4]
    assert merged["z"].tolist() == [0.5, 0.5]  # a vector without length has no direction


def test_nuslerp_goes_between_deltas(tiny):
    base, (one, two), own, (first, second) = made(tiny, 2)
    wanted = own + references.slerp(first - own, second - own, 0.4)
    near(base.merge("nuslerp", [(one, 0.6), (two, 0.4)])["w"], wanted)


def test_multislerp_by_hand(tiny):
    base = tiny(w=tensor([10.0, 10.0]))
    one, two = base.delta({"w": tensor([14.0, 10.0])}), base.delta({"w": tensor([10.0, 12.0])})
    near(base.merge("multislerp", [(one, 1.0), (two, 1.0)])["w"], 10 + 3 * np.array([0.5**0.5, 0.5**0.5]))


@pytest.mark.parametrize("weights", [(1, 1, 1), (0.5, 0.3, 0.2), (2, -0.5, 1)])
def test_multislerp_is_the_directed_mean(tiny, weights):
    base, skills, own, tuned = made(tiny, 3)
    wanted = own + references.multislerp([each - own for each in tuned], weights)
    near(base.merge("multislerp", list(zip(skills, weights, strict=True)))["w"], wanted)


@pytest.mark.parametrize("method", ["multislerp", "karcher"])
def test_what_cancels_has_no_mean_direction(tiny, method):
    base = tiny(w=tensor([0.0, 0.0]))
    one, two = base.delta({"w": tensor([1.0, 2.0])}), base.delta({"w": tensor([-1.0, -2.0])})
    with pytest.raises(InputRefused, match="'w' cancel each other"):
        base.merge(method, [(one, 1.0), (two, 1.0)])


@pytest.mark.parametrize("weights", [(1, 1, 1), (0.6, 0.3, 0.1)])
def test_karcher_finds_the_mean_on_the_sphere(tiny, weights):
    base, skills, _, tuned = made(tiny, 3, scale=1.0)
    merged = base.merge("karcher", list(zip(skills, weights, strict=True)), max_iter=1000, tol=1e-12)["w"]
    near(merged, references.karcher(tuned, weights))


def test_karcher_of_two_is_halfway_on_the_arc(tiny):
    base = tiny(w=tensor([5.0, 5.0]))
    one, two = base.delta({"w": tensor([2.0, 0.0])}), base.delta({"w": tensor([0.0, 4.0])})
    near(base.merge("karcher", [(one, 1.0), (two, 1.0)])["w"], 3 * np.array([0.5**0.5, 0.5**0.5]))


def test_model_stock_by_hand(tiny):
    """cos θ = ½ of two: t = 2·½/(1 + ½) = ⅔ towards the mean; at a right angle the base stays."""
    base = tiny(w=tensor([0.0, 0.0]), v=tensor([1.0, 1.0]))
    one = base.delta({"w": tensor([1.0, 0.0]), "v": tensor([2.0, 1.0])})
    two = base.delta({"w": tensor([0.5, 3**0.5 / 2]), "v": tensor([1.0, 4.0])})
    merged = base.merge("model_stock", [(one, 1.0), (two, 1.0)])
    near(merged["w"], 2 / 3 * np.array([0.75, 3**0.5 / 4]))
    assert merged["v"].tolist() == [1, 1]


def test_model_stock_follows_the_paper(tiny):
    base, skills, own, tuned = made(tiny, 4)
    wanted = references.model_stock(own, [each - own for each in tuned])
    near(base.merge("model_stock", [(skill, 1.0) for skill in skills])["w"], wanted)


def test_model_stock_of_what_cancels_is_the_base(tiny):
    base = tiny(w=tensor([1.0, 2.0]))
    one, two = base.delta({"w": tensor([2.0, 2.0])}), base.delta({"w": tensor([0.0, 2.0])})
    assert base.merge("model_stock", [(one, 1.0), (two, 1.0)])["w"].tolist() == [1, 2]


def test_a_skill_that_leaves_a_tensor_alone_still_counts(tiny):
    """Its delta there is nothing, at a right angle to everything: with it the base stays."""
    base = tiny(w=tensor([1.0, 2.0]), v=tensor([1.0]))
    one = base.delta({"w": tensor([3.0, 2.0]), "v": tensor([1.0])})
    two = base.delta({"w": tensor([1.0, 2.0]), "v": tensor([2.0])})
    assert base.merge("model_stock", [(one, 1.0), (two, 1.0)])["w"].tolist() == [1, 2]


def test_weights_of_a_method_without_any_are_refused(tiny):
    base, (one, two), *_ = made(tiny, 2)
    with pytest.raises(UsageError, match="model_stock has no weights"):
        base.merge("model_stock", [(one, 0.5), (two, 1.0)])


@pytest.mark.parametrize(("method", "count"), [("slerp", 3), ("nuslerp", 1), ("model_stock", 1), ("multislerp", 1)])
def test_a_wrong_number_of_skills_is_refused(tiny, method, count):
    base, skills, *_ = made(tiny, count)
    with pytest.raises(UsageError, match=f"{method} takes .* here (is|are) {count}"):
        base.merge(method, [(skill, 1.0) for skill in skills])


@pytest.mark.parametrize("method", ["slerp", "nuslerp", "multislerp", "karcher"])
def test_weights_that_add_up_to_nothing_are_refused(tiny, method):
    base, (one, two), *_ = made(tiny, 2)
    with pytest.raises(UsageError, match="add up to zero"):
        base.merge(method, [(one, 0.5), (two, -0.5)])


@pytest.mark.parametrize("method", ["slerp", "nuslerp", "multislerp", "karcher", "model_stock"])
def test_chunks_and_threads_make_no_difference(tiny, method):
    n = (1 << 20) + 999
    own = model(n, 0.02)
    base = tiny(w=tensor(own, "BF16"), v=tensor(model(5)))
    tuned = [{"w": tensor(own + model(n, 1e-3), "BF16"), "v": tensor(model(5))} for _ in range(2)]
    skills = [(base.delta(each), 1.0) for each in tuned]
    runs = [
        base.merge(method, skills, engine=reference),
        base.merge(method, skills[::-1], engine=numba_engine, threads=3),
    ]
    assert all(runs[0][name].tobytes() == runs[1][name].tobytes() for name in runs[0])
