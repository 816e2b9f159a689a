"""What people see: answers as text, and progress and colour where there is a terminal."""

import contextlib
import os
import pty
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]

# Answers


def test_the_path_alone_is_on_stdout(filled):
    code, out, err = filled("materialize", "assistant", "--no-wait")
    assert code == 0
    assert Path(out.removesuffix("\n")).is_dir()
    assert "sha256:" in err


def test_a_skill_is_told_with_its_size_and_advice(fresh, models):
    fresh.text("register", "base", "tiny", models / "base")
    told = fresh.text("register", "skill", "math", models / "math", "--base", "tiny")
    assert "registered math@1" in told
    assert "bits per parameter" in told
    again = fresh.text("register", "skill", "math", models / "math", "--base", "tiny")
    assert "registered before" in again


def test_lists_records_and_trees_are_readable(filled):
    listed = filled.text("list")
    assert all(word in listed for word in ("base models", "skills", "merges", "tiny", "math", "assistant"))
    assert "blake3:" in filled.text("show", "math")
    tree = filled.text("audit", "assistant")
    assert tree.startswith("merge assistant@1")
    assert "skill math@1" in tree
    assert "Apache-2.0" in tree


def test_a_recipe_is_shown_with_what_one_skill_has_for_itself(filled):
    filled.text("merge", "own", "tiny + 0.6*math + 0.4*code{drop_rate: 0.25}", "--method", "dare_linear")
    lines = [line.strip() for line in filled.text("show", "own").splitlines()]
    assert lines[lines.index("drop_rate  0.25") - 1] == "parameters:"
    assert "skill code@1, weight 0.4" in lines
    assert "skill math@1, weight 0.6" in lines


def test_an_audit_tells_all_that_makes_the_result_what_it_is(filled):
    filled.text(
        "merge", "special", "tiny + 0.6*math + {embed: 0, *: 0.4}*code{drop_rate: 0.25}", "--method", "dare_linear",
        "--dtype", "BF16",
    )  # fmt: skip
    lines = filled.text("audit", "special").splitlines()
    (code,) = (line for line in lines if "skill code@1 (" in line)
    assert "{embed: 0, *: 0.4} * skill code@1" in code
    assert code.endswith("{drop_rate: 0.25}")
    assert "dtype BF16" in lines
    assert sum("0.6 * skill math@1" in line for line in lines) == 1


def test_an_audit_tells_whose_arithmetic_it_was_and_methods_what_may_differ(filled):
    filled.text("merge", "like-mergekit", "tiny + 0.5*code", "--method", "linear", "--semantics", "mergekit")
    assert ", with the semantics of mergekit\n" in filled.text("audit", "like-mergekit")
    assert "semantics" not in filled.text("audit", "assistant")
    filled.text("merge", "based", "tiny + 0.25*tiny + 0.5*code", "--method", "linear", "--semantics", "mergekit")
    tree = filled.text("audit", "based")
    assert "0.25 * base tiny@1" in tree
    assert "0.5 * skill code@1" in tree
    filled.text("materialize", "based", "--no-wait")
    assert "torch" in filled.text("audit", "based")
    told = {line.split()[0]: line for line in filled.text("methods", "ties").splitlines() if line.strip()}
    assert ("tensor, skill" in told["density"], "skill" in told["lambda"], "tensor  " in told["lambda"]) == (
        True,
        False,
        True,
    )


def test_an_empty_store_says_how_to_begin(fresh):
    assert "register base" in fresh.text("list")


# At a terminal


def test_progress_and_colour_are_for_terminals_only(filled, models, tmp_path):
    store = tmp_path / "store"
    assert _at_terminal("init", "--store", store) == (b"created", b"")
    words = ("register", "base", "tiny", models / "base", "--store", store)
    answer, shown = _at_terminal(*words)
    assert answer == b"registered"
    assert b"hash base" in shown
    assert filled(*words)[2] == ""


def test_errors_are_coloured_unless_unwanted(tmp_path):
    words = ("list", "--store", tmp_path / "none")
    assert _at_terminal(*words)[1].startswith(b"\x1b[1;31merror:\x1b[0m there is no store")
    assert _at_terminal(*words, NO_COLOR="1")[1].startswith(b"error: there is no store")


def _at_terminal(*words, **settings):
    """The first word on stdout, a pipe, and all that a terminal on stderr shows."""
    master, terminal = pty.openpty()
    try:
        done = subprocess.Popen(
            [sys.executable, "-m", "cli", *map(str, words)],
            cwd=ROOT,
            env={**os.environ, "TERM": "xterm", **settings},
            stdout=subprocess.PIPE,
            stderr=terminal,
        )
        os.close(terminal)
        shown = _read_to_the_end(master)
        out, _ = done.communicate()
    finally:
        os.close(master)
    return out.partition(b" ")[0].partition(b":")[0], shown


def _read_to_the_end(terminal):
    shown = b""
    with contextlib.suppress(OSError):  # how Linux says that the other side has closed
        while piece := os.read(terminal, 65536):
            shown += piece
    return shown
