"""fisher and regmean on statistics at hand: known answers, and a slow float64 reference."""

import numpy as np
import pytest

from merging.methods import METHODS, Inputs, Part, method_named
from storage.errors import InputRefused, UsageError
from tests.unit.methods import references

RNG = np.random.default_rng(5)


def merged(method, base, models, statistics, weights=None, transposed=False, **parameters):
    """The merged values of one tensor; parameters not given are the defaults."""
    base = np.asarray(base, np.float32)
    definition = method_named(method)
    chosen = definition.check(parameters, draws=False)
    parts = [
        Part(np.asarray(model, np.float32) - base, weight, chosen, statistic, transposed)
        for model, weight, statistic in zip(models, weights or [1.0] * len(models), statistics, strict=True)
    ]
    return definition.how.merge(Inputs(base, parts, chosen, "w"))


def f32(*values):
    return np.array(values, np.float32)


def test_fisher_known_answer():
    assert merged("fisher", [0.0], [f32(1), f32(3)], [f32(3), f32(1)]).tolist() == [1.5]


def test_fisher_has_a_floor():
    found = merged("fisher", [0.0], [f32(1), f32(3)], [f32(0), f32(0)])
    assert found.tolist() == [2.0]
    assert merged("fisher", [0.0], [f32(1), f32(3)], [f32(0), f32(1)], floor=1.0).tolist() == [2.0]


def test_fisher_is_the_reference():
    base = RNG.normal(0, 1, 50).astype(np.float32)
    models = [base + RNG.normal(0, 0.1, 50).astype(np.float32) for _ in range(3)]
    fishers = [np.exp(RNG.normal(0, 2, 50)).astype(np.float32) for _ in range(3)]
    weights = [0.2, 0.5, 1.3]
    expected = references.fisher([each.astype(float) for each in models], fishers, weights)
    assert merged("fisher", base, models, fishers, weights) == pytest.approx(expected, rel=1e-5)


def test_without_statistics_of_one_skill_both_average():
    for method in ("fisher", "regmean"):
        found = merged(
            method, [[0.0]], [f32(1).reshape(1, 1), f32(3).reshape(1, 1)], [np.ones((1, 1)), None], [3.0, 1.0]
        )
        assert found.tolist() == [[1.5]]


@pytest.mark.parametrize(
    ("grams", "models", "expected"),
    [
        ([[[1.0]], [[3.0]]], [[[0]], [[4]]], [[3.0]]),
        ([np.diag([1.0, 3.0]), np.diag([3.0, 1.0])], [[[1, 1]], [[3, 3]]], [[2.5, 1.5]]),
        ([np.eye(2), np.eye(2)], [[[1, 2]], [[3, 6]]], [[2.0, 4.0]]),
        ([[[2.0, 1.0], [1.0, 2.0]]] * 2, [[[1, 2]], [[3, 6]]], [[2.0, 4.0]]),
    ],
)
def test_regmean_known_answers(grams, models, expected):
    grams = [np.asarray(gram, float) for gram in grams]
    for alpha in (0.0, 0.5, 0.9):
        found = merged("regmean", np.zeros(np.shape(models[0])), models, grams, alpha=alpha)
        assert found == pytest.approx(np.array(expected), abs=1e-6)


def gram(columns, rows):
    inputs = RNG.normal(0, 1, (rows, columns)) * np.exp(RNG.normal(0, 3, columns))  # of very different sizes
    return inputs.T @ inputs / rows


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("alpha", [0.1, 0.9, 1.0])
def test_regmean_is_the_reference(alpha, transposed):
    base = RNG.normal(0, 1, (3, 6)).astype(np.float32)
    models = [base + RNG.normal(0, 0.1, (3, 6)).astype(np.float32) for _ in range(3)]
    grams, weights = [gram(6, 40) for _ in range(3)], [0.2, 0.5, 1.3]
    expected = references.regmean([each.astype(float) for each in models], grams, alpha, weights)
    given = [each.T.copy() for each in models] if transposed else models
    found = merged("regmean", base.T.copy() if transposed else base, given, grams, weights, transposed, alpha=alpha)
    assert (found.T if transposed else found) == pytest.approx(expected, rel=1e-4, abs=1e-5)


def test_inputs_that_no_data_ever_set_are_averaged():
    grams = [np.diag([1.0, 0.0]), np.diag([3.0, 0.0])]
    assert merged("regmean", [[0.0, 0.0]], [[[0, 1]], [[4, 3]]], grams, alpha=1.0).tolist() == [[3.0, 2.0]]
    nothing = [np.zeros((2, 2))] * 2
    assert merged("regmean", [[0.0, 0.0]], [[[0, 1]], [[4, 3]]], nothing).tolist() == [[2.0, 2.0]]


def test_a_singular_sum_is_refused_and_alpha_mends_it():
    line = np.outer([1.0, 2.0, 3.0], [1.0, 2.0, 3.0]).astype(np.float32).astype(float)
    models = [RNG.normal(0, 1, (2, 3)) for _ in range(2)]
    with pytest.raises(InputRefused, match="'w' add up to a singular matrix") as caught:
        merged("regmean", np.zeros((2, 3)), models, [line, 2 * line], alpha=1.0)
    assert "alpha below 1" in (caught.value.hint or "")
    few = RNG.normal(0, 1, (5, 40))
    rounded = (few.T @ few).astype(np.float32).astype(float)  # of rank 5, but for rounding
    with pytest.raises(InputRefused, match="singular"):
        merged("regmean", np.zeros((2, 40)), [np.ones((2, 40)), np.zeros((2, 40))], [rounded, rounded], alpha=1.0)
    assert np.isfinite(merged("regmean", np.zeros((2, 3)), models, [line, 2 * line])).all()


@pytest.mark.parametrize("method", ["regmean", "fisher"])
def test_negative_weights_are_refused(method):
    """A negative one makes sums of Gram matrices singular, and of Fisher information zero, element by element."""
    for weight in (-0.5, [0.5, -0.1], [{"filter": "q", "value": -1.0}, {"value": 1.0}]):
        with pytest.raises(UsageError, match="weights of at least 0"):
            METHODS[method].check_skills([1.0, weight])
    METHODS[method].check_skills([0.0, 2.0])


def test_one_layer_is_stacked_least_squares():
    data = [RNG.normal(0, 1, (rows, 4)) for rows in (30, 50)]
    targets = [each @ RNG.normal(0, 1, (4, 2)) + RNG.normal(0, 0.1, (len(each), 2)) for each in data]
    models = [np.linalg.lstsq(x, y, rcond=None)[0].T for x, y in zip(data, targets, strict=True)]
    best = np.linalg.lstsq(np.concatenate(data), np.concatenate(targets), rcond=None)[0].T
    found = merged("regmean", np.zeros((2, 4)), models, [each.T @ each for each in data], alpha=1.0)
    assert np.abs(found - best).max() < 1e-5
