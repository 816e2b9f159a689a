"""Spans of rows, alignments as a recipe keeps them, and the rows themselves against a loop over tokens."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from merging.mergekit.aligning import aligned
from merging.mergekit.alignment import Alignment, TokenRule, is_sound, read_alignment, spans
from storage.errors import InputRefused

rows_of_a_model = st.lists(st.integers(-1, 6), min_size=1, max_size=9)


@given(rows_of_a_model)
def test_spans_are_the_rows_and_no_two_of_them_could_be_one(rows):
    made = Alignment(len(rows), {"a": spans(rows)})
    assert made.own("a") == rows
    assert is_sound(made, ["a"])
    assert read_alignment(made.to_dict()) == made
    assert len(made.rows["a"]) <= sum(row >= 0 for row in rows)


RULE = TokenRule("x", 1, "a", 3, True)
WHOLE = Alignment(4, {"a": ((0, 0, 4),), "b": ((0, 0, 2), (3, 2, 1))}, (RULE,), "a")


@pytest.mark.parametrize(
    "change",
    [
        {"tokens": 3},
        {"tokens": 4.0},
        {"prefer": "c"},
        {"rows": {"a": ((0, 0, 4),), "c": ()}},
        {"rows": {"a": ((0, 0, 2), (2, 2, 2))}},
        {"rows": {"a": ((1, 0, 2), (0, 2, 1))}},
        {"rows": {"a": ((0, -1, 2),)}},
        {"rows": {"a": ((0, 0, 0),)}},
        {"rules": (RULE, RULE)},
        {"rules": (replace(RULE, id=4),)},
        {"rules": (replace(RULE, model="c"),)},
        {"rules": (replace(RULE, model=None),)},
        {"rules": (replace(RULE, row=True),)},
        {"rules": (replace(RULE, force=1),)},
    ],
)
def test_what_no_merge_could_say_is_not_sound(change):
    assert is_sound(WHOLE, ["a", "b"])
    assert not is_sound(replace(WHOLE, **change), ["a", "b"])


@given(st.data(), st.integers(1, 3), st.sampled_from([torch.float32, torch.bfloat16]))
def test_rows_are_those_that_are_told(data, models, dtype):
    tokens = data.draw(st.integers(1, 6))
    names = [f"m{number}" for number in range(models)]
    maps = {name: data.draw(st.lists(st.integers(-1, 4), min_size=tokens, max_size=tokens)) for name in names}
    chosen = data.draw(st.lists(st.integers(0, tokens - 1), unique=True, max_size=3))
    rules = tuple(
        TokenRule(str(token), token, *data.draw(st.sampled_from([(None, 0), ("m0", 2)])), data.draw(st.booleans()))
        for token in sorted(chosen)
    )
    prefer = data.draw(st.sampled_from([None, *names]))
    alignment = Alignment(tokens, {name: spans(rows) for name, rows in maps.items()}, rules, prefer)
    generator = torch.Generator().manual_seed(models)
    tensors = {name: torch.randn(5, 3, generator=generator).to(dtype) for name in names}
    found = aligned(tensors, alignment, tokens + 2)
    for name in names:
        for token in range(tokens):
            assert torch.equal(found[name][token], _row(tensors, maps, alignment, name, token)), (name, token)
        assert torch.equal(found[name][tokens:], found[name][:tokens].mean(0).expand(2, 3))


def _row(tensors, maps, alignment, name, token):
    rule = {rule.id: rule for rule in alignment.rules}.get(token)
    if maps[name][token] >= 0 and not (rule and rule.force):
        return tensors[name][maps[name][token]]
    if rule:
        return tensors[rule.model][rule.row] if rule.model else torch.zeros(3, dtype=tensors[name].dtype)
    having = [other for other in tensors if maps[other][token] >= 0]
    if len(having) > 1 and alignment.prefer in having:
        having = [alignment.prefer]
    rows = [tensors[other][maps[other][token]] for other in having]
    if len(rows) <= 1:
        return rows[0] if rows else torch.zeros(3, dtype=tensors[name].dtype)
    total = torch.zeros(3, dtype=rows[0].dtype)
    for row in rows:
        total = total + row
    return total / len(rows)


def test_a_rule_for_a_model_that_is_not_merged_here_is_refused_where_it_counts():
    tensors = {"b": torch.ones(3, 2)}
    with pytest.raises(InputRefused, match="'x' is to have a row of a"):
        aligned(tensors, WHOLE, 4)
    kept = replace(WHOLE, rules=(replace(RULE, force=False, id=0),))
    assert aligned(tensors, kept, 4)["b"].tolist() == [[1, 1], [1, 1], [0, 0], [1, 1]]
