"""Laws of recipes: one digest however a merge is written, read back whole, and nothing damaged is taken for one."""

import copy
import random

from hypothesis import given, settings
from hypothesis import strategies as st

from merging.methods import METHODS, Fused
from merging.recipes.expression import parse_expression
from merging.recipes.recipe import make_recipe
from merging.recipes.stored import read_recipe
from storage.digests import parse_json
from storage.errors import IntegrityFailure, UsageError

laws = settings(max_examples=150, deadline=None, derandomize=True, database=None)
digests = st.integers(0, 50).map(lambda number: f"blake3:{number:064x}")
weights = st.floats(-1e30, 1e30) | st.floats(-2, 2) | st.integers(-5, 5)

VALUES = {
    "lambda": st.floats(-1e30, 1e30),
    "density": st.floats(0.001, 1),
    "drop_rate": st.floats(0, 0.999),
    "seed": st.integers(0, (1 << 53) - 1),
    "trim": st.sampled_from(["model", "tensor"]),
    "divisor": st.sampled_from(["count", "weights"]),
    "normalize": st.just(False),
    "q": st.floats(0.001, 1),
    "select": st.floats(0.001, 1),
    "gamma": st.floats(0, 0.999),
    "epsilon": st.floats(0, 0.001),
    "alpha": st.floats(0, 1),
    "floor": st.floats(1e-30, 1),
    "t": st.floats(1e-30, 1),
    "max_iter": st.integers(1, 10_000),
    "tol": st.floats(0, 1),
}
SCALES = {"fisher": st.sampled_from(["none", "norm"]), "passthrough": st.floats(-1e30, 1e30)}


@st.composite
def requests(draw):
    """The arguments of make_recipe: any method, with any of its parameters."""
    method = draw(st.sampled_from(sorted(METHODS)))
    row = METHODS[method]
    names = [parameter.name for parameter in row.parameters]
    chosen = (draw(st.sets(st.sampled_from(names))) if names else set()) | {"normalize"} & set(names)
    values = VALUES | ({"scale": SCALES[method]} if method in SCALES else {})
    if method.startswith("della"):
        values["drop_rate"] = st.floats(0.4, 0.6)
    weight = weights if isinstance(row.how, Fused) else st.floats(0.1, 2)  # some divide by their sum
    weight = weight if row.weighted else st.just(1.0)
    return {
        "method": method,
        "base": draw(st.integers(100, 150).map(lambda number: f"blake3:{number:064x}")),
        "skills": draw(st.dictionaries(digests, weight, min_size=row.skills[0], max_size=row.skills[1] or 5)),
        "parameters": {name: draw(values[name]) for name in sorted(chosen)},
        "head": draw(st.none() | digests),
        "dtype": draw(st.sampled_from([None, "F32", "F16", "BF16"])),
        "files": draw(st.none() | digests),
    }


def shuffled(mapping, seed):
    items = list(mapping.items())
    random.Random(seed).shuffle(items)
    return dict(items)


@laws
@given(requests(), st.integers())
def test_order_of_writing_does_not_matter(request_, seed):
    recipe = make_recipe(**request_)
    other = {**request_, **{key: shuffled(request_[key], seed) for key in ("skills", "parameters")}}
    again = make_recipe(**other)
    assert again.digest == recipe.digest
    assert again.terms == recipe.terms


@laws
@given(requests())
def test_a_recipe_survives_its_json(request_):
    recipe = make_recipe(**request_)
    again = read_recipe(parse_json(recipe.canonical))
    assert (again, again.digest) == (recipe, recipe.digest)


@laws
@given(requests())
def test_making_a_recipe_from_a_recipe_changes_nothing(request_):
    recipe = make_recipe(**request_)
    whole = {"drop_rate", "seed"} & set(recipe.parameters) or "unsparsified" in METHODS[recipe.method].needs
    sparse = frozenset() if whole else frozenset(request_["skills"])
    again = make_recipe(
        recipe.method,
        recipe.base,
        {term.skill: term.weight for term in recipe.terms},
        recipe.parameters,
        stored_sparse=sparse,
        head=recipe.head,
        dtype=recipe.dtype,
        files=recipe.files,
    )
    assert again.digest == recipe.digest


@laws
@given(requests(), requests())
def test_different_recipes_have_different_digests(one, other):
    a, b = make_recipe(**one), make_recipe(**other)
    assert (a == b) == (a.digest == b.digest)


junk = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 60), 1 << 60) | st.floats() | st.text(max_size=4) | digests,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=3,
)


@laws
@given(requests(), st.randoms(use_true_random=False), junk)
def test_a_changed_document_is_refused_or_is_another_recipe(request_, chooser, value):
    document = make_recipe(**request_).to_dict()
    changed = copy.deepcopy(document)
    parent = chooser.choice([changed, changed["parameters"], *changed["terms"]])
    parent[chooser.choice(sorted(parent) or ["new"])] = value
    try:
        recipe = read_recipe(changed)
    except IntegrityFailure:
        return
    assert recipe.to_dict() == changed


@laws
@given(st.dictionaries(st.sampled_from(["lambda", "seed", "drop_rate", "divisor", "x"]), junk, max_size=3))
def test_any_parameters_are_checked_or_refused_as_usage(parameters):
    try:
        recipe = make_recipe("dare_ties", f"blake3:{0:064x}", {f"blake3:{1:064x}": 1.0}, parameters)
    except UsageError:
        return
    assert read_recipe(parse_json(recipe.canonical)).digest == recipe.digest


@laws
@given(st.lists(st.tuples(st.sampled_from("abcd"), st.decimals(-9, 9, places=3)), min_size=1, max_size=4))
def test_an_expression_and_its_terms_in_another_order_are_one_recipe(terms):
    terms = list(dict(terms).items())
    found = set()
    for order in (terms, terms[::-1]):
        text = "base" + "".join(f" {'-' if weight < 0 else '+'} {abs(weight)}*{skill}" for skill, weight in order)
        named = {f"blake3:{ord(term.reference):064x}": term.weight for term in parse_expression(text).terms}
        found.add(make_recipe("task_arithmetic", f"blake3:{0:064x}", named, {}).digest)
    assert len(found) == 1
