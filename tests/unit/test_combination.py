"""The arithmetic of one chunk, by hand, on every engine: order, rounding, election, divisors."""

import numpy as np
import pytest

from merging.engines import numba_engine, reference
from merging.engines.combination import Combine, Contribution, Drop
from merging.engines.torch_engine import TorchEngine
from storage.encodings import philox
from storage.encodings.chunks import KeptChunk, LowRankChunk
from storage.encodings.coding import Coding
from storage.encodings.numeric import as_bits, narrow, widen
from tests.unit.merged_chunk import merged_chunk

ENGINES = [reference, numba_engine, TorchEngine("cpu")]
SUM = Combine(elects=False, by_weight=False, scale=1.0, base_scale=1.0)
ELECT = Combine(elects=True, by_weight=False, scale=1.0, base_scale=1.0)
BY_WEIGHT = Combine(elects=True, by_weight=True, scale=1.0, base_scale=1.0)
E12 = 2.0**-12

pytestmark = pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: engine.name)


def delta(values, coefficient=1.0, weight=None, **options):
    """A skill whose delta values are these very fp32 numbers: a product of rank one."""
    row = np.asarray(values, np.float32)[None, :]
    term = LowRankChunk(row, np.ones((1, 1), np.float32), 1.0, False, 0, row.size)
    return Contribution(term, coefficient, coefficient if weight is None else weight, **options)


def merge(engine, base, contributions, combine=SUM, dtype="F32"):
    bits = merged_chunk(
        engine, np.asarray(base, np.float32).view(np.uint32), "F32", tuple(contributions), combine, dtype
    )
    assert bits.dtype == (np.uint32 if dtype == "F32" else np.uint16)
    return widen(bits, dtype).tolist()


def test_task_arithmetic_known_answer(engine):
    half = Combine(False, False, 0.5, 1.0)
    assert merge(engine, [1], [delta([1]), delta([2])], half) == [2.5]


def test_terms_add_in_the_order_given(engine):
    """In fp32, 1e8 + 1 − 1e8 is 0 and 1e8 − 1e8 + 1 is 1."""
    assert merge(engine, [0], [delta([1e8]), delta([1]), delta([-1e8])]) == [0]
    assert merge(engine, [0], [delta([1e8]), delta([-1e8]), delta([1])]) == [1]


def test_the_base_is_added_last(engine):
    assert merge(engine, [1e8], [delta([1]), delta([-1])]) == [1e8]
    assert merge(engine, [-1e8], [delta([1e8]), delta([1])]) == [0]


def test_no_multiply_and_add_is_fused(engine):
    """(1 + 2⁻¹²)² is 1 + 2⁻¹¹ + 2⁻²⁴ and rounds to 1 + 2⁻¹¹; fused, the last bit would survive the subtraction."""
    rounded = 1 + 2 * E12
    terms = [delta([-rounded]), delta([1 + E12], coefficient=1 + E12)]
    assert merge(engine, [0], terms) == [0]
    assert merge(engine, [-rounded], [delta([1 + E12])], Combine(False, False, 1 + E12, 1.0)) == [0]
    assert merge(engine, [1 + E12], [delta([-rounded])], Combine(False, False, 1.0, 1 + E12)) == [0]
    assert merge(engine, [-rounded], [delta([1 + E12])], Combine(True, False, 1 + E12, 1.0)) == [0]


def test_coefficients_and_scales_are_rounded_to_fp32_once(engine):
    found = merge(engine, [0], [delta([1], coefficient=1 / (1 - 0.9))], Combine(False, False, 0.3, 1.0))
    assert found == [float(np.float32(0.3) * np.float32(1 / (1 - 0.9)))]


@pytest.mark.parametrize(
    ("value", "expected"),
    [(2**-8, 1.0), (2**-8 + 2**-20, 1 + 2**-7), (3 * 2**-8, 1 + 2**-6), (3 * 2**-8 - 2**-20, 1 + 2**-7)],
)
def test_the_result_is_rounded_once_to_nearest_even(engine, value, expected):
    assert merge(engine, [1], [delta([value])], dtype="BF16") == [expected]


@pytest.mark.parametrize("dtype", ["BF16", "F16", "F32"])
def test_a_result_beyond_the_range_is_infinite_not_wrapped(engine, dtype):
    with np.errstate(over="ignore"):
        assert merge(engine, [3e38, -3e38], [delta([1e38, -1e38])], dtype=dtype) == [np.inf, -np.inf]


def test_ties_known_answer(engine):
    """τ₁ = [4, −1, .5, 2], τ₂ = [−3, −2, .1, 3], the larger half of each kept."""
    terms = [delta([4, -1, 0.5, 2], cutoff=2.0), delta([-3, -2, 0.1, 3], cutoff=3.0)]
    assert merge(engine, [0] * 4, terms, ELECT) == [4, 0, 0, 2.5]


def test_an_exact_zero_elects_plus(engine):
    assert merge(engine, [0, 0], [delta([1, -1]), delta([-1, 1])], ELECT) == [1, 1]


def test_a_negative_zero_elects_plus_too(engine):
    assert merge(engine, [5], [delta([-0.0]), delta([-0.0])], ELECT) == [5]


