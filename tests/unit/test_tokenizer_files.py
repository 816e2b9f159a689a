"""Tokenizers as files: which tokens they know, what is refused of them, and the same files with more tokens."""

import json

import pytest

from storage.checkpoints.tokenizer import (
    AddedToken,
    check_consecutive,
    own_tokens,
    read_tokenizer,
    templates_of,
    with_templates,
    with_tokens,
)
from storage.errors import InputRefused

PLAIN = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": True, "special": False}
SPECIAL = PLAIN | {"special": True, "normalized": False}


def packed(**files):
    return {name.replace("__", "."): json.dumps(value).encode() for name, value in files.items()}


def fast(*added, vocab=None, merges=None, kind="BPE"):
    """tokenizer.json with three tokens of its own, and others added."""
    model = {"type": kind, "vocab": {"a": 0, "b": 1, "ab": 2} if vocab is None else vocab, "merges": merges or ["a b"]}
    tokens = [{"id": number, "content": text, **SPECIAL} for number, text in added]
    return packed(tokenizer__json={"version": "1.0", "added_tokens": tokens, "model": model})


def slow(*added, pieces=b"pieces"):
    """A sentencepiece model, with tokens added beside it."""
    return {"tokenizer.model": pieces} | packed(added_tokens__json={text: number for number, text in added})


def read(files):
    found = read_tokenizer(files, "here")
    assert found is not None
    return found


def own(base, other):
    return [(token.id, token.text) for token in own_tokens(read(base), read(other), "here")]


def test_no_tokenizer():
    assert read_tokenizer({}, "here") is None
    assert read_tokenizer(packed(tokenizer_config__json={"chat_template": "x"}), "here") is None


def test_tokens_of_a_fast_tokenizer():
    assert own(fast((3, "<s>")), fast((3, "<s>"), (5, "<y>"), (4, "<x>"))) == [(4, "<x>"), (5, "<y>")]
    token = own_tokens(read(fast()), read(fast((3, "<x>"))), "here")[0]
    assert token == AddedToken("<x>", 3, SPECIAL)
    assert own(fast(), fast()) == []


def test_a_token_of_the_vocabulary_that_was_made_special_is_none_of_its_own():
    assert own(fast(), fast((2, "ab"))) == []


def test_merges_are_the_same_however_they_are_spelled():
    assert own(fast(merges=["a b"]), fast((3, "<x>"), merges=[["a", "b"]])) == [(3, "<x>")]


def test_pieces_with_scores():
    unigram = {"vocab": [["a", 0.0], ["b", -1.5]], "kind": "Unigram"}
    assert own(fast(**unigram), fast((2, "<x>"), **unigram)) == [(2, "<x>")]
    other = {"vocab": [["a", 0.0], ["b", -1.5], ["<x>", 0.0]], "kind": "Unigram"}
    with pytest.raises(InputRefused, match="own vocabulary is not the base's"):
        own(fast(**unigram), fast(**other))


def test_tokens_beside_a_sentencepiece_model():
    assert own(slow(), slow((9, "<y>"), (8, "<x>"))) == [(8, "<x>"), (9, "<y>")]
    told = packed(tokenizer_config__json={"added_tokens_decoder": {"8": {"content": "<x>", "special": True}}})
    (token,) = own_tokens(read(slow()), read(slow() | told), "here")
    assert (token.id, token.text, token.flags["special"]) == (8, "<x>", True)
    with pytest.raises(InputRefused, match="own vocabulary is not the base's"):
        own(slow(), slow((8, "<x>"), pieces=b"pieces with <x> in them"))


def test_a_vocabulary_that_is_a_text():
    with pytest.raises(InputRefused, match="is not one of the tokenizers library"):
        read(fast(vocab="abc"))


def test_one_fast_and_one_slow():
    with pytest.raises(InputRefused, match=r"one of the base's tokenizer and its own has a tokenizer\.json"):
        own(slow(), fast((3, "<x>")))


@pytest.mark.parametrize(
    ("base", "other", "words"),
    [
        (fast((3, "<s>")), fast((4, "<s>")), "have other ids in its tokenizer, or none: '<s>'"),
        (fast((3, "<s>")), fast(), "or none: '<s>'"),
        (fast((3, "<s>")), fast((3, "<x>")), "or none: '<s>'"),
        (fast(), fast((1, "<x>")), "or none: 'b'"),
        (slow((8, "<s>")), slow((8, "<x>")), "or none: '<s>'"),
        (fast(), fast((3, "<x>"), vocab={"a": 0, "b": 1, "ba": 2}), "own vocabulary is not the base's"),
        (fast(), fast((3, "<x>"), merges=["b a"]), "own vocabulary is not the base's"),
    ],
)
def test_a_tokenizer_that_is_not_the_bases_with_more(base, other, words):
    with pytest.raises(InputRefused, match=words) as caught:
        own(base, other)
    assert caught.value.hint


