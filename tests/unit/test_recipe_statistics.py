"""Recipes that name the statistics they merge with."""

import pytest

from merging.recipes.recipe import make_recipe
from merging.recipes.stored import read_recipe
from storage.digests import blake3_digest, parse_json
from storage.errors import IntegrityFailure, UsageError

BASE, ONE, TWO = (blake3_digest(word) for word in (b"base", b"one", b"two"))
USED = {ONE: blake3_digest(b"statistics of one"), TWO: blake3_digest(b"statistics of two")}


def recipe(method="regmean", statistics=USED, skills=(ONE, TWO)):
    return make_recipe(method, BASE, dict.fromkeys(skills, 0.5), {}, statistics=statistics)


def test_a_recipe_names_its_statistics_and_is_read_back():
    made = recipe()
    document = made.to_dict()
    assert (document["format"], document["statistics"]) == (2, USED)
    assert read_recipe(parse_json(made.canonical)) == made
    other = recipe(statistics=USED | {TWO: USED[ONE]})
    assert other.digest != made.digest


@pytest.mark.parametrize("method", ["task_arithmetic", "fisher"])
def test_without_statistics_nothing_is_said_of_them(method):
    document = recipe(method, {}).to_dict()
    assert document["format"] == 1
    assert "statistics" not in document


@pytest.mark.parametrize(
    ("method", "statistics", "skills"),
    [
        ("regmean", {ONE: USED[ONE]}, (ONE, TWO)),
        ("regmean", USED, (ONE,)),
        ("regmean", USED | {BASE: USED[ONE]}, (ONE, TWO)),
        ("linear", USED, (ONE, TWO)),
    ],
)
def test_statistics_of_other_skills_than_the_recipe_s_are_refused(method, statistics, skills):
    with pytest.raises(UsageError, match="is given statistics of"):
        recipe(method, statistics, skills)


@pytest.mark.parametrize(
    "change",
    [
        {"statistics": {ONE: USED[ONE]}},
        {"statistics": {}},
        {"statistics": USED | {TWO: "newest"}},
        {"statistics": [ONE]},
        {"statistics": None},
        {"format": 1},
        {"method": "linear", "parameters": {"normalize": True}},
    ],
    ids=str,
)
def test_a_damaged_recipe_is_refused(change):
    with pytest.raises(IntegrityFailure, match="damaged recipe"):
        read_recipe(recipe().to_dict() | change)
