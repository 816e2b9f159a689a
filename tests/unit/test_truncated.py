"""Factors of a matrix: the nearest ones, or nearly so by projection; and what they leave is told truly."""

from functools import cache

import numpy as np
import pytest

from merging.adapters.matrices import HostMatrix, TorchMatrix
from merging.adapters.settings import Extraction, check_extraction, read_extraction
from merging.adapters.truncated import gaussian, truncate
from storage.errors import UsageError

BOTH = pytest.mark.parametrize("device", ["host", "torch"])


def matrix(values, device="host"):
    values = np.ascontiguousarray(values, np.float32)
    return HostMatrix(values) if device == "host" else TorchMatrix(values, "cpu")


def low_rank(rows, columns, rank, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((rows, rank)) @ rng.standard_normal((rank, columns)) * 1e-3


@cache
def decaying(rows, columns, power, seed=0):
    """Singular values 1, 2^-power, 3^-power, … between random directions."""
    rng = np.random.default_rng(seed)
    left, _ = np.linalg.qr(rng.standard_normal((rows, min(rows, columns))))
    right, _ = np.linalg.qr(rng.standard_normal((columns, min(rows, columns))))
    return (left * np.arange(1.0, min(rows, columns) + 1) ** -power) @ right.T


def left_over(values, factors):
    return np.linalg.norm(np.float32(values) - factors.b.astype(float) @ factors.a.astype(float))


@cache
def singular(rows, columns, power):
    return np.linalg.svd(np.float32(decaying(rows, columns, power)).astype(float), compute_uv=False)


def nearest(rows, columns, power, rank):
    """What the best matrix of this rank leaves of ``decaying``, by Eckart and Young, in float64."""
    return np.sqrt((singular(rows, columns, power)[rank:] ** 2).sum())


@BOTH
@pytest.mark.parametrize("shape", [(1, 7), (7, 1), (40, 60), (60, 40), (300, 900)])
def test_small_matrices_have_the_nearest_factors(device, shape):
    values = decaying(*shape, 0.5)
    rank = min(5, *shape)
    factors = truncate(matrix(values, device), "x", Extraction(rank=rank))
    assert (factors.b.shape, factors.a.shape) == ((shape[0], rank), (rank, shape[1]))
    assert factors.a.dtype == factors.b.dtype == np.float32
    best, norm = nearest(*shape, 0.5, rank), np.linalg.norm(values)
    np.testing.assert_allclose(left_over(values, factors), best, rtol=1e-6, atol=3e-7 * norm)
    np.testing.assert_allclose(factors.energy, np.linalg.norm(np.float32(values).astype(float)) ** 2, rtol=1e-12)
    np.testing.assert_allclose(factors.residual, left_over(values, factors) ** 2, rtol=1e-9, atol=1e-20 * norm**2)


@BOTH
@pytest.mark.parametrize(("power", "factor"), [(1.0, 1.001), (0.5, 1.005), (0.0, 1.02)])
def test_large_matrices_have_nearly_the_nearest(device, power, factor):
    """The flatter the spectrum, the harder to find, and the less there is to gain."""
    values = decaying(530, 640, power)
    factors = truncate(matrix(values, device), "x", Extraction(rank=24))
    best = nearest(530, 640, power, 24)
    assert best * (1 - 1e-6) <= left_over(values, factors) <= best * factor
    np.testing.assert_allclose(factors.residual, left_over(values, factors) ** 2, rtol=1e-9)


@BOTH
@pytest.mark.parametrize("shape", [(30, 50), (640, 530)])
def test_a_matrix_of_the_rank_comes_back_to_fp32_rounding(device, shape):
    values = low_rank(*shape, rank=6)
    for rank in (6, 20):
        factors = truncate(matrix(values, device), "x", Extraction(rank=rank))
        assert factors.rank == rank
        assert left_over(values, factors) < 2e-7 * np.linalg.norm(values)


@pytest.mark.parametrize("shape", [(60, 90), (530, 640)])
@pytest.mark.parametrize("energy", [0.5, 0.97, 0.99])
def test_energy_chooses_the_smallest_rank_that_keeps_it(shape, energy):
    values = decaying(*shape, 1.0)
    squares = np.cumsum(singular(*shape, 1.0) ** 2)
    expected = int(np.flatnonzero(squares >= energy * squares[-1])[0]) + 1
    factors = truncate(matrix(values), "x", Extraction(energy=energy))
    assert factors.rank in (expected, expected + 1)  # found by projection, a singular value is never above the true one
    assert 1 - factors.residual / factors.energy >= energy * (1 - 1e-9)
    capped = truncate(matrix(values), "x", Extraction(rank=3, energy=energy))
    assert capped.rank == min(3, factors.rank)


def test_power_iterations_and_oversampling_bring_it_nearer():
    values = decaying(530, 640, 0.3)
    plain, refined, wide = (
        left_over(values, truncate(matrix(values), "x", Extraction(rank=16, oversampling=over, iterations=times)))
        for over, times in ((0, 0), (0, 2), (120, 0))
    )
    assert refined < plain
    assert wide < plain


def test_the_same_matrix_has_the_same_factors_and_a_name_has_its_own_projection():
    values = decaying(530, 640, 0.3)
    first, again, other = (truncate(matrix(values), name, Extraction(rank=8)) for name in ("x", "x", "y"))
    assert first.a.tobytes() == again.a.tobytes()
    assert first.b.tobytes() == again.b.tobytes()
    assert first.a.tobytes() != other.a.tobytes()
    np.testing.assert_allclose(first.residual, other.residual, rtol=1e-2)


def test_zeros_have_no_factors():
    assert truncate(matrix(np.zeros((4, 6))), "x", Extraction(rank=2)) is None


def test_blocks_of_rows_do_not_matter(monkeypatch):
    values = np.random.default_rng(0).standard_normal((90, 40)).astype(np.float32)
    monkeypatch.setattr("merging.adapters.matrices.BLOCK", 300)
    right, left = np.random.default_rng(1).standard_normal((40, 3)), np.random.default_rng(2).standard_normal((90, 3))
    for each in (HostMatrix(values), TorchMatrix(values, "cpu")):
        exact = values.astype(float)
        np.testing.assert_allclose(each.times(right), exact @ right, rtol=1e-12)
        np.testing.assert_allclose(each.transposed_times(left), exact.T @ left, rtol=1e-10)
        np.testing.assert_allclose(each.energy(), (exact**2).sum(), rtol=1e-12)
        np.testing.assert_allclose(each.residual(left, right.T), ((exact - left @ right.T) ** 2).sum(), rtol=1e-12)
        assert np.array_equal(each.values(), exact)


def test_the_test_matrix_is_normal_and_frozen():
    numbers = gaussian("a name", 400, 50)
    assert numbers.shape == (400, 50)
    assert abs(numbers.mean()) < 0.02
    assert abs(numbers.std() - 1) < 0.02
    assert abs((np.abs(numbers) < 1).mean() - 0.6827) < 0.01
    assert abs(np.corrcoef(numbers[:, 0], numbers[:, 1])[0, 1]) < 0.15
    expected = [0.6607164554364613, -0.14563793453606003, 0.019535936144052822, -0.36458748659058166]
    np.testing.assert_allclose(gaussian("x", 2, 2).reshape(-1), expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "needs a rank"),
        ({"rank": 0}, "rank 0 is no whole number from 1"),
        ({"rank": 2.0}, "rank 2.0 is no whole number"),
        ({"rank": True}, "rank True is no whole number"),
        ({"energy": 1.0}, "energy 1.0 is no share"),
        ({"energy": 0}, "energy 0 is no share"),
        ({"energy": float("nan")}, "energy nan is no share"),
        ({"energy": "0.9"}, "energy '0.9' is no share"),
        ({"rank": 4, "rest": "keep"}, "unknown rest 'keep'"),
        ({"rank": 4, "oversampling": -1}, "oversampling -1 is no whole number from 0"),
        ({"rank": 4, "iterations": 1 << 21}, "iterations 2097152 is no whole number"),
    ],
)
def test_settings_that_make_no_sense(given, words):
    with pytest.raises(UsageError) as caught:
        check_extraction(Extraction(**given))
    assert words in caught.value.message


def test_settings_are_read_back():
    for settings in (Extraction(rank=4), Extraction(energy=0.9, rest="drop"), Extraction(7, 0.5, "refuse", 0, 1)):
        assert read_extraction(settings.to_dict()) == settings
    with pytest.raises((UsageError, KeyError)):
        read_extraction({"rank": 3})
