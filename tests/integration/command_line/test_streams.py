"""stdout and stderr that take nothing: a full disk, or closed by whoever started the command."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.shell import Shell, listing

ROOT = Path(__file__).parents[3]


def run(store: Shell, words: str, streams: str, unbuffered: str = "") -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a process of its own, started by a shell with these redirections."""
    command = f"{shlex.quote(sys.executable)} -m cli --store {shlex.quote(str(store.home))} {words} {streams}"
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    done = subprocess.run(command, shell=True, cwd=ROOT, env=environment, capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("words", ["--json list", "methods"])
def test_an_answer_that_cannot_be_written_is_one_error(fresh: Shell, words: str, unbuffered: str) -> None:
    code, out, err = run(fresh, words, ">/dev/full", unbuffered)
    assert (code, out, len(err.splitlines())) == (7, "", 2)
    assert err.startswith("error: cannot write the answer to stdout: No space left on device\n")


def test_what_is_done_when_its_answer_is_lost_is_not_to_be_done_again(filled: Shell) -> None:
    code, _, err = run(filled, "alias math@1 unheard", ">/dev/full")
    assert (code, "need not be done again" in err) == (7, True)
    assert "unheard" in filled.text("show", "math")


def test_a_refusal_that_cannot_be_written_is_told_on_stderr(fresh: Shell) -> None:
    code, _, err = run(fresh, "--json show nobody", ">/dev/full")
    assert (code, err.splitlines()[0]) == (3, "error: there is no model 'nobody'")
    assert run(fresh, "show nobody", "2>/dev/full") == (3, "", "")


def test_help_that_cannot_be_written_is_an_error(fresh: Shell) -> None:
    code, _, err = run(fresh, "--help", ">/dev/full")
    assert (code, "No space left" in err, "Exception" in err) == (7, True, False)


@pytest.mark.parametrize("closed", [">&-", "<&- >&- 2>&-"])
def test_streams_that_are_closed_take_everything(filled: Shell, closed: str) -> None:
    name = f"quiet{len(closed)}"
    assert run(filled, f"alias math@1 {name}", closed) == (0, "", "")
    assert name in filled.text("show", "math")
    before = listing(filled.home)
    code, _, err = run(filled, "show nobody", closed)
    assert (code, "no model 'nobody'" in err) == (3, "2" not in closed)
    assert listing(filled.home) == before
