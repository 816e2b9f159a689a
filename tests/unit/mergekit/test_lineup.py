"""Recipes with the semantics of mergekit: the order of models, the base as one of them, parameters of one alone."""

from __future__ import annotations

import json
from itertools import permutations

import pytest

from merging.recipes.recipe import Chosen, make_recipe
from merging.recipes.semantics import MERGEKIT
from merging.recipes.stored import read_recipe
from storage.errors import IntegrityFailure, UsageError

BASE, ONE, TWO, THREE = ("blake3:" + digit * 64 for digit in "0123")


def _make(method="linear", weights=None, parameters=None, own=None, **more):
    weights = {ONE: 0.5, TWO: 0.25} if weights is None else weights
    chosen = {model: Chosen(weight, (own or {}).get(model, {})) for model, weight in weights.items()}
    return make_recipe(method, BASE, chosen, parameters or {}, semantics=MERGEKIT, **more)


def _again(recipe):
    return read_recipe(json.loads(recipe.canonical))


def test_the_order_of_models_is_kept_and_the_terms_are_canonical():
    for models in permutations([BASE, ONE, TWO, THREE]):
        recipe = _make(weights={model: 0.5 + place for place, model in enumerate(models)})
        assert [term.skill for term in recipe.terms] == [ONE, TWO, THREE]
        assert [model.skill for model in recipe.lineup] == list(models)
        assert [model.weight for model in recipe.lineup] == [0.5, 1.5, 2.5, 3.5]
        assert _again(recipe) == recipe


def test_every_order_is_another_recipe_and_the_canonical_one_is_not_written():
    recipes = {models: _make(weights=dict.fromkeys(models, 1.0)) for models in permutations([ONE, TWO, THREE])}
    assert len({recipe.digest for recipe in recipes.values()}) == 6
    document = recipes[ONE, TWO, THREE].to_dict()
    assert document.keys() == make_recipe("linear", BASE, {ONE: 1.0}, {}).to_dict().keys()
    assert (document["format"], document["semantics"]) == (2, "mergekit")
    assert recipes[THREE, ONE, TWO].to_dict()["order"] == [2, 0, 1]


def test_the_base_is_a_model_only_where_it_is_said_to_be():
    assert "base_term" not in _make().to_dict()
    assert _make(weights={ONE: 0.5, BASE: 0.0}).to_dict()["base_term"] == {"weight": 0.0}
    alone = _make("passthrough", {BASE: 1.0})
    assert (alone.terms, [model.skill for model in alone.lineup]) == ((), [BASE])
    assert _again(alone) == alone


def test_parameters_of_one_model_are_those_that_differ():
    own = {TWO: {"density": 0.25}, ONE: {"density": "0.5", "gamma": 0.1}, THREE: {"density": 0.75}}
    recipe = _make("breadcrumbs", dict.fromkeys([ONE, TWO, THREE], 1.0), {"density": 0.5}, own=own)
    assert [term.parameters for term in recipe.terms] == [{"gamma": 0.1}, {"density": 0.25}, {"density": 0.75}]
    assert _again(recipe) == recipe
    assert _make("breadcrumbs", own={ONE: {"gamma": 0.01}}) == _make("breadcrumbs")


@pytest.mark.parametrize(
    ("method", "weights", "parameters", "own", "message"),
    [
        ("linear", {}, {}, {}, "at least one"),
        ("linear", None, {"lambda": 1}, {}, "no parameter 'lambda'"),
        ("linear", None, {"base_model": "first"}, {}, "no parameter 'base_model'"),
        ("ties", None, {"compute_dtype": "F64"}, {}, "one of inputs, F32, F16, BF16"),
        ("ties", None, {"base_model": "none"}, {}, "one of base, first"),
        ("ties", {ONE: 1.0, BASE: 1.0}, {}, {}, "cannot be one of the models too"),
        ("ties", {BASE: 1.0, ONE: 1.0}, {"base_model": "first"}, {}, "has no weight and is not the base"),
        ("ties", {ONE: 0.5, TWO: 1.0}, {"base_model": "first"}, {}, "has no weight and is not the base"),
        ("ties", {ONE: 1.0}, {"base_model": "first"}, {}, "at least 1 skill"),
        ("slerp", {ONE: 1.0, TWO: 1.0}, {}, {}, "1 other model, and here are 2"),
        ("slerp", {ONE: 0.5}, {}, {}, "has no weights"),
        ("nuslerp", {ONE: 0.5}, {}, {}, "exactly 2"),
        ("model_stock", {ONE: 1.0}, {}, {}, "at least 2"),
        ("della", None, {"density": 0.95}, {}, "not all between 0 and 1"),
        ("della", None, {"density": 0.5}, {TWO: {"epsilon": 0.6}}, "not all between 0 and 1"),
        ("ties", None, {}, {TWO: {"normalize": False}}, "one for all skills"),
        ("slerp", {ONE: 1.0}, {}, {ONE: {"t": 0.5}}, "one for all skills"),
        ("ties", None, {}, {TWO: {"density": 2}}, "at most 1"),
        ("fisher", None, {}, {}, "has no method 'fisher'"),
    ],
)
def test_what_cannot_be_is_refused(method, weights, parameters, own, message):
    with pytest.raises(UsageError, match=message):
        _make(method, weights, parameters, own=own)


def test_a_skill_that_was_sparsified_is_refused_where_all_of_it_is_needed():
    _make("task_arithmetic", stored_sparse=frozenset({ONE}))
    with pytest.raises(UsageError, match="sparsified"):
        _make("dare_ties", stored_sparse=frozenset({ONE}))


def test_only_here_the_base_is_a_model():
    with pytest.raises(UsageError, match="the base is one of the models"):
        make_recipe("linear", BASE, {ONE: 1.0, BASE: 0.5}, {})


@pytest.mark.parametrize(
    "change",
    [
        {"order": [0, 1, 2]},
        {"order": [0, 0, 1]},
        {"order": [2, 0]},
        {"order": [2, 0, 7]},
        {"order": [2, 0, -2]},
        {"order": "201"},
        {"order": None},
        {"base_term": None},
        {"base_term": 0.5},
        {"base_term": {}},
        {"base_term": {"weight": "1"}},
        {"base_term": {"weight": float("inf")}},
        {"base_term": {"weight": 0.5, "parameters": {}}},
        {"base_term": {"weight": 0.5, "parameters": {"density": 0.5}}},
        {"base_term": {"weight": 0.5, "skill": ONE}},
        {"format": 1},
        {"semantics": "paper"},
        {"semantics": "mergekit-2"},
        {"semantics": ["paper"]},
        {"parameters": {"normalize": True}},
        {"dtype": "F64"},
        {"more": 1},
    ],
)
def test_damage_is_recognised(change):
    document = _make(weights={BASE: 0.5, ONE: 0.25, TWO: 1.0}).to_dict()
    assert read_recipe(document).order == (2, 0, 1)
    with pytest.raises(IntegrityFailure):
        read_recipe(document | change)


def test_what_format_1_says_is_what_it_said():
    # Digests of recipes are in records and signatures: a change of this number is a break of the format.
    recipe = make_recipe("ties", BASE, {TWO: 0.5, ONE: -0.25}, {"density": 0.5}, dtype="BF16")
    assert (recipe.to_dict()["format"], recipe.to_dict()["semantics"]) == (1, "paper")
    assert recipe.digest == "sha256:59e76be3eb7369aa1141890f74ac558b76cfcba510c09b7a639c54f429f69097"
