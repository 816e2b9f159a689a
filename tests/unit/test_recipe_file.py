"""Recipe files: the same power as expressions, and errors that name the file and what is wrong in it."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from merging.recipes.expression import parse_expression
from merging.recipes.recipe_file import read_document, read_file
from storage.errors import UsageError

WHOLE = """
base: llama
method: ties
skills:
  - skill: math@prod
    weight: [0, 0.5, 1]
    parameters: {density: 0.3, gamma: [{filter: mlp, value: 1e-3}, {value: 0}]}
  - {skill: code, weight: -0.25}
  - skill: science
    weight: [{filter: self_attn, value: 0.3}, {value: 0.5}]
    base: pretrained
  - plain
parameters: {lambda: 0.9, trim: tensor, normalize: true}
head: math
dtype: BF16
"""


def test_everything_that_a_file_can_say(tmp_path):
    path = tmp_path / "recipe.yml"
    path.write_text(WHOLE)
    said = read_file(path)
    assert said.expression == (
        "llama + [0, 0.5, 1]*math@prod{density: 0.3, gamma: {mlp: 0.001, *: 0}} - 0.25*code"
        " + {self_attn: 0.3, *: 0.5}*(science - pretrained) + 1*plain"
    )
    assert (said.method, said.head, said.dtype) == ("ties", "math", "BF16")
    assert said.parameters == {"lambda": 0.9, "trim": "tensor", "normalize": True}
    terms = parse_expression(said.expression).terms
    assert terms[0].parameters["gamma"] == [{"filter": "mlp", "value": 0.001}, {"value": 0}]
    assert [term.reference for term in terms] == ["math@prod", "code", "science", "pretrained", "plain"]


def test_json_and_an_expression(tmp_path):
    path = tmp_path / "recipe.json"
    path.write_text(json.dumps({"expression": "llama + 0.6*math", "method": "linear"}))
    assert (read_file(path).expression, read_file(path).method) == ("llama + 0.6*math", "linear")


@pytest.mark.parametrize(
    ("text", "says", "hint"),
    [
        ("base: a\nskils: [b]", "unknown key 'skils'", "did you mean 'skills'"),
        ("base: a\nskills: [{skil: b}]", r"skills\[0\]: unknown key 'skil'", "did you mean 'skill'"),
        ("base: a\nskills: [{weight: 1}]", r"skills\[0\] names no skill", "for example"),
        ("base: a\nskills: []", "a list of at least one", "skills:"),
        ("base: a\nskills: b", "a list of at least one", "skills:"),
        ("base: a", "base and skills, or an expression", "for example"),
        ("base: a\nskills: [b]\nexpression: a + b", "twice: expression, and base and skills", "keep"),
        ("[1, 2]", "must be a table", None),
        ("", "is empty", "expression"),
        ("base: a\nskills: [{skill: b, weight: .nan}]", "weight nan is not a finite number", None),
        ("a: [", "line 1, column 5: neither YAML nor JSON", None),
        ("base: 3\nskills: [b]", "base must be a name", None),
        ("base: a\nskills: [{skill: b, weight: heavy}]", "weight 'heavy' is not a number", None),
        ("base: a\nskills: [{skill: b, weight: {c: 1}}]", "neither a number nor a word", None),
        ("base: a\nskills: [{skill: b, weight: [{filter: c, value: 1}]}]", "no filter fits", "end with"),
        ("base: a\nskills: [b]\nparameters: 3", "parameters must be a table", None),
        ("base: a\nskills: [b]\nmethod: [ties]", "method must be a name", None),
        ("base: a\nbase: b\nskills: [b]", "the key 'base' stands twice", None),
        ("base: {", "neither YAML nor JSON", None),
        ("base: !!python/object:os.system a\nskills: [b]", "neither YAML nor JSON", None),
    ],
)
def test_what_is_wrong_is_named(tmp_path, text, says, hint):
    path = tmp_path / "recipe.yml"
    path.write_text(text)
    with pytest.raises(UsageError, match=says) as caught:
        read_file(path)
    assert str(path) in caught.value.message
    assert hint is None or hint in caught.value.hint


def test_a_file_that_is_not_there_or_no_text(tmp_path):
    with pytest.raises(UsageError, match="cannot read"):
        read_file(tmp_path / "none.yml")
    with pytest.raises(UsageError, match="cannot read"):
        read_file(tmp_path)
    (tmp_path / "bytes.yml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="neither YAML nor JSON"):
        read_file(tmp_path / "bytes.yml")


numbers = st.floats(-5, 5).map(lambda value: value + 0.0)
weights = numbers | st.lists(numbers, min_size=2, max_size=3, unique=True)
skills = st.fixed_dictionaries({"skill": st.sampled_from(["a", "b-c", "d/e@prod"]), "weight": weights})


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(st.lists(skills, min_size=1, max_size=4))
def test_a_file_means_what_it_says_whatever_the_weights(given_skills):
    terms = parse_expression(read_document({"base": "x", "skills": given_skills}, "here").expression).terms
    assert [(term.reference, term.weight) for term in terms] == [
        (each["skill"], each["weight"]) for each in given_skills
    ]
