"""Recipes: the identity of a merge. Canonical whatever the order, stable for ever, checked when read."""

import copy

import pytest

from merging.methods import METHODS
from merging.recipes.recipe import MAX_WEIGHT, check_sum, make_recipe
from merging.recipes.stored import read_recipe
from storage.digests import canonical_json, parse_json
from storage.errors import IntegrityFailure, UsageError


def digest(number):
    return f"blake3:{number:064x}"


BASE, MATH, CODE, TOXIC = (digest(number) for number in range(4))
WEIGHTS = {MATH: 0.6, CODE: 0.4, TOXIC: -0.2}
RECIPE = make_recipe("dare_ties", BASE, WEIGHTS, {"lambda": 0.8, "seed": 3}, head=MATH, dtype="BF16")
ALL = frozenset(WEIGHTS)


def test_terms_stand_in_the_order_of_their_digests_however_written():
    backwards = make_recipe(
        "dare_ties", BASE, dict(reversed(WEIGHTS.items())), {"seed": 3, "lambda": 0.8}, head=MATH, dtype="BF16"
    )
    assert [term.skill for term in backwards.terms] == [MATH, CODE, TOXIC]
    assert backwards.digest == RECIPE.digest


def test_digest_of_a_frozen_format_never_changes():
    assert RECIPE.digest == "sha256:2e1448caf78f7e9533f961faaa85e4369479e99c9f232282612f3b45385840ee"


def test_canonical_json_is_what_is_digested():
    document = RECIPE.to_dict()
    assert parse_json(RECIPE.canonical) == document
    assert document["terms"][2] == {"skill": TOXIC, "weight": -0.2}
    assert document["parameters"] == {"lambda": 0.8, "drop_rate": 1 - 6554 / 65536, "seed": 3, "divisor": "count"}
    assert (document["semantics"], document["format"], document["files"]) == ("paper", 1, None)


@pytest.mark.parametrize(
    "other",
    [
        make_recipe("dare_ties", BASE, {**WEIGHTS, MATH: 0.61}, {"lambda": 0.8, "seed": 3}, head=MATH, dtype="BF16"),
        make_recipe("dare_ties", BASE, WEIGHTS, {"lambda": 0.8, "seed": 4}, head=MATH, dtype="BF16"),
        make_recipe("dare_ties", BASE, WEIGHTS, {"lambda": 0.8, "seed": 3}, head=CODE, dtype="BF16"),
        make_recipe("dare_ties", BASE, WEIGHTS, {"lambda": 0.8, "seed": 3}, head=MATH),
        make_recipe("dare_ties", digest(9), WEIGHTS, {"lambda": 0.8, "seed": 3}, head=MATH, dtype="BF16"),
        make_recipe("dare_linear", BASE, WEIGHTS, {"lambda": 0.8, "seed": 3}, head=MATH, dtype="BF16"),
        make_recipe("dare_ties", BASE, WEIGHTS, {"lambda": 0.8, "seed": 3}, head=MATH, dtype="BF16", files=CODE),
    ],
    ids=["weight", "parameter", "head", "dtype", "base", "method", "files"],
)
def test_everything_that_changes_the_result_changes_the_digest(other):
    assert other.digest != RECIPE.digest


def test_a_default_written_out_is_the_same_recipe():
    assert (
        make_recipe("ties", BASE, WEIGHTS, {}).digest
        == make_recipe(
            "ties", BASE, WEIGHTS, {"lambda": 1, "density": "0.2", "trim": "model", "divisor": "count"}
        ).digest
    )


def test_what_canonical_json_spells_alike_is_alike():
    """−0.0 and 0.0 would give outputs that differ in the sign of zeros, under one digest."""
    minus, plus = (make_recipe("task_arithmetic", BASE, {MATH: zero}, {"lambda": zero}) for zero in (-0.0, 0.0))
    assert minus.digest == plus.digest
    assert str(minus.terms[0].weight) == str(minus.parameters["lambda"]) == "0.0"