def test_zeros_never_agree(engine):
    terms = [delta([0, 0, -0.0]), delta([2, -2, 0]), delta([4, -4, 0])]
    assert merge(engine, [0] * 3, terms, ELECT) == [3, -3, 0]


def test_only_the_elected_sign_is_averaged(engine):
    assert merge(engine, [10], [delta([6]), delta([2]), delta([-7])], ELECT) == [14]
    assert merge(engine, [10], [delta([-6]), delta([-2]), delta([7])], ELECT) == [6]


def test_election_weighs_the_terms(engine):
    terms = [delta([4], coefficient=0.25), delta([-1], coefficient=2.0)]
    assert merge(engine, [0], terms, ELECT) == [-2]


def test_a_negative_weight_votes_for_the_other_sign(engine):
    assert merge(engine, [0], [delta([1]), delta([3], coefficient=-1.0)], ELECT) == [-3]


def test_divisor_is_the_count_or_the_sum_of_agreeing_weights(engine):
    terms = [delta([4], 0.5), delta([8], 0.25), delta([-1], 1.0)]
    assert merge(engine, [0], terms, ELECT) == [2]
    assert merge(engine, [0], terms, BY_WEIGHT) == [float(np.float32(4) / np.float32(0.75))]


def test_the_weight_divides_and_not_the_rescaled_coefficient(engine):
    terms = [delta([1], coefficient=10 * 0.5, weight=0.5)]
    assert merge(engine, [0], terms, BY_WEIGHT) == [10]
    assert merge(engine, [0], terms, ELECT) == [5]


@pytest.mark.parametrize(("smaller", "expected"), [(1.0, 2.0), (1 - 2.0**-24, 2.0)])
def test_weights_that_cancel_divide_by_one(engine, smaller, expected):
    terms = [delta([1], coefficient=1.0), delta([-1], coefficient=-1.0, weight=-smaller)]
    divisor = np.float32(1) - np.float32(smaller)
    answer = expected if abs(divisor) < 1e-8 else expected / float(divisor)
    assert merge(engine, [0], terms, BY_WEIGHT) == [answer]


def test_lambda_scales_what_was_averaged_and_beta_the_base(engine):
    assert merge(engine, [10], [delta([4])], Combine(True, False, 0.5, 2.0)) == [22]
    assert merge(engine, [10], [delta([4])], Combine(False, False, 0.5, 2.0)) == [22]


def test_cutoff_keeps_what_is_as_large_and_may_drop_everything(engine):
    values = [0.5, -0.5, 0.49999997, -2]
    assert merge(engine, [0] * 4, [delta(values, cutoff=0.5)]) == [0.5, -0.5, 0, -2]
    assert merge(engine, [1] * 4, [delta(values, cutoff=float("inf"))]) == [1] * 4
    assert merge(engine, [1] * 4, [delta(values, cutoff=float("inf"))], ELECT) == [1] * 4


def test_a_mask_drawn_while_merging_drops_before_anything_else(engine):
    kept = philox.mask(77, 32768, 0, 64)
    found = merge(engine, [0] * 64, [delta([3] * 64, coefficient=2.0, drop=Drop(77, 32768))])
    assert found == np.where(kept, 6, 0).tolist()


@pytest.mark.parametrize("combine", [SUM, ELECT, BY_WEIGHT], ids=["sum", "elect", "by weight"])
def test_a_value_that_is_no_number_shows_in_the_result(engine, combine):
    """Factors can overflow to ∞ − ∞; no method may quietly take that for nothing."""
    a, b = np.array([[3e38], [-3e38]], np.float32), np.array([[10, 10]], np.float32)
    broken = Contribution(LowRankChunk(a, b, 1.0, False, 0, 1), 1.0, 1.0)
    for dtype in ("F32", "BF16", "F16"):
        with np.errstate(over="ignore", invalid="ignore"):
            found = merge(engine, [1], [broken, delta([1])], combine, dtype)
            also = merge(engine, [1], [delta([-1]), broken], combine, dtype)
        assert not np.isfinite([*found, *also]).any()


def test_denormals_are_not_flushed(engine):
    tiny = 2.0**-149
    assert merge(engine, [tiny], [delta([3 * tiny])]) == [4 * tiny]
    assert merge(engine, [tiny], [delta([3 * tiny])], ELECT) == [4 * tiny]
    assert merge(engine, [0], [delta([2.0**-133])], dtype="BF16") == [2.0**-133]
    assert merge(engine, [0], [delta([2.0**-24])], dtype="F16") == [2.0**-24]


def test_inputs_may_be_read_only_and_stay_as_they_are(engine):
    raw = narrow(np.linspace(-1, 1, 32, dtype=np.float32), "BF16").tobytes()
    base = as_bits(raw, "BF16")
    coding = Coding("bf16", 32768, 0)
    kept = int(philox.mask(5, 32768, 0, 32).sum())
    term = KeptChunk(b"\x3f" * kept + b"\x80" * kept, coding, 5, 0, 32, "BF16", "BF16", "x")
    once = merged_chunk(engine, base, "BF16", (Contribution(term, 2.0, 1.0),), SUM, "BF16")
    assert base.tobytes() == raw
    assert np.array_equal(merged_chunk(engine, base, "BF16", (Contribution(term, 2.0, 1.0),), SUM, "BF16"), once)
    assert (once != base).sum() == kept
