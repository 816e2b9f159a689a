"""The ``mergestore`` command line as the demo calls it."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

_ELSEWHERE = ("MERGESTORE_DATABASE", "MLFLOW_TRACKING_URI")


class CommandFailed(Exception):
    """A ``mergestore`` command ended with an error; the message is the command and what it said."""


class Mergestore:
    """Runs commands on the store in ``home`` and nowhere else; ``show`` gets each command as one would type it."""

    def __init__(self, home: Path, show: Callable[[str], None]) -> None:
        self._show = show
        self._environment = {k: v for k, v in os.environ.items() if k not in _ELSEWHERE}
        self._environment["MERGESTORE_HOME"] = str(home)

    def ask(self, *arguments: str, quiet: bool = False) -> dict[str, Any]:
        """The command's JSON answer; a ``quiet`` one is not shown."""
        if not quiet:
            self._show(spell(*arguments))
        answer: dict[str, Any] = json.loads(self._run(*arguments, "--json"))
        return answer

    def read(self, *arguments: str) -> str:
        """What the command prints for people."""
        self._show(spell(*arguments))
        return self._run(*arguments)

    def _run(self, *arguments: str) -> str:
        command = [sys.executable, "-m", "cli", *arguments]
        done = subprocess.run(command, env=self._environment, text=True, capture_output=True, check=False)
        if done.returncode:
            told = (done.stderr or done.stdout).strip()
            raise CommandFailed(f"{spell(*arguments)}\nended with code {done.returncode}:\n{told}")
        return done.stdout


def spell(*arguments: str) -> str:
    """A command as one would type it, paths below the current folder made relative."""
    here = str(Path.cwd()) + os.sep
    return shlex.join(["mergestore", *(a.removeprefix(here) for a in arguments)])