def test_a_drop_rate_is_recorded_as_the_mask_has_it():
    recipe = make_recipe("dare_linear", BASE, {MATH: 1.0}, {"drop_rate": 0.9})
    assert recipe.parameters["drop_rate"] == 1 - 6554 / 65536
    again = make_recipe("dare_linear", BASE, {MATH: 1.0}, {"drop_rate": recipe.parameters["drop_rate"]})
    assert again.digest == recipe.digest


@pytest.mark.parametrize("method", sorted(METHODS))
@pytest.mark.parametrize("sparse", [frozenset(), ALL])
def test_a_recipe_is_read_back_whole(method, sparse):
    row = METHODS[method]
    if "unsparsified" in row.needs:
        sparse = frozenset()
    signed = {skill: weight if row.signed else abs(weight) for skill, weight in list(WEIGHTS.items())[: row.skills[1]]}
    weights = {skill: weight if row.weighted else 1 for skill, weight in signed.items()}
    recipe = make_recipe(method, BASE, weights, {}, stored_sparse=sparse, head=TOXIC, dtype="F16", files=CODE)
    again = read_recipe(parse_json(recipe.canonical))
    assert again == recipe
    assert again.digest == recipe.digest


def test_parameters_without_effect_are_not_recorded_and_refused_when_given():
    recipe = make_recipe("dare_linear", BASE, WEIGHTS, {}, stored_sparse=ALL)
    assert set(recipe.parameters) == {"lambda"}
    with pytest.raises(UsageError, match="drop_rate has no effect"):
        make_recipe("dare_linear", BASE, WEIGHTS, {"drop_rate": 0.5}, stored_sparse=ALL)
    one_left = make_recipe("dare_linear", BASE, WEIGHTS, {"drop_rate": 0.5}, stored_sparse=ALL - {MATH})
    assert one_left.parameters["drop_rate"] == 0.5


@pytest.mark.parametrize(
    ("method", "parameters", "says"),
    [
        ("slurp", {}, "unknown method 'slurp'"),
        ("ties", {"denisty": 0.2}, "no parameter 'denisty'"),
        ("linear", {"lambda": 1}, "no parameter 'lambda'"),
        ("task_arithmetic", {"density": 1}, "no parameter 'density'"),
        ("ties", {"density": 0}, "above 0 and at most 1"),
        ("ties", {"density": 1.01}, "above 0 and at most 1"),
        ("ties", {"density": "half"}, "a number"),
        ("ties", {"density": True}, "a number"),
        ("ties", {"density": float("nan")}, "above 0"),
        ("ties", {"trim": "layer"}, "one of model, tensor"),
        ("ties", {"divisor": 3}, "one of count, weights"),
        ("dare_ties", {"drop_rate": 1}, "at least 0 and below 1"),
        ("dare_ties", {"drop_rate": -0.1}, "at least 0 and below 1"),
        ("dare_ties", {"drop_rate": 0.9999999}, "keeps nothing"),
        ("dare_ties", {"seed": -1}, "at least 0"),
        ("dare_ties", {"seed": 2**53}, "at most"),
        ("dare_ties", {"seed": 1.5}, "a whole number"),
        ("dare_ties", {"seed": "1.5"}, "a whole number"),
        ("dare_ties", {"seed": float("inf")}, "a whole number"),
        ("linear", {"normalize": "maybe"}, "true or false"),
        ("task_arithmetic", {"lambda": float("inf")}, "at least"),
        ("task_arithmetic", {"lambda": None}, "a number"),
        ("task_arithmetic", {"lambda": [[1]]}, "a number"),
        ("task_arithmetic", {"lambda": []}, "an empty list"),
        ("dare_ties", {"seed": [1, 2]}, "one for the whole model"),
        ("ties", {"density": [0.1, 0.2]}, "one cutoff for all"),
    ],
)
def test_parameters_are_checked(method, parameters, says):
    with pytest.raises(UsageError) as caught:
        make_recipe(method, BASE, WEIGHTS, parameters)
    assert says in caught.value.message


@pytest.mark.parametrize(("given", "near"), [("tie", "ties"), ("dare_tie", "dare_ties"), ("Linear", "linear")])
def test_a_misspelt_method_is_told_the_nearest(given, near):
    with pytest.raises(UsageError) as caught:
        make_recipe(given, BASE, WEIGHTS, {})
    assert f"did you mean {near!r}" in caught.value.hint


