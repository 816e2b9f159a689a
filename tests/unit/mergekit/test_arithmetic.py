"""The arithmetic of mergekit against numbers that the released package computed, and its own laws."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from merging.mergekit import METHODS, mergekit_method
from merging.mergekit.models import Model, Models
from merging.recipes.semantics import MERGEKIT, PAPER, method_of, methods_of
from storage.errors import InputRefused, UsageError
from tests.integration.against_mergekit.cases import BASE, DETERMINISTIC

GOLDEN = json.loads((Path(__file__).parents[2] / "golden" / "mergekit" / "0.1.5.json").read_text())
DTYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
PRECISION = {"F32": 2.0**-23, "F16": 2.0**-10, "BF16": 2.0**-7}
ONE_BY_ONE = ("task_arithmetic", "nearswap", "passthrough")
"""Methods of single operations on single elements: their bits do not depend on the instructions of a processor."""


def _tensor(bits, dtype):
    width = torch.int32 if dtype == "F32" else torch.int16
    return torch.tensor(bits, dtype=width).view(DTYPES[dtype]).reshape(GOLDEN["shape"])


def _models(case, tensors):
    """The case's models as an arithmetic takes them."""
    method = METHODS[case.method]
    own = {name: {key: value for key, value in given.items() if key != "weight"} for name, given in case.models.items()}
    parameters = method.check({**case.whole}, draws=True)
    ignored = method.how.base == "ignored"
    base = None if ignored or case.base is None else tensors[case.base]
    return Models(
        base,
        tuple(
            Model(tensors[name], given.get("weight", 1.0), {**parameters, **own[name]})
            for name, given in case.models.items()
            if ignored or name != case.base
        ),
        parameters,
        "tensor",
    )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", GOLDEN["results"])
def test_the_numbers_are_those_of_the_released_package(name, dtype):
    tensors = {model: _tensor(bits, dtype) for model, bits in GOLDEN["inputs"][dtype].items()}
    out_dtype, bits = GOLDEN["results"][name][dtype]
    case, expected = DETERMINISTIC[name], _tensor(bits, out_dtype)
    before = {model: tensor.clone() for model, tensor in tensors.items()}
    merged = METHODS[case.method].how.merge(_models(case, tensors))
    assert (merged.dtype, merged.shape) == (expected.dtype, expected.shape)
    assert all(torch.equal(tensors[model], tensor) for model, tensor in before.items())  # nothing is written over
    if case.method in ONE_BY_ONE:
        assert torch.equal(merged, expected)
    else:
        # A processor may add up more or fewer elements at a time, or multiply and add in one operation.
        torch.testing.assert_close(
            merged.double(), expected.double(), rtol=4 * PRECISION[dtype], atol=PRECISION[dtype] / 50
        )


def test_every_method_that_does_not_draw_is_among_the_numbers():
    drawing = {name for name, method in METHODS.items() if any(p.name == "seed" for p in method.parameters)}
    assert {case.method for case in DETERMINISTIC.values()} == (set(METHODS) - drawing) | {"arcee_fusion"}


@pytest.mark.parametrize("name", METHODS)
def test_every_method_says_what_it_is_and_takes(name):
    method = METHODS[name]
    assert method.name == name
    assert method.exactness in ("torch", "close")
    known = {parameter.name for parameter in method.parameters}
    assert "compute_dtype" in known
    assert ("base_model" in known) == (method.how.base != "ignored")
    assert method.how.own <= known
    assert method.how.widens == (name in ("arcee_fusion", "ramplus_tl"))
    assert method_of(MERGEKIT, name) is method


def test_the_semantics_have_their_own_methods():
    assert methods_of(MERGEKIT) is METHODS
    assert "arcee_fusion" not in methods_of(PAPER)
    assert method_of(PAPER, "linear") is not METHODS["linear"]
    with pytest.raises(UsageError, match="did you mean 'karcher'"):
        mergekit_method("karchr")
    with pytest.raises(UsageError, match="choose paper or mergekit"):
        methods_of("papers")


