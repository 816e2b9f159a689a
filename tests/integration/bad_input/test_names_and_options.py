"""Names, expressions and options that mean nothing, are taken, or mean what was withdrawn."""

from pathlib import Path

import pytest

from tests.integration.bad_input.refusal import BASE, head, skill
from tests.integration.models import LLAMA_CONFIG, QUERY, factors, fine_tune, read_model, save, save_adapter

pytestmark = pytest.mark.usefixtures("surroundings")


# Names and expressions


@pytest.mark.parametrize(
    "name", ["../up", "a/../b", "/etc/passwd", "a/b/c", "a\\b", ".hidden", "a b", "a\0b", "a\nb", ""]
)
def test_names_with_path_characters(shell, tmp_path, name):
    folder = save(tmp_path / "x", fine_tune(BASE, 1))
    for words in (
        ("register", "base", name, folder),
        ("register", "skill", name, folder, "--base", "tiny"),
        ("register", "skill", "good", folder, "--base", name),
        ("merge", name, "tiny + math"),
        ("show", name),
        ("alias", "math", name),
    ):
        found = shell.refused(2, *words)
        assert "name" in found["message"] + found["hint"] or "alias" in found["message"]


def test_an_unknown_skill_gets_near_names(shell):
    for verb in (("merge", "bad"), ("materialize",)):
        found = shell.refused(3, *verb, "tiny + 0.5*maht")
        assert "there is no skill 'maht'" in found["message"]
        assert found["message"].endswith("\n  tiny + 0.5*maht\n         ^")
        assert found["hint"] == "did you mean math?"
        assert found["near"] == ["math"]
    assert shell.refused(3, "show", "asistant")["near"] == ["assistant"]
    assert "list" in shell.refused(3, "audit", "zzz")["hint"]


def test_an_unknown_base_version_or_alias(shell, tmp_path):
    folder = save(tmp_path / "x", fine_tune(BASE, 1))
    assert skill(shell, folder, base="tinny", code=3)["near"] == ["tiny"]
    assert "is a skill" in skill(shell, folder, base="math", code=3)["message"]
    assert "only version 1" in shell.refused(3, "merge", "bad", "tiny + math@7")["hint"]
    assert "has no alias 'prod'" in shell.refused(3, "merge", "bad", "tiny + math@prod")["message"]
    assert "it is a base" in shell.refused(3, "materialize", "tiny")["message"]
    assert "no merge and no expression is named" in shell.refused(2, "materialize", " ")["message"]
    unspaced = shell.refused(2, "materialize", "tiny+math")
    assert "'+' cannot stand in a name" in unspaced["message"]
    assert unspaced["hint"] == "put spaces around + and -"


def test_a_term_twice(shell):
    for text in ("tiny + math + 0.5*math", "tiny + math - math@1"):
        found = shell.refused(2, "merge", "bad", text)
        assert "math@1 stands here twice" in found["message"]
        assert "add the weights up" in found["hint"]


def test_the_same_content_under_another_name_is_a_term_twice(alone, tmp_path):
    save(tmp_path / "x", fine_tune(BASE, 1))
    alone.json("register", "skill", "twin", tmp_path / "x", "--base", "tiny")
    found = alone.refused(2, "merge", "bad", "tiny + math + twin")
    assert "twin@1 is the same content as math@1" in found["message"]


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("tiny + + math", 7),
        ("tiny + 0.5*", 11),
        ("tiny math", 5),
        ("tiny+math", 4),
        ("tiny + 0.5 math", 11),
        ("tiny + math$", 11),
        ("0.5*tiny + math", 0),
        ("tiny + 1e999*math", 7),
        (" tiny", 5),
        ("tiny + (math - code", 7),
    ],
)
def test_an_unparsable_expression_is_pointed_at(shell, text, at):
    found = shell.refused(2, "merge", "bad", text)
    _, shown, caret = found["message"].split("\n")
    assert shown == "  " + text
    assert caret == " " * (2 + at) + "^"
    assert found["position"] == at


# Options


@pytest.mark.parametrize("rate", ["1", "1.0000001", "-0.1", "nan", "inf", "0.9999999"])
def test_a_drop_rate_outside_its_range(shell, tmp_path, rate):
    found = skill(shell, save(tmp_path / "x", fine_tune(BASE, 1)), "--drop-rate", rate, code=2)
    assert "drop rate" in found["message"]
    found = shell.refused(2, "merge", "bad", "tiny + code", "--method", "dare_linear", "--param", f"drop_rate={rate}")
    assert "drop" in found["message"]


