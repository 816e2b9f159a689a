"""Stacked layers: which tensors the result has and what each is made of, and recipes that say so."""

import copy

import pytest

from merging.mergekit.stack import LayerSlice, SliceModel, stack
from merging.recipes.recipe import make_stacked
from merging.recipes.stored import read_recipe
from storage.errors import InputRefused, IntegrityFailure, UsageError

BASE, MATH, CODE = (f"blake3:{number:064x}" for number in range(3))
LAYERS = [f"model.layers.{number}.{part}" for number in range(3) for part in ("mlp.weight", "norm.weight")]
TENSORS = ["model.embed_tokens.weight", *LAYERS, "model.norm.weight", "lm_head.weight"]


def part(layers, models, **parameters):
    return LayerSlice(layers, tuple(SliceModel(model, first, weight) for model, first, weight in models), parameters)


def test_layers_follow_one_another_and_what_is_outside_goes_with_the_ends():
    made = stack((part(2, [(MATH, 0, 1.0)]), part(2, [(CODE, 1, 0.5)])), TENSORS)
    assert list(made) == ["model.embed_tokens.weight", "model.norm.weight", "lm_head.weight"] + [
        f"model.layers.{number}.{part}" for number in range(4) for part in ("mlp.weight", "norm.weight")
    ]
    told = {name: [(each.model, each.tensor, each.weight) for each in found.models] for name, found in made.items()}
    assert told["model.embed_tokens.weight"] == [(MATH, "model.embed_tokens.weight", 1.0)]
    assert told["lm_head.weight"] == [(CODE, "lm_head.weight", 0.5)]
    assert told["model.layers.1.mlp.weight"] == [(MATH, "model.layers.1.mlp.weight", 1.0)]
    assert told["model.layers.3.norm.weight"] == [(CODE, "model.layers.2.norm.weight", 0.5)]


def test_depth_counts_within_a_slice_and_filters_see_the_names_that_mergekit_shows_them():
    parameters = {"t": [0.0, 1.0], "scale": [{"filter": "layers.3.", "value": 9.0}, {"value": 1.0}]}
    made = stack((part(1, [(MATH, 0, 1.0)], **parameters), part(3, [(CODE, 0, [0.0, 4.0])], **parameters)), TENSORS)
    layers = [made[f"model.layers.{number}.mlp.weight"] for number in range(4)]
    assert [layer.parameters["t"] for layer in layers] == [1.0, 0.0, 0.5, 1.0]
    assert [layer.models[0].weight for layer in layers] == [1.0, 0.0, 2.0, 4.0]
    assert layers[3].parameters["scale"] == 9.0
    assert layers[3].models[0].parameters["scale"] == 1.0  # there it is called layers.2


@pytest.mark.parametrize("name", ["transformer.wpe.weight", "bert.embeddings.LayerNorm.weight", "x.wte.weight"])
def test_positions_and_norms_of_embeddings_stand_before_the_layers(name):
    slices = (part(1, [(MATH, 0, 1.0)]), part(1, [(CODE, 0, 1.0)]))
    made = stack(slices, [name, "h.0.weight", "ln_f.weight"])
    assert (made[name].models[0].model, made["ln_f.weight"].models[0].model) == (MATH, CODE)


def test_bases_that_cannot_be_stacked_are_refused():
    one = (part(1, [(MATH, 3, 1.0)]),)
    with pytest.raises(InputRefused, match="no layer 3"):
        stack(one, TENSORS)
    with pytest.raises(InputRefused, match="this base has 0"):
        stack(one, ["embed.weight"])
    with pytest.raises(InputRefused, match="this base has 2"):
        stack(one, ["encoder.layers.0.w", "decoder.layers.0.w"])


RECIPE = make_stacked(
    "linear",
    BASE,
    [part(2, [(MATH, 0, 0.3), (BASE, 1, [0.1, 0.7])]), part(1, [(CODE, 0, 1.0)], normalize=False)],
    {"compute_dtype": "F32"},
    dtype="BF16",
)


def test_a_recipe_says_all_of_it_and_is_read_back():
    document = RECIPE.to_dict()
    assert [term["skill"] for term in document["terms"]] == [MATH, CODE]
    assert document["parameters"] == {"compute_dtype": "F32"}
    assert document["slices"][1] == {
        "layers": 1, "models": [{"model": CODE, "first": 0, "weight": 1.0}], "parameters": {"normalize": False},
    }  # fmt: skip
    assert document["slices"][0]["parameters"] == {"normalize": True}
    assert read_recipe(document) == RECIPE
    assert document["format"] == 2


@pytest.mark.parametrize(
    "spoil",
    [
        lambda document: document["slices"][0].update(layers=0),
        lambda document: document["slices"][0].update(layers="2"),
        lambda document: document["slices"][0]["models"][0].update(first=-1),
        lambda document: document["slices"][0]["models"][0].update(first=True),
        lambda document: document["slices"][0]["models"][0].update(model="math"),
        lambda document: document["slices"][0]["models"][0].update(weight="much"),
        lambda document: document["slices"][0]["models"][0].pop("weight"),
        lambda document: document["slices"][0]["parameters"].update(density=0.5),
        lambda document: document["slices"][0]["models"].clear(),
        lambda document: document["slices"][1].pop("models"),
        lambda document: document["terms"].pop(),
        lambda document: document["terms"][0].update(weight=0.5),
        lambda document: document.update(order=[1, 0]),
        lambda document: document.update(semantics="paper"),
        lambda document: document.update(head=MATH),
        lambda document: document["parameters"].update(normalize=True),
        lambda document: document.update(slices=[]),
    ],
)
def test_a_recipe_that_could_not_have_been_made_is_refused(spoil):
    document = copy.deepcopy(RECIPE.to_dict())
    spoil(document)
    with pytest.raises(IntegrityFailure):
        read_recipe(document)


@pytest.mark.parametrize(
    ("method", "parts", "parameters", "message"),
    [
        ("linear", [], {}, "at least one slice"),
        ("passthrough", [part(1, [(MATH, 0, 1.0), (CODE, 0, 1.0)])], {}, "passthrough"),
        ("ties", [part(1, [(BASE, 0, 1.0), (MATH, 0, 1.0)])], {"base_model": "base"}, "first model of every slice"),
        ("fisher", [part(1, [(MATH, 0, 1.0)])], {}, "no method 'fisher'"),
        ("linear", [part(1, [(MATH, 0, 1.0)])], {"densty": 1}, "densty"),
    ],
)
def test_stacks_that_are_none_are_refused(method, parts, parameters, message):
    with pytest.raises(UsageError, match=message):
        make_stacked(method, BASE, parts, parameters)
