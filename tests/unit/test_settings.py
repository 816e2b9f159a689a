"""Weights and parameters that differ from tensor to tensor, by depth or by name; and merging with them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from merging.engines import numba_engine, reference
from merging.engines.torch_engine import TorchEngine
from merging.methods import METHODS
from merging.recipes.recipe import Chosen, make_recipe
from merging.recipes.stored import read_recipe
from merging.setting_text import parse_setting, spelled
from merging.settings import Depths, at, checked, fits
from storage.digests import parse_json
from storage.errors import UsageError
from tests.unit.tiny_models import tensor

laws = settings(max_examples=200, deadline=None, derandomize=True, database=None)
NAMES = [f"model.layers.{layer}.{part}.weight" for layer in range(5) for part in ("self_attn", "mlp")]
MODEL = ["model.embed.weight", *NAMES, "model.norm.weight"]


def number(value):
    return float(value)


def test_depth_is_the_layer_over_the_last_one():
    depths = Depths(MODEL)
    assert [depths.of(f"model.layers.{layer}.mlp.weight") for layer in range(5)] == [0, 0.25, 0.5, 0.75, 1]
    assert depths.of("model.embed.weight") == depths.of("model.norm.weight") == 0


def test_stacks_are_counted_on_their_own():
    depths = Depths(["encoder.block.0.w", "encoder.block.2.w", "decoder.block.0.w", "decoder.block.1.w", "h.0.w"])
    assert (depths.of("encoder.block.2.w"), depths.of("decoder.block.1.w")) == (1, 1)
    assert depths.of("h.0.w") == 1  # a model's only layer


def test_experts_and_module_numbers_are_no_layers():
    depths = Depths([f"0.auto.layers.{layer}.experts.7.w" for layer in range(3)])
    assert depths.of("0.auto.layers.1.experts.7.w") == 0.5


@pytest.mark.parametrize(
    ("gradient", "depth", "value"),
    [([0, 1], 0.25, 0.25), ([0, 1, 0], 0.25, 0.5), ([0, 1, 0], 0.5, 1), ([0, 1, 0], 1, 0), ([3, 1, 2], 0.75, 1.5)],
)
def test_a_gradient_by_hand(gradient, depth, value):
    assert at(checked(gradient, number, "w"), "any", depth) == value


@pytest.mark.parametrize(
    ("pattern", "tensor", "fitting"),
    [
        ("mlp", "model.layers.0.mlp.weight", True),
        ("mlp", "model.layers.0.self_attn.weight", False),
        ("*.mlp.*", "model.layers.0.mlp.weight", True),
        ("mlp*", "model.layers.0.mlp.weight", False),
        ("*layers.[01].*", "model.layers.1.mlp.weight", True),
        ("*layers.[01].*", "model.layers.2.mlp.weight", False),
    ],
)
def test_filters(pattern, tensor, fitting):
    assert fits(pattern, tensor) is fitting


def test_the_first_filter_that_fits_counts():
    setting = checked(
        [{"filter": "self_attn", "value": [0, 1]}, {"filter": "weight", "value": 3}, {"filter": "*", "value": 5}],
        number,
        "w",
    )
    assert [at(setting, name, 0.5) for name in ("a.self_attn.weight", "a.mlp.weight", "a.bias")] == [0.5, 3, 5]


@pytest.mark.parametrize(
    ("written", "form"),
    [
        ([0.5, 0.5, 0.5], 0.5),
        ([0.5], 0.5),
        ([{"value": 0.5}], 0.5),
        ([{"filter": "*", "value": [1, 2]}], [1.0, 2.0]),
        (
            [{"filter": "a", "value": [1, 1]}, {"filter": "*", "value": 2}],
            [{"filter": "a", "value": 1.0}, {"value": 2.0}],
        ),
    ],
)
def test_a_setting_has_one_form(written, form):
    assert checked(written, number, "w") == form


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ([], "an empty list"),
        ([{"filter": "a", "value": 1}], "nothing is said for tensors that no filter fits"),
        ([{"value": 1}, {"filter": "a", "value": 1}], "never counts"),
        ([{"value": 1}, {"value": 2}], "never counts"),
        ([{"filtr": "a", "value": 1}, {"value": 2}], "is not a choice"),
        ([{"filter": "a"}, {"value": 2}], "is not a choice"),
        ([{"filter": 3, "value": 1}, {"value": 2}], "is not a choice"),
        ([1, {"value": 2}], "is not a choice"),
        ([{"filter": "a", "value": [{"value": 1}]}, {"value": 2}], "a choice within a choice"),
    ],
)
def test_what_is_no_setting_is_told_what_one_is(written, says):
    with pytest.raises(UsageError, match=says):
        checked(written, number, "w")


numbers = st.floats(-10, 10).map(lambda value: value + 0.0)
patterns = st.text("ab.*_,:{}[] x", min_size=1, max_size=6).map(str.strip).filter(lambda text: text not in ("", "*"))
gradients = st.lists(numbers, min_size=2, max_size=4).filter(lambda values: len(set(values)) > 1)
choices = st.builds(
    lambda pairs, last: [*({"filter": key, "value": value} for key, value in pairs.items()), {"value": last}],
    st.dictionaries(patterns, numbers | gradients, min_size=1, max_size=3),
    numbers | gradients,
)


@laws
@given(numbers | gradients | choices)
def test_a_setting_reads_as_it_is_spelled(setting):
    form = checked(setting, number, "w")
    assert checked(parse_setting(spelled(form), "w"), number, "w") == form


@laws
@given(gradients, st.floats(0, 1))
def test_a_gradient_stays_between_its_values(gradient, depth):
    value = at(gradient, "any", depth)
    assert min(gradient) - 1e-9 <= value <= max(gradient) + 1e-9


def layered(tiny, *deltas):
    """A base of zeros with five layers, and skills that add one number to everything."""
    base = tiny(**{name: tensor(np.zeros(4)) for name in MODEL})
    return base, [base.delta({name: tensor(np.full(4, delta)) for name in MODEL}) for delta in deltas]


@pytest.mark.parametrize("engine", [reference, numba_engine, TorchEngine("cpu")], ids=lambda engine: engine.name)
def test_weights_by_depth_and_by_name(tiny, engine):
    base, (one, two) = layered(tiny, 1.0, 8.0)
    by_name = [{"filter": "mlp", "value": 0.5}, {"value": 0.0}]
    merged = base.merge("task_arithmetic", [(one, [0.0, 1.0]), (two, by_name)], engine=engine)
    for layer in range(5):
        assert merged[f"model.layers.{layer}.self_attn.weight"].tolist() == [layer / 4] * 4
        assert merged[f"model.layers.{layer}.mlp.weight"].tolist() == [layer / 4 + 4] * 4
    assert merged["model.norm.weight"].tolist() == [0] * 4


def test_shares_are_of_each_tensor(tiny):
    base, (one, two) = layered(tiny, 1.0, 2.0)
    merged = base.merge("linear", [(one, [1.0, 3.0]), (two, 1.0)])
    assert merged["model.layers.0.mlp.weight"].tolist() == [1.5] * 4
    assert merged["model.layers.4.mlp.weight"].tolist() == [1.25] * 4


def test_weights_that_cancel_in_one_tensor_are_refused_by_its_name(tiny):
    base, (one, two) = layered(tiny, 1.0, 2.0)
    with pytest.raises(UsageError, match=r"the weights of 'model.layers.2\.\w+.weight' add up to zero"):
        base.merge("linear", [(one, [1.0, -3.0]), (two, 1.0)])


def test_lambda_by_depth(tiny):
    base, (one,) = layered(tiny, 1.0)
    merged = base.merge("task_arithmetic", [(one, 1.0)], lambda_=[0.0, 1.0])
    assert [merged[f"model.layers.{layer}.mlp.weight"][0] for layer in range(5)] == [0, 0.25, 0.5, 0.75, 1]


def test_density_of_each_skill_alone(tiny):
    base = tiny(w=tensor(np.zeros(10)))
    one, two = (base.delta({"w": tensor(np.arange(1, 11) * sign)}) for sign in (1.0, 2.0))
    merged = base.merge("ties", [(one, 1.0, {"density": 0.1}), (two, 1.0, {"density": 0.3})])
    assert merged["w"].tolist() == [0] * 7 + [16, 18, 15]


def test_drop_rate_of_each_skill_alone(tiny):
    base = tiny(w=tensor(np.zeros(2000)))
    one, two = (base.delta({"w": tensor(np.full(2000, value))}) for value in (1.0, 64.0))
    merged = base.merge("dare_linear", [(one, 1.0, {"drop_rate": 0.5}), (two, 1.0, {"drop_rate": 0})])["w"]
    assert set(merged.tolist()) == {64.0, 66.0}


def test_parameters_by_name_for_methods_on_whole_tensors(tiny):
    base = tiny(a=tensor(np.zeros(10)), b=tensor(np.zeros(10)))
    skill = base.delta({"a": tensor(np.arange(10)), "b": tensor(np.arange(10))})
    density = [{"filter": "a", "value": 0.2}, {"value": 0.5}]
    merged = base.merge("breadcrumbs", [(skill, 1.0)], density=density, gamma=0)
    assert [np.count_nonzero(merged[name]) for name in ("a", "b")] == [2, 5]


def test_slerp_by_depth(tiny):
    base = tiny(**{name: tensor([3.0, 0.0]) for name in MODEL})
    skill = base.delta({name: tensor([0.0, 3.0]) for name in MODEL})
    merged = base.merge("slerp", [(skill, [0.0, 1.0])])
    assert np.allclose(merged["model.layers.4.mlp.weight"], [0, 3])
    assert np.allclose(merged["model.layers.2.mlp.weight"], [3 / 2**0.5] * 2)
    assert merged["model.layers.0.mlp.weight"].tolist() == [3, 0]


def test_rates_that_do_not_go_together_in_one_tensor_are_refused(tiny):
    base, (one,) = layered(tiny, 1.0)
    with pytest.raises(UsageError, match="drop rates from"):
        base.merge("della", [(one, 1.0)], drop_rate=[0.5, 0.9], epsilon=0.2)


def digest(number):
    return f"blake3:{number:064x}"


def test_recipes_hold_settings_in_format_2_and_all_others_stay():
    plain = make_recipe("ties", digest(0), {digest(1): 0.5}, {})
    assert plain.to_dict()["format"] == 1
    said = {digest(1): Chosen([0, 1], {"density": 0.1}), digest(2): Chosen(0.5, base=digest(9))}
    recipe = make_recipe("ties", digest(0), said, {"lambda": [{"filter": "mlp", "value": 1}, {"value": 0}]})
    document = recipe.to_dict()
    assert document["format"] == 2
    assert document["terms"] == [
        {"skill": digest(1), "weight": [0.0, 1.0], "parameters": {"density": 0.1}},
        {"skill": digest(2), "weight": 0.5, "base": digest(9)},
    ]
    again = read_recipe(parse_json(recipe.canonical))
    assert (again, again.digest) == (recipe, recipe.digest)
    even = make_recipe("ties", digest(0), {digest(1): [0.5, 0.5]}, {})
    assert even.digest == plain.digest


@pytest.mark.parametrize(
    ("own", "says"),
    [({"lambda": 1}, "one for all skills"), ({"densty": 1}, "no parameter 'densty'"), ({"density": 2}, "at most 1")],
)
def test_parameters_that_a_skill_cannot_have(own, says):
    with pytest.raises(UsageError, match=says):
        make_recipe("ties", digest(0), {digest(1): Chosen(1.0, own)}, {})


def test_a_rate_has_no_effect_on_a_skill_that_was_dropped_when_stored():
    skills = {digest(1): Chosen(1.0, {"drop_rate": 0.5}), digest(2): 1.0}
    assert make_recipe("dare_ties", digest(0), skills, {}).terms[0].parameters == {"drop_rate": 0.5}
    with pytest.raises(UsageError, match="has no effect"):
        make_recipe("dare_ties", digest(0), skills, {}, stored_sparse=frozenset([digest(1)]))


def test_methods_tell_what_may_vary():
    said = {each["name"]: (each["varies"], each["each"]) for each in METHODS["dare_ties"].to_dict()["parameters"]}
    assert said == {
        "lambda": (True, False),
        "drop_rate": (True, True),
        "q": (True, True),
        "seed": (False, False),
        "divisor": (False, False),
    }
