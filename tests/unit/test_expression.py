"""Merge expressions: what is accepted, and errors that point at the character."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from merging.recipes.expression import parse_expression
from storage.errors import UsageError


def parsed(text):
    expression = parse_expression(text)
    return expression.base, [(term.reference, term.weight) for term in expression.terms]


@pytest.mark.parametrize(
    ("text", "base", "terms"),
    [
        ("llama + math", "llama", [("math", 1.0)]),
        ("llama + 0.6*math", "llama", [("math", 0.6)]),
        (
            "llama + 0.6*math + 0.4*code@prod - 0.2*toxic",
            "llama",
            [("math", 0.6), ("code@prod", 0.4), ("toxic", -0.2)],
        ),
        ("llama@2 - toxic@3", "llama@2", [("toxic@3", -1.0)]),
        ("meta/llama-3.1 + .5*team/math-v2@latest", "meta/llama-3.1", [("team/math-v2@latest", 0.5)]),
        ("a-b.c_d + 1.*e-f", "a-b.c_d", [("e-f", 1.0)]),
        ("llama + 6e-1*math - 2E+0*code", "llama", [("math", 0.6), ("code", -2.0)]),
        ("llama + 0.6 * math", "llama", [("math", 0.6)]),
        ("  llama  +\t0.6*math \n", "llama", [("math", 0.6)]),
        ("7b + 2*7b-math + 0*3d", "7b", [("7b-math", 2.0), ("3d", 0.0)]),
        ("2024 + 0.5*2025", "2024", [("2025", 0.5)]),
        ("llama + math + math", "llama", [("math", 1.0), ("math", 1.0)]),
        ("1e5 + 1e5", "1e5", [("1e5", 1.0)]),
    ],
)
def test_accepted(text, base, terms):
    assert parsed(text) == (base, terms)


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("general + 0.4*(math - pretrained)", [("math", 0.4, 1.0), ("pretrained", -0.4, -1.0)]),
        ("general - (math - pretrained)", [("math", -1.0, 1.0), ("pretrained", 1.0, -1.0)]),
        ("a + 0.5*(b + 0.5*(c - d))", [("b", 0.5, 1.0), ("c", 0.25, 0.5), ("d", -0.25, -0.5)]),
        ("a + 2*( b )", [("b", 2.0, 1.0)]),
        ("a + [0, 1]*(b - 0.5*c)", [("b", [0.0, 1.0], 1.0), ("c", [0.0, -0.5], -0.5)]),
    ],
)
def test_parentheses_multiply_out(text, terms):
    found = parse_expression(text).terms
    assert [(term.reference, term.weight, term.factor) for term in found] == terms
    assert {term.group for term in found} == {text.index("(")}


def test_weights_by_depth_and_by_name_and_parameters_of_one_skill():
    text = 'a - [0, .5, 1]*b{density: 0.3, gamma: [0, 0.1]} + {self_attn: 0.3, "x,y": [0, 1], *: 0.5}*c'
    one, other = parse_expression(text).terms
    assert one.weight == [0.0, -0.5, -1.0]
    assert one.parameters == {"density": 0.3, "gamma": [0, 0.1]}
    assert other.weight == [
        {"filter": "self_attn", "value": 0.3},
        {"filter": "x,y", "value": [0, 1]},
        {"value": 0.5},
    ]


def test_terms_know_where_they_stand():
    expression = parse_expression("llama + 0.6*math - code")
    assert [expression.text[term.position :][:4] for term in expression.terms] == ["0.6*", "code"]


@pytest.mark.parametrize(
    ("marked", "says"),
    [
        ("^", "expected a name, found the end"),
        ("   ^", "expected a name, found the end"),
        ("llama^", "nothing is added to 'llama'"),
        ("llama^ ", "nothing is added to 'llama'"),
        ("^0.6*llama + math", "takes no weight"),
        ("^+ llama", "expected a name, found '+'"),
        ("llama + ^", "expected a name, found the end"),
        ("llama ^+", "a skill is missing after '+'"),
        ("llama + math ^-", "a skill is missing after '-'"),
        ("llama ^math", "expected ' + ' or ' - '"),
        ("llama^+math", "'+' cannot stand in a name"),
        ("llama ^+math", "expected ' + ' or ' - '"),
        ("llama + math^+code", "'+' cannot stand in a name"),
        ("llama + ^- math", "expected a name, found '-'"),
        ("llama + ^-0.5*math", "expected a name, found '-'"),
        ("llama + 0.5*^", "expected a name, found the end"),
        ("llama + 0.5*^0.5*math", "'*' cannot stand in a name"),
        ("llama + ^*math", "expected a name, found '*'"),
        ("llama + math^*0.5", "'*' cannot stand in a name"),
        ("llama + ^(math - code", "this parenthesis is not closed"),
        ("llama + math^) - code", "')' closes nothing"),
        ("llama + (math - code)^)", "')' closes nothing"),
        ("llama + 0.5*(^)", "expected a name, found ')'"),
        ("llama + (math ^-code)", "expected ' + ' or ' - ' between spaces"),
        ("llama + ^[0, true]*math", "True is not a number"),
        ("llama + [0, 1 ^math", "expected ',', found 'm'"),
        ("llama + [0, 1]^math", "expected '*' between a weight and what it weighs"),
        ("llama + {self_attn 0.3^}*math", "expected ':', found '}'"),
        ("llama + [0, 1]*^([0, 1]*math - code)", "within another such weight"),
        ("llama + ^[0, 1e31]*math", "too large"),
        ("llama + math^{density: 0.1, density: 0.2}", "given twice"),
        ("llama + math^@", "'@' cannot stand in a name"),
        ("llama + math@1^@2", "'@' cannot stand in a name"),
        ("llama + a/b^/c", "'/' cannot stand in a name"),
        ("llama + ^.hidden", "expected a name, found '.'"),
        ("llama + ^../etc", "expected a name, found '.'"),
        ("llama + ma^ß", "'ß' cannot stand in a name"),
        ("llama + ^1e999*math", "too large"),
        ("llama + code - ^1.1e30 * math", "too large"),
        ("llama + nan^*math", "'*' cannot stand in a name"),
        ("llama + math ^0.5*code", "expected ' + ' or ' - '"),
        ("llama + 0.6^,5*math", "',' cannot stand in a name"),
    ],
)
def test_errors_point_at_the_character(marked, says):
    position, text = marked.index("^"), marked.replace("^", "", 1)
    if "0.5*^0.5*math" in marked:
        position += 3  # 0.5 reads as a name; the star behind it cannot follow
    with pytest.raises(UsageError) as caught:
        parse_expression(text)
    error = caught.value
    assert says in error.message
    assert error.details == {"expression": text, "position": position}
    assert error.message.splitlines()[-1] == " " * (2 + position) + "^"
    assert error.exit_code == 2


@pytest.mark.parametrize("text", ["llama + nan*math", "llama + inf*math", "llama + math*0.5", "llama + 2e30*math"])
def test_what_is_no_weight_is_told_what_one_is(text):
    with pytest.raises(UsageError) as caught:
        parse_expression(text)
    assert caught.value.hint.startswith(("a weight is a finite number", "weights are at most 1e+30"))


ALPHABET = st.sampled_from(list("ab1.*+-@/ e_(0\t")) | st.characters()


@settings(max_examples=500, deadline=None, derandomize=True, database=None)
@given(st.text(ALPHABET, max_size=30))
@example("a + 9999999999999999999999999999999999*b")
@example("a + " + "1" * 5000 + "*b")
@example("a" * 100_000)
@example("a + ٣*b")
@example("a + 1e-999*b")
def test_any_text_is_an_expression_or_a_usage_error(text):
    outcome = outcome_of(text)
    if isinstance(outcome, UsageError):
        assert 0 <= outcome.details["position"] <= len(text)
    else:
        assert outcome.terms
        assert all(abs(term.weight) < float("inf") for term in outcome.terms)


def outcome_of(text):
    try:
        return parse_expression(text)
    except UsageError as error:
        return error


name = st.from_regex(r"[a-z0-9][a-z0-9._-]{0,5}(/[a-z0-9][a-z.-]{0,3})?(@[a-z0-9]{1,3})?", fullmatch=True)


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(base=name, terms=st.lists(st.tuples(name, st.floats(-1e6, 1e6)), min_size=1, max_size=4))
def test_what_is_written_is_what_is_read(base, terms):
    text = base + "".join(f" {'-' if weight < 0 else '+'} {abs(weight)!r}*{skill}" for skill, weight in terms)
    assert parsed(text) == (base, [(skill, weight) for skill, weight in terms])
