"""Text that steers a terminal, or would break a line into two: refused where it is given, harmless where it is told."""

import pytest

import mergestore
from cli.console import harmless
from mergestore import UsageError
from registry.records.database import writing
from registry.records.tables import ModelVersion
from storage.pipeline import thread_count
from tests.integration.models import LLAMA_CONFIG, llama, save
from tests.integration.shell import Shell

STEERING = ("esc \x1b]0;pwn\x07\x1b[31mred", "trained on \u202e wrong", "two\nlines", "bell\x07", "nul\x00")


@pytest.fixture
def shell(surroundings, tmp_path):
    save(tmp_path / "tiny", llama("F32"), LLAMA_CONFIG)
    with mergestore.open(tmp_path / "store", actor="ann@lab") as store:
        store.register_base("tiny", tmp_path / "tiny")
    return Shell(tmp_path / "store", tmp_path)


@pytest.mark.parametrize("text", STEERING)
def test_reasons_are_lines(shell, text):
    for words in (("yank", "tiny@1"), ("pin", "tiny@1")):
        assert "must be a line of 1 to 1000 characters" in shell.refused(2, *words, "--reason", text)["message"]


def test_what_stands_in_a_store_all_the_same_is_told_harmlessly(shell, tmp_path):
    with mergestore.open(tmp_path / "store") as store:
        store.actor = "eve\x1b[2J@lab"
        store.yank("tiny@1", "wrong")
        with writing(store.engine) as session:
            session.get_one(ModelVersion, 1).reason = "esc \x1b]0;pwn\x07 \u202e turned"
    for words in (("audit", "tiny"), ("impact", "tiny"), ("show", "tiny"), ("list",), ("find", "events")):
        code, out, err = shell(*words)
        assert code == 0, err
        assert not {"\x1b", "\x07", "\u202e"} & set(out + err), words
    assert "\\x1b]0;pwn\\x07 \\u202e turned" in shell.text("audit", "tiny")
    _, out, err = shell("merge", "m", "tiny@1 + tiny@1")
    assert "\x1b" not in out + err


def test_other_text_is_left_as_it_is():
    for text in ("größe 模型 — ✓", "tab\tand\nline", "│ ├── └──"):
        assert harmless(text) == text


def test_more_threads_than_help_are_refused(shell):
    assert thread_count(8) == 8
    with pytest.raises(UsageError, match="threads are too many"):
        thread_count(100_000)
    assert "threads are too many" in shell.refused(2, "diff", "tiny", "tiny", "--threads", "99999999999")["message"]
