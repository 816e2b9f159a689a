"""Writes docs/cli.md from the command line's own code: ``make docs``, or ``python docs/generate_cli.py``."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from typer.main import get_command

from cli import EXIT_TERMINATED
from cli.app import app
from cli.edge import EXIT_BUG, EXIT_DONE, EXIT_INTERRUPTED, EXIT_NO_READER
from cli.verb import COMMON_OPTIONS
from mergestore import MergestoreError

PAGE = Path(__file__).with_name("cli.md")

_INTRODUCTION = """\
<!-- Written by docs/generate_cli.py from the code; change the code, then run: make docs -->
# The command line

Answers go to stdout, progress and remarks to stderr. With `--json` stdout carries exactly one JSON document,
for an error too: `{"error": {"kind", "message", "hint"}}`. Common options may stand before or after the verb.
"""


def page() -> str:
    """The whole page."""
    root = get_command(app)
    commands = "\n".join(_command(path, command) for path, command in walk("mergestore", root))
    return f"{_INTRODUCTION}\n## Common options\n\n{_common(root)}\n{commands}\n{_exit_codes()}"


def walk(path: str, command: Any) -> Iterator[tuple[str, Any]]:
    """Every verb below ``command`` with the words that call it, in the order of the help."""
    for name in command.list_commands(None):
        child = command.commands[name]
        if hasattr(child, "commands"):
            yield from walk(f"{path} {name}", child)
        else:
            yield f"{path} {name}", child


def _common(root: Any) -> str:
    return _options(root.params) + "\n"


def _command(path: str, command: Any) -> str:
    arguments = [one for one in command.params if one.param_type_name == "argument"]
    options = [one for one in command.params if one.param_type_name == "option" and one.name not in COMMON_OPTIONS]
    words = [one.metavar if one.required else f"[{one.metavar}]" for one in arguments]
    required = [f"{one.opts[0]} {one.metavar}" for one in options if one.required]
    usage = " ".join([path, *words, *required, *(["[OPTIONS]"] if len(options) > len(required) else [])])
    parts = [f"## {path.removeprefix('mergestore ')}\n", f"```\n{usage}\n```\n", f"{inspect.cleandoc(command.help)}\n"]
    if arguments:
        parts.append("\n".join(f"- `{one.metavar}`: {one.help}" for one in arguments) + "\n")
    if options:
        parts.append(_options(options) + "\n")
    return "\n".join(parts)


def _options(options: Any) -> str:
    rows = ["| option | meaning |", "|---|---|"]
    for one in options:
        value = "" if one.is_flag else f" {one.metavar}"
        default = "" if one.is_flag or one.required or one.default is None else f" Default: {one.default}."
        rows.append(_row(f"`{', '.join(one.opts)}{value}`", f"{one.help}{default}"))
    return "\n".join(rows)


def _exit_codes() -> str:
    ours = {
        EXIT_DONE: ("", "What was asked for is done."),
        EXIT_BUG: ("bug", "A bug of mergestore; `--debug` shows the traceback."),
        EXIT_INTERRUPTED: ("interrupted", "Stopped from the keyboard."),
        EXIT_TERMINATED: (
            "terminated",
            "Stopped by SIGTERM or SIGHUP: what was under way is taken back as from the keyboard.",
        ),
        EXIT_NO_READER: ("", "The reader of stdout went away."),
    }
    tree = {one.exit_code: (one.kind, inspect.getdoc(one) or "") for one in MergestoreError.__subclasses__()}
    rows = [_row(str(code), kind, meaning) for code, (kind, meaning) in sorted({**ours, **tree}.items())]
    heading = "## Exit codes\n\n| code | `kind` in JSON | meaning |\n|---|---|---|\n"
    note = "`verify`, and `check` of a store, end with 6 when they found damage, else with 7 when they could not look "
    note += "at a referenced base, and with 2 when only a policy file cannot be read; "
    note += "`doctor` and `sync` with 7 when something is out of reach."
    return heading + "\n".join(rows) + f"\n\n{note}\n"


def _row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