@pytest.mark.parametrize(
    "files",
    [
        {"tokenizer.json": b"{"},
        {"tokenizer.json": b"[]"},
        {"tokenizer.json": b"\xff"},
        packed(tokenizer__json={"added_tokens": []}),
        packed(tokenizer__json={"model": {"vocab": 3}}),
        packed(tokenizer__json={"model": {"vocab": [3]}}),
        packed(tokenizer__json={"model": {"vocab": {}, "merges": 3}}),
        packed(tokenizer__json={"model": {"vocab": {}}, "added_tokens": [{"content": "x"}]}),
        packed(tokenizer__json={"model": {"vocab": {}}, "added_tokens": [{"content": "x", "id": -1}]}),
        packed(tokenizer__json={"model": {"vocab": {}}, "added_tokens": [{"content": "x", "id": True}]}),
        packed(tokenizer__json={"model": {"vocab": {}}, "added_tokens": [{"content": 1, "id": 1}]}),
        {"tokenizer.model": b""} | packed(added_tokens__json={"x": "one"}),
        {"tokenizer.model": b""} | packed(tokenizer_config__json={"added_tokens_decoder": {"one": {"content": "x"}}}),
        {"tokenizer.model": b""} | packed(tokenizer_config__json={"added_tokens_decoder": [1]}),
    ],
)
def test_files_that_say_nothing_sound(files):
    with pytest.raises(InputRefused, match="here"):
        read_tokenizer(files, "here")


def test_ids_go_on_without_holes():
    base = read(fast((3, "<s>")))
    check_consecutive(base, [])
    check_consecutive(base, [4, 5])
    check_consecutive(read(slow()), [40, 70])
    for ids in ([5, 6], [4, 6], [3]):
        with pytest.raises(InputRefused, match="counts on from 4"):
            check_consecutive(base, ids)


def test_tokens_are_written_wherever_tokens_stand():
    files = fast((3, "<s>")) | packed(
        tokenizer_config__json={
            "added_tokens_decoder": {"3": {"content": "<s>"}},
            "additional_special_tokens": ["<s>"],
        },
        special_tokens_map__json={"additional_special_tokens": ["<s>"], "bos_token": "<s>"},
        added_tokens__json={"<s>": 3},
    )
    more = [AddedToken("<x>", 4, SPECIAL), AddedToken("y", 5, PLAIN)]
    changed = {name: json.loads(data) for name, data in with_tokens(files, more, "here").items()}
    assert changed["tokenizer.json"]["added_tokens"][1:] == [
        {"id": 4, "content": "<x>", **SPECIAL},
        {"id": 5, "content": "y", **PLAIN},
    ]
    assert changed["tokenizer.json"]["model"] == json.loads(files["tokenizer.json"])["model"]
    assert changed["added_tokens.json"] == {"<s>": 3, "<x>": 4, "y": 5}
    assert set(changed["tokenizer_config.json"]["added_tokens_decoder"]) == {"3", "4", "5"}
    assert changed["tokenizer_config.json"]["additional_special_tokens"] == ["<s>", "<x>"]
    assert changed["special_tokens_map.json"]["additional_special_tokens"] == ["<s>", "<x>"]
    assert changed["special_tokens_map.json"]["bos_token"] == "<s>"
    again = {**files, **{name: json.dumps(value).encode() for name, value in changed.items()}}
    assert own(files, again) == [(4, "<x>"), (5, "y")]


def test_tokens_of_a_slow_tokenizer_are_written_beside_it():
    changed = with_tokens({"tokenizer.model": b"pieces"}, [AddedToken("<x>", 8, SPECIAL)], "here")
    assert changed.keys() == {"added_tokens.json", "tokenizer_config.json"}
    assert own(slow(), slow() | changed) == [(8, "<x>")]
    assert read(slow() | changed).added["<x>"].flags == SPECIAL


def test_chat_templates_wherever_they_stand():
    inside = packed(tokenizer_config__json={"chat_template": "inside", "x": 1})
    several = packed(
        tokenizer_config__json={
            "chat_template": [{"name": "default", "template": "one"}, {"name": "rag", "template": "two"}]
        }
    )
    beside = {"chat_template.jinja": b"beside", "additional_chat_templates/tools.jinja": b"tools"}
    assert templates_of({}, "here") == {}
    assert templates_of(inside, "here") == {"default": "inside"}
    assert templates_of(several, "here") == {"default": "one", "rag": "two"}
    assert templates_of(packed(chat_template__json={"chat_template": "old"}), "here") == {"default": "old"}
    assert templates_of(inside | beside, "here") == {"default": "beside", "tools": "tools"}
    for broken in ({"chat_template": [1]}, {"chat_template": [{"name": "x"}]}):
        with pytest.raises(InputRefused, match="chat_template cannot be read"):
            templates_of(packed(tokenizer_config__json=broken), "here")
    with pytest.raises(InputRefused, match="not UTF-8"):
        templates_of({"chat_template.jinja": b"\xff"}, "here")


def test_a_chosen_template_stands_alone():
    files = packed(
        tokenizer_config__json={"chat_template": "inside", "x": 1}, chat_template__json={"chat_template": "old"}
    )
    files |= {"additional_chat_templates/tools.jinja": b"tools", "tokenizer.json": b"{}"}
    changed, gone = with_templates(files, {"default": "new", "rag": "more"}, "here")
    assert gone == {"chat_template.json", "additional_chat_templates/tools.jinja"}
    assert json.loads(changed["tokenizer_config.json"]) == {"x": 1}
    left = {name: data for name, data in (files | changed).items() if name not in gone}
    assert templates_of(left, "here") == {"default": "new", "rag": "more"}
    assert with_templates(fast(), {}, "here") == ({}, set())
    for name in ("../x", ".hidden", "", "a\nb"):
        with pytest.raises(InputRefused, match="cannot be that of a file"):
            with_templates(files, {name: "x"}, "here")