def _given(name, base, tensors, parameters=None, **own):
    method = METHODS[name]
    checked = method.check({**(parameters or {})}, draws=True)
    others = tuple(Model(torch.tensor(tensor), 1.0, {**checked, **own}) for tensor in tensors)
    return method.how.merge(Models(None if base is None else torch.tensor(base), others, checked, "w"))


def test_ties_by_hand():
    # Trimmed to two values each: [4, 0, 0, 2] and [-3, 0, 0, 3]; elected + - + +, of which 4 and (2 + 3)/2 agree.
    merged = _given("ties", [0.0] * 4, [[4.0, -1.0, 0.5, 2.0], [-3.0, -2.0, 0.1, 3.0]], density=0.5)
    assert merged.tolist() == [4.0, 0.0, 0.0, 2.5]


def test_rescaling_keeps_the_length_in_the_l1_norm():
    merged = _given("ties", [0.0] * 4, [[4.0, -2.0, 1.0, 1.0]], {"rescale": True}, density=0.25)
    assert merged.tolist() == [8.0, 0.0, 0.0, 0.0]


def test_breadcrumbs_by_hand():
    # Of five values one goes as the largest, and three of the next stay.
    merged = _given("breadcrumbs", [1.0] * 5, [[11.0, 3.0, 2.0, -1.0, 1.5]], density=0.6, gamma=0.2)
    assert merged.tolist() == [1.0, 3.0, 2.0, -1.0, 1.0]


def test_slerp_by_hand():
    # A quarter turn, halfway: both ends times sin 45°.
    merged = _given("slerp", [1.0, 0.0], [[0.0, 1.0]], {"t": 0.5})
    assert merged.tolist() == pytest.approx([0.5**0.5] * 2, rel=1e-6)
    assert _given("slerp", [1.0, 2.0], [[2.0, 4.0]], {"t": 0.5}).tolist() == [1.5, 3.0]  # straight


def test_model_stock_by_hand():
    # At right angles the models say nothing together; alike they say all; against each other the base stays.
    assert _given("model_stock", [0.0, 0.0], [[1.0, 0.0], [0.0, 1.0]]).tolist() == [0.0, 0.0]
    assert _given("model_stock", [0.0, 0.0], [[2.0, 0.0], [2.0, 0.0]]).tolist() == [2.0, 0.0]
    assert _given("model_stock", [1.0, 1.0], [[2.0, 1.0], [0.0, 1.0]]).tolist() == [1.0, 1.0]


def test_nearswap_by_hand():
    # Within t all of the other, four times t away a quarter of it.
    assert _given("nearswap", [0.0, 0.0], [[0.5, 4.0]], {"t": 1.0}).tolist() == [0.5, 1.0]


def test_ram_by_hand():
    merged = _given("ram", [0.0, 0.0, 0.0], [[1.0, 0.0, 2.0], [0.0, 0.0, 4.0]])
    assert merged.tolist() == [1.0, 0.0, 3.0]


def test_models_that_cancel_have_no_mean_direction():
    three = [[1.0, 0.0], [-0.5, 0.75**0.5], [-0.5, -(0.75**0.5)]]
    with pytest.raises(InputRefused, match="cancel"):
        _given("multislerp", None, three, {"eps": 1e-6})
    assert _given("multislerp", None, [[1.0, 0.0], [-1.0, 0.0]]).tolist() == [0.0, 0.0]


def test_nothing_but_zeros_has_a_mean():
    assert _given("karcher", None, [[0.0, 0.0], [0.0, 0.0]]).tolist() == [0.0, 0.0]
    assert _given("karcher", None, [[3.0, 4.0]]).tolist() == [3.0, 4.0]


@pytest.mark.parametrize("name", ["della", "della_linear"])
@pytest.mark.parametrize("shape", [(), (1,), (4, 1)])
def test_della_needs_rows_to_rank(name, shape):
    with pytest.raises(InputRefused, match="ranked"):
        _given(name, torch.zeros(shape).tolist(), [torch.ones(shape).tolist()], density=0.5)


def test_the_base_is_there_under_its_name():
    assert BASE in GOLDEN["inputs"]["F32"]
    assert GOLDEN["origin"].startswith("mergekit 0.1.5")
