"""Licence expressions: read, spelled in one way, combined and satisfied; names of the Hub; what model cards declare."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mergestore import UsageError
from registry.licences.combined import combined, hub_metadata
from registry.licences.hub_names import _AS_SPDX, _LISTED, _OWN, hub_name
from registry.licences.spdx import AND, OR, Compound, Expression, combine, known_ids, parse, satisfied, understood
from registry.registering.declaration import stated_licence


@pytest.mark.parametrize(
    ("text", "spelled"),
    [
        ("apache-2.0", "Apache-2.0"),
        ("mit OR apache-2.0", "Apache-2.0 OR MIT"),
        ("MIT and (mit)", "MIT"),
        ("GPL-2.0+", "GPL-2.0-or-later"),
        ("GPL-3.0", "GPL-3.0-only"),
        ("Apache-2.0+", "Apache-2.0+"),
        ("gpl-2.0-only with classpath-exception-2.0", "GPL-2.0-only WITH Classpath-exception-2.0"),
        ("MIT AND ISC OR Zlib", "ISC AND MIT OR Zlib"),
        ("MIT AND (ISC OR Zlib)", "(ISC OR Zlib) AND MIT"),
        ("licenseref-Mine", "LicenseRef-Mine"),
        ("DOCUMENTREF-a:licenseref-b", "DocumentRef-a:LicenseRef-b"),
        ("LicenseRef-scancode-proprietary-license", "LicenseRef-scancode-proprietary-license"),
        ("llama3.1", "LicenseRef-llama3.1"),
        ("Gemma", "LicenseRef-gemma"),
        ("openrail++", "LicenseRef-openrail-plus-plus"),
        ("odc-by", "ODC-By-1.0"),
        ("cc-by-nc-4.0", "CC-BY-NC-4.0"),
        ("other", "LicenseRef-other"),
        ("gpl", "LicenseRef-gpl"),
    ],
)
def test_expressions_are_spelled_in_one_way(text: str, spelled: str) -> None:
    assert str(parse(text)) == spelled
    assert str(parse(spelled)) == spelled


@pytest.mark.parametrize(
    ("text", "position", "said"),
    [
        ("", 0, "a licence is missing"),
        ("MIT AND", 7, "a licence is missing"),
        ("AND MIT", 0, "a licence is missing"),
        ("(MIT", 4, "not closed"),
        ("MIT)", 3, "none opened"),
        ("MIT ISC", 4, "AND, OR or WITH is missing"),
        ("MIT OR Apach-2.0", 7, "'Apach-2.0' is no licence"),
        ("MIT WITH ISC", 9, "'ISC' is no exception"),
        ("Classpath-exception-2.0", 0, "is no licence"),
        ("MIT WITH", 8, "an exception is missing"),
        ("NOASSERTION", 0, "states no licence"),
        ("see the file LICENSE", 0, "'see' is no licence"),
        ("(" * 21 + "MIT" + ")" * 21, 20, "more than 20 parentheses"),
    ],
)
def test_what_is_malformed_is_pointed_at(text: str, position: int, said: str) -> None:
    with pytest.raises(UsageError, match=said) as refused:
        parse(text)
    assert refused.value.details["position"] == position
    lines = refused.value.message.splitlines()
    assert lines[-1].index("^") == position + 2
    assert lines[-2] == f"  {text}"


def test_a_near_miss_is_told_what_was_meant() -> None:
    with pytest.raises(UsageError) as refused:
        parse("apach-2.0")
    assert refused.value.hint is not None
    assert refused.value.hint.startswith("did you mean Apache-2.0")
    assert "LicenseRef-apach-2.0" in refused.value.hint


def test_long_texts_are_refused_and_still_understood() -> None:
    with pytest.raises(UsageError, match="is none"):
        parse("MIT OR " * 1000 + "MIT")
    assert len(str(understood("x" * 100_000))) < 200


LICENCES = ("MIT", "ISC", "Zlib", "Apache-2.0", "GPL-2.0-only WITH Classpath-exception-2.0")
expressions = st.recursive(
    st.sampled_from(LICENCES),
    lambda inner: st.tuples(st.sampled_from([AND, OR]), st.lists(inner, min_size=2, max_size=3)),
    max_leaves=8,
)
Tree = str | tuple[str, list]  # type: ignore[type-arg]


def written(tree: Tree) -> str:
    """With every parenthesis, whether it is needed or not."""
    return tree if isinstance(tree, str) else "(" + f" {tree[0].lower()} ".join(map(written, tree[1])) + ")"


def holds(tree: Tree, accepted: set[str]) -> bool:
    """The plain meaning, without any of the code under test."""
    if isinstance(tree, str):
        return tree in accepted
    return (all if tree[0] == AND else any)([holds(part, accepted) for part in tree[1]])


@given(expressions)
def test_an_expression_means_what_its_truth_table_says(tree: Tree) -> None:
    for text in (written(tree), str(parse(written(tree)))):
        read = parse(text)
        for count in range(len(LICENCES) + 1):
            for accepted in itertools.combinations(LICENCES, count):
                assert satisfied(read, lambda item, own=accepted: item in own) == holds(tree, set(accepted))


@given(st.lists(expressions, min_size=1, max_size=4), st.randoms())
def test_combining_is_and_and_knows_no_order(trees: list[Tree], chance) -> None:  # type: ignore[no-untyped-def]
    read = [parse(written(tree)) for tree in trees]
    whole = combine(AND, read)
    shuffled = list(read)
    chance.shuffle(shuffled)
    assert str(combine(AND, [combine(AND, shuffled), *shuffled])) == str(whole)
    for accepted in itertools.combinations(LICENCES, 3):
        each = all(holds(tree, set(accepted)) for tree in trees)
        assert satisfied(whole, lambda item, own=accepted: item in own) == each


def _is_flat(expression: Expression) -> bool:
    if isinstance(expression, str):
        return True
    inner = [part for part in expression.parts if isinstance(part, Compound)]
    return all(part.operator != expression.operator and _is_flat(part) for part in inner)


@given(expressions)
def test_spelling_is_flat_and_says_nothing_twice(tree: Tree) -> None:
    read = parse(written(tree))
    assert _is_flat(read)
    assert parse(str(read)) == read


@given(st.text())
def test_whatever_was_recorded_is_understood(text: str) -> None:
    spelled = str(understood(text))
    assert str(understood(spelled)) == spelled


def test_names_of_the_hub_go_there_and_back() -> None:
    assert all(name in known_ids() for name in _AS_SPDX)
    for name in (*_AS_SPDX, *_OWN, *_LISTED):
        assert hub_name(str(parse(name))) == (None if name == "other" else name)
    assert hub_name("GPL-3.0-or-later") is None


@pytest.mark.parametrize(
    ("card", "licence"),
    [
        ({}, None),
        ({"license": "mit"}, "MIT"),
        ({"licence": "MIT"}, "MIT"),
        ({"license": "llama3.1"}, "LicenseRef-llama3.1"),
        ({"license": "other"}, "LicenseRef-other"),
        ({"license": "other", "license_name": "my terms v2!"}, "LicenseRef-my-terms-v2"),
        ({"license": "other", "license_name": "GPL-3.0-only AND MIT"}, "GPL-3.0-only AND MIT"),
        ({"license": ["mit", "apache-2.0"]}, "Apache-2.0 AND MIT"),
        ({"license": "in-house"}, "LicenseRef-in-house"),
    ],
)
def test_what_a_model_card_declares(card: dict[str, object], licence: str | None) -> None:
    assert stated_licence(None, {"card": card} if card else {}) == (licence, [])
    assert stated_licence("ISC", {"card": card}) == ("ISC", [])


@pytest.mark.parametrize("declared", ["unknown", "see the file", "MIT AND", ["mit", "a b"]])
def test_what_a_model_card_says_of_nothing_is_left_out_with_a_note(declared: object) -> None:
    licence, notes = stated_licence(None, {"card": {"license": declared}})
    assert licence is None
    assert len(notes) == 1
    assert "model card" in notes[0]


def test_the_combined_licences_of_a_graph() -> None:
    nodes = [
        {"id": "llama@1", "kind": "base", "licence": "llama3.1"},
        {"id": "math@1", "kind": "skill", "licence": "MIT OR Apache-2.0"},
        {"id": "old@1", "kind": "skill", "licence": None},
        {"id": "inner@1", "kind": "merge", "licence": None},
        {"id": "both@1", "kind": "skill", "licence": "mit"},
        {"id": "elsewhere@1", "kind": "skill", "licence": "ISC"},
    ]
    edges = [("inner@1", "llama@1"), ("inner@1", "math@1"), ("inner@1", "old@1"), ("both@1", "inner@1")]
    edges += [("math@1", "llama@1"), ("both@1", "llama@1")]
    graph = {"nodes": nodes, "edges": [{"child": a, "parent": b, "role": "skill"} for a, b in edges]}
    told = combined(graph, ["both@1"])
    assert told["expression"] == "(Apache-2.0 OR MIT) AND LicenseRef-llama3.1 AND MIT AND NOASSERTION"
    assert told["stated"] == {
        "Apache-2.0 OR MIT": ["math@1"], "LicenseRef-llama3.1": ["llama@1"], "MIT": ["both@1"],
    }  # fmt: skip
    assert told["unknown"] == ["old@1"]
    assert told["paths"]["math@1"] == "both@1 → inner@1 → skill math@1"
    assert told["paths"]["llama@1"] == "both@1 → base llama@1"
    assert "legal advice" in told["note"]
    assert hub_metadata(told) == {}, "one licence is not known, so the whole's is not"
    assert hub_metadata(combined(graph, ["llama@1"])) == {"license": "llama3.1"}
    assert hub_metadata(combined(graph, ["math@1"]))["license_name"].startswith("(Apache-2.0 OR MIT) AND")
    assert combined(graph, [])["expression"] is None
