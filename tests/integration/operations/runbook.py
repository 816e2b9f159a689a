"""docs/operations.md, carried out: the commands of a section are run as they stand there, and must answer so.

A block of ``console`` has commands after ``$``, each followed by what is printed. ``…`` stands for any text, a line of
it alone for any lines; numbers, moments and digests are compared by their shape. ``/backup`` is a folder beside the
store, which is ``store``.
"""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cli import main

PAGE = Path(__file__).parents[3] / "docs" / "operations.md"
ROOT = PAGE.parents[1]

_SECTION = re.compile(r"^### ([^\n]+)\n(.*?)(?=^##|\Z)", re.MULTILINE | re.DOTALL)
_BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LOOSE = re.compile(r"…|(?:blake3|sha256):[0-9a-f]+|[0-9a-f]{12,}|\d[\d.,:T+-]*Z?")


@dataclass(frozen=True)
class Step:
    """One command, and the lines that it prints."""

    command: str
    printed: tuple[str, ...]


def sections() -> list[str]:
    """The headings of what may break."""
    return [heading for heading, _ in _SECTION.findall(PAGE.read_text())]


def steps(heading: str) -> list[Step]:
    """The commands of one section."""
    (text,) = [text for found, text in _SECTION.findall(PAGE.read_text()) if found == heading]
    return [step for block in _BLOCK.findall(text) for step in _steps(block)]


def _steps(block: str) -> Iterator[Step]:
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        command, *printed = part.rstrip("\n").split("\n")
        yield Step(command, tuple(printed))


def follow(heading: str, folder: Path, *, start: int = 0, stop: int | None = None) -> None:
    """Run the commands of a section in ``folder``, all or some by their place, and compare what each prints."""
    for step in steps(heading)[start:stop]:
        printed = run(step.command, folder)
        assert matches(step.printed, printed), f"$ {step.command}\n{printed}\nexpected:\n" + "\n".join(step.printed)


def run(command: str, folder: Path) -> str:
    """What a command prints, on both ways; ``mergestore`` itself is run in this process where no shell is needed."""
    command = command.replace("/backup", str(folder / "backup"))
    if not command.startswith("mergestore ") or re.search(r"[<>|;&]", command):
        return _run_in_shell(command, folder)
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        main(shlex.split(command)[1:])
    assert "Traceback" not in out.getvalue(), out.getvalue()
    return out.getvalue().replace(f"{folder}/", "").replace("backup/", "/backup/")


def _run_in_shell(command: str, folder: Path) -> str:
    ours = f'mergestore() {{ PYTHONPATH="{ROOT}" "{sys.executable}" -m cli "$@"; }}\n'
    done = subprocess.run(
        ["bash", "-c", ours + command], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    return done.stdout.replace(f"{folder}/", "")


def matches(expected: tuple[str, ...], printed: str) -> bool:
    """Whether a command printed what the page shows."""
    lines = [_pattern(line) for line in expected]
    return re.fullmatch("".join(lines), "".join(f"{line.rstrip()}\n" for line in printed.splitlines())) is not None


def _pattern(line: str) -> str:
    if line.strip() == "…":
        return r"(?:.*\n)*"
    pattern, end = "", 0
    for found in _LOOSE.finditer(line):
        pattern += re.escape(line[end : found.start()]) + _loose(found[0])
        end = found.end()
    return pattern + re.escape(line[end:]) + r"\n"


def _loose(text: str) -> str:
    """Something of the same shape: any text, a digest, a number or moment."""
    return ".*" if text == "…" else r"[\w.,:+-]+"
