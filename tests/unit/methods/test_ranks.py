"""Methods that look at the order of magnitudes, or at all skills at once: breadcrumbs, della, sce, nearswap."""

import numpy as np
import pytest

from storage.encodings.coding import dare_coding
from storage.encodings.philox import lanes, mask_key
from storage.errors import UsageError
from tests.unit.methods import references
from tests.unit.tiny_models import tensor

RNG = np.random.default_rng(5)


def values(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def test_breadcrumbs_by_hand(tiny):
    """Of ten values: the largest goes (γ = .1), of the rest the five largest stay."""
    base = tiny(w=tensor(np.zeros(10)))
    skill = base.delta({"w": tensor([9, -8, 7, -6, 5, -4, 3, -2, 1, 0.5])})
    merged = base.merge("breadcrumbs", [(skill, 1.0)], density=0.5, gamma=0.1)["w"]
    assert merged.tolist() == [0, -8, 7, -6, 5, -4, 0, 0, 0, 0]


def test_breadcrumbs_ties_elects_after_masking(tiny):
    base = tiny(w=tensor(np.zeros(4)))
    one, two = base.delta({"w": tensor([4, -1, 0.5, 2])}), base.delta({"w": tensor([-3, -2, 0.1, 3])})
    merged = base.merge("breadcrumbs_ties", [(one, 1.0), (two, 1.0)], density=0.5, gamma=0.0)["w"]
    assert merged.tolist() == [4, 0, 0, 2.5]  # with no outliers it is TIES


@pytest.mark.parametrize(("density", "gamma"), [(0.9, 0.01), (0.5, 0.2), (1.0, 0.0), (0.95, 0.3), (0.01, 0.0)])
@pytest.mark.parametrize("divisor", ["count", "weights"])
def test_breadcrumbs_follow_the_definition(tiny, density, gamma, divisor):
    own, tuned, weights = values(9, 11), [values(9, 11) for _ in range(3)], (0.5, 1.0, -0.25)
    base = tiny(w=tensor(own))
    skills = [(base.delta({"w": tensor(each)}), w) for each, w in zip(tuned, weights, strict=True)]
    kept = [w * references.breadcrumbs(each - own, density, gamma) for each, w in zip(tuned, weights, strict=True)]
    given = {"density": density, "gamma": gamma, "lambda_": 0.5}
    assert np.allclose(base.merge("breadcrumbs", skills, **given)["w"], own + 0.5 * sum(kept), atol=1e-6)
    wanted = references.elected(kept, weights if divisor == "weights" else None)
    merged = base.merge("breadcrumbs_ties", skills, divisor=divisor, **given)["w"]
    assert np.allclose(merged, own + 0.5 * wanted, rtol=1e-5, atol=1e-6)


def test_della_drops_the_small_ones_more_often(tiny):
    """The share that stays of each rank is 1 − pᵢ, and what stays is rescaled by it: unbiased, element by element."""
    rows, width, p, epsilon = 20_000, 5, 0.6, 0.2
    magnitudes = np.array([5.0, 1.0, 4.0, 2.0, 3.0], np.float32)
    base = tiny(w=tensor(np.zeros((rows, width))))
    skill = base.delta({"w": tensor(np.tile(magnitudes, (rows, 1)))})
    merged = base.merge("della_linear", [(skill, 1.0)], drop_rate=p, epsilon=epsilon, seed=3)["w"]
    kept = 1 - p - epsilon + 2 * epsilon * np.array([4, 0, 3, 1, 2]) / 4
    assert np.allclose((merged != 0).mean(axis=0), kept, atol=0.015)
    assert np.allclose(merged.max(axis=0), magnitudes / kept, rtol=1e-4)
    assert np.allclose(merged.mean(axis=0), magnitudes, rtol=0.05)


def test_della_without_epsilon_is_dare(tiny):
    own = values(7, 9)
    base = tiny(w=tensor(np.zeros((7, 9))))
    skills = [(base.delta({"w": tensor(own)}), 0.5)]
    della = base.merge("della_linear", skills, drop_rate=0.5, epsilon=0, seed=11)["w"]
    assert np.allclose(della, base.merge("dare_linear", skills, drop_rate=0.5, seed=11)["w"], rtol=1e-6)
    elected = base.merge("della", skills, drop_rate=0.5, epsilon=0, seed=11)["w"]
    assert np.allclose(elected, base.merge("dare_ties", skills, drop_rate=0.5, seed=11)["w"], rtol=1e-6)


def test_della_draws_from_the_skill_alone(tiny):
    """The mask of an element: its lane of the generator keyed by content and name, whatever the other skills are."""
    base = tiny(w=tensor(np.zeros((3, 4))))
    tuned = tensor(np.arange(1, 13).reshape(3, 4))
    merged = base.merge("della_linear", [(base.delta({"w": tuned}), 1.0)], drop_rate=0.5, epsilon=0.25, seed=9)["w"]
    draws = lanes(mask_key(9, tuned.digest, "w"), 0, 12).reshape(3, 4)
    steps = np.array([0.25, 0.25 + 0.5 / 3, 0.25 + 1 / 3, 0.75])  # ascending within each row already
    assert np.array_equal(merged != 0, draws < np.rint(steps * 65536))


def test_della_rates_outside_of_all_and_nothing_are_refused(tiny):
    base = tiny(w=tensor([0.0]))
    with pytest.raises(UsageError, match=r"drop rates from 0\.8 to 1 are not all"):
        base.merge("della", [(base.delta({"w": tensor([1.0])}), 1.0)], drop_rate=0.9, epsilon=0.1)


def test_sce_by_hand(tiny):
    """δ₁ = [2, −2, 0, 1], δ₂ = [−1, −2, 4, 1]: they differ most in elements 2 and 0."""
    base = tiny(w=tensor(np.zeros(4)))
    one, two = base.delta({"w": tensor([2, -2, 0, 1])}), base.delta({"w": tensor([-1, -2, 4, 1])})
    merged = base.merge("sce", [(one, 1.0), (two, 1.0)], select=1.0)["w"]
    assert np.allclose(merged, [2, 0, 4, 0])


@pytest.mark.parametrize("select", [0.1, 0.5, 1.0])
def test_sce_follows_the_paper(tiny, select):
    own, tuned = values(8, 9), [values(8, 9) for _ in range(3)]
    base = tiny(w=tensor(own))
    skills = [(base.delta({"w": tensor(each)}), 1.0) for each in tuned]
    wanted = references.sce(own.astype(float), [each.astype(float) - own for each in tuned], select)
    assert np.allclose(base.merge("sce", skills, select=select)["w"], wanted, rtol=1e-5, atol=1e-6)


def test_nearswap_by_hand(tiny):
    base = tiny(w=tensor([1.0, 1.0, 1.0, 1.0]))
    skill = base.delta({"w": tensor([1.25, 3.0, -1.0, 1.0])})
    assert base.merge("nearswap", [(skill, 1.0)], t=0.5)["w"].tolist() == [1.25, 1.5, 0.5, 1.0]


def test_nearswap_follows_its_definition(tiny):
    own, tuned = values(50), values(50)
    base = tiny(w=tensor(own))
    merged = base.merge("nearswap", [(base.delta({"w": tensor(tuned)}), 1.0)], t=0.3)["w"]
    assert np.allclose(merged, references.nearswap(own.astype(float), tuned.astype(float), 0.3), atol=1e-6)


def test_passthrough_is_the_fine_tune(tiny):
    base = tiny(w=tensor(values(50), "BF16"), v=tensor([3.0]))
    tuned = {"w": tensor(values(50), "BF16"), "v": tensor([3.0])}
    skill = base.delta(tuned)
    assert np.array_equal(base.merge("passthrough", [(skill, 1.0)])["w"], tuned["w"].floats)
    scaled = base.merge("passthrough", [(skill, 1.0)], scale=0.5)
    assert np.array_equal(scaled["w"], tuned["w"].floats / 2)
    assert scaled["v"].tolist() == [1.5]


@pytest.mark.parametrize("method", ["della", "breadcrumbs", "sce", "nearswap", "slerp", "model_stock"])
def test_a_part_of_a_delta_is_not_enough(tiny, method):
    base = tiny(w=tensor(np.zeros(100)))
    skills = [(base.delta({"w": tensor(values(100))}, dare_coding(0.9, seed, "exact")), 1.0) for seed in (1, 2)]
    with pytest.raises(UsageError, match="needs all of each delta") as refused:
        base.merge(method, skills[: 1 if method == "nearswap" else 2])
    assert "--encoding exact" in refused.value.hint