@pytest.mark.parametrize("word", ["true", "True", "yes", "1", True])
def test_switches_take_words(word):
    assert make_recipe("linear", BASE, WEIGHTS, {"normalize": word}).parameters["normalize"] is True


@pytest.mark.parametrize("weights", [(1, -1), (0.1, 0.2, -0.3), (1e16, 1, -1e16, -1), (0,)])
def test_weights_that_cancel_cannot_be_normalized(weights):
    given = {digest(number): weight for number, weight in enumerate(weights, start=1)}
    with pytest.raises(UsageError, match="add up to zero"):
        make_recipe("linear", BASE, given, {})
    assert make_recipe("linear", BASE, given, {"normalize": False}).terms
    assert make_recipe("task_arithmetic", BASE, given, {}).terms


def test_the_sum_of_weights_is_rounded_once():
    """Whatever the order of the terms and the version of Python, whose own sum changed in 3.12."""
    assert check_sum("linear", (1e9, 1.0, -1e9, 0.1, 0.1, 0.1), can_choose=True) == 1.3
    assert check_sum("linear", [0.1] * 10, can_choose=True) == 1.0


@pytest.mark.parametrize("weight", [float("nan"), float("inf"), -float("inf"), 2 * MAX_WEIGHT])
def test_a_weight_that_fp32_cannot_take_is_refused(weight):
    with pytest.raises(UsageError, match="weight"):
        make_recipe("task_arithmetic", BASE, {MATH: weight}, {})


@pytest.mark.parametrize("weight", [2.0**53, 1e16, -1e20, 1e21, MAX_WEIGHT, 1e-300])
def test_weights_of_any_spelling_are_read_back(weight):
    """Canonical JSON writes 1e20 as an integer that it would not take itself."""
    recipe = make_recipe("task_arithmetic", BASE, {MATH: weight}, {"lambda": weight})
    assert read_recipe(parse_json(recipe.canonical)) == recipe


def test_a_recipe_of_nothing_is_refused():
    with pytest.raises(UsageError, match="at least one skill"):
        make_recipe("task_arithmetic", BASE, {}, {})


def test_an_output_dtype_that_does_not_merge_is_refused():
    with pytest.raises(UsageError, match="'I8'"):
        make_recipe("ties", BASE, WEIGHTS, {}, dtype="I8")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("format",), 2),
        (("semantics",), "mergekit"),
        (("method",), "slerp"),
        (("method",), ["ties"]),
        (("base",), "blake3:short"),
        (("base",), None),
        (("terms",), 5),
        (("terms",), [{"skill": MATH}]),
        (("terms",), [["skill", "weight"]]),
        (("terms", 0, "skill"), 7),
        (("terms", 0, "skill"), digest(9)),
        (("terms", 1, "skill"), MATH),
        (("terms", 0, "weight"), "0.6"),
        (("terms", 0, "weight"), float("nan")),
        (("terms", 0, "weight"), 10**400),
        (("parameters",), []),
        (("parameters",), None),
        (("parameters",), {}),
        (("parameters", "lambda"), "0.8"),
        (("parameters", "lambda"), float("inf")),
        (("parameters", "drop_rate"), 0.9),
        (("parameters", "unknown"), 1),
        (("head",), "math"),
        (("dtype",), "I8"),
        (("files",), 3),
        (("surplus",), 1),
    ],
)
def test_a_damaged_recipe_is_an_integrity_failure(path, value):
    document = copy.deepcopy(RECIPE.to_dict())
    parent = document
    for key in path[:-1]:
        parent = parent[key]
    parent[path[-1]] = value
    with pytest.raises(IntegrityFailure):
        read_recipe(document)


@pytest.mark.parametrize("document", [None, [], "recipe", 3, {}])
def test_something_that_is_no_recipe(document):
    with pytest.raises(IntegrityFailure):
        read_recipe(document)


def test_canonical_bytes_are_rfc_8785():
    assert RECIPE.canonical.encode() == canonical_json(RECIPE.to_dict())
    assert RECIPE.canonical.startswith('{"base":"blake3:000')