@pytest.mark.parametrize(
    "words",
    [
        ("--method", "magic"),
        ("--param", "lamda=1"),
        ("--param", "lambda=fast"),
        ("--param", "lambda"),
        ("--method", "ties", "--param", "density=0"),
        ("--method", "linear", "--param", "normalize=maybe"),
        ("--dtype", "F64"),
        ("--dtype", "int8"),
        ("--head", "math"),
    ],
)
def test_options_that_mean_nothing(shell, words):
    found = shell.refused(2, "merge", "bad", "tiny + math", *words)
    assert found["hint"]


@pytest.mark.parametrize("words", [("backup", ""), ("materialize", "tiny + math", "-o", ""), ("repair", "--from", "")])
def test_a_path_that_is_empty_is_not_the_current_folder(shell, words):
    """As an unset variable of a script makes it."""
    found = shell.refused(2, *words)
    assert "it is empty" in found["message"]
    assert "it is empty" in shell.refused(2, "list", "--store", "")["message"]


def test_options_of_a_skill_that_mean_nothing(shell, tmp_path):
    folder = save(tmp_path / "x", fine_tune(BASE, 1))
    for words in (("--encoding", "zip"), ("--encoding", "lora"), ("--values", "int3"), ("--seed", "-1")):
        skill(shell, folder, *words, code=2)
    adapter = save_adapter(tmp_path / "y", factors(BASE, [QUERY]))
    assert (
        "an adapter cannot be stored with encoding 'dare'"
        in skill(shell, adapter, "--encoding", "dare", code=2)["message"]
    )


# What exists, and what was withdrawn


def test_a_name_of_another_kind(shell, tmp_path):
    folder = save(tmp_path / "x", fine_tune(BASE, 77), LLAMA_CONFIG, files={"tokenizer.json": "unseen"})
    found = shell.refused(4, "register", "base", "math", folder)
    assert "the name 'math' is taken by a skill" in found["message"]
    found = shell.refused(4, "register", "skill", "assistant", folder, "--base", "tiny")
    assert "the name 'assistant' is taken by a merge" in found["message"]
    assert "is taken by a base model" in shell.refused(4, "merge", "tiny", "tiny + math")["message"]


def test_two_heads_and_no_choice(shell, tmp_path):
    for words in (("merge", "bad"), ("materialize",)):
        found = shell.refused(2, *words, "bert + sentiment + topics")
        assert "sentiment@1, topics@1" in found["message"]
        assert "--head" in found["hint"]
    made = shell.json("materialize", "bert + sentiment + topics", "--head", "topics", "--no-wait", "-o", tmp_path / "x")
    assert read_model(Path(made["path"]))["classifier.weight"] == head(5)["classifier.weight"]
    assert "has no tensors of its own" in shell.refused(2, "merge", "bad", "tiny + math", "--head", "code")["message"]


def test_an_output_that_exists(shell, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for name in ("out", "file", "link"):
        found = shell.refused(4, "materialize", "assistant", "-o", tmp_path / name, "--no-wait")
        assert f"{tmp_path / name} exists already" in found["message"]
        assert "--force" in found["hint"]


def test_a_yanked_version(shell):
    for words in (("merge", "bad", "tiny + gone@1"), ("materialize", "tiny + math + gone@1", "--no-wait")):
        found = shell.refused(4, *words)
        assert "gone@1 is yanked: trained on the test set" in found["message"]
        assert found["hint"]
    assert "no version of gone is ready" in shell.refused(4, "merge", "bad", "tiny + gone")["message"]
    assert "yanked" in shell.refused(4, "alias", "gone@1", "prod")["message"]
    assert "yanked already" in shell.refused(4, "yank", "gone@1", "--reason", "again")["message"]
    assert "needs a reason" in shell.refused(2, "yank", "math@1", "--reason", " ")["message"]
    bare = shell.refused(2, "yank", "math", "--reason", "wrong data")
    assert "math has no version" in bare["message"]
    assert "math@1" in bare["hint"]
    assert "math@1 is not yanked" in shell.refused(4, "yank", "math@1", "--undo", "--reason", "a slip")["message"]
