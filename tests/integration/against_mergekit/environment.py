"""mergekit in its own environment: where it is, and merges run in it, all in one process."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from benchmarks.mergekit import FOLDER, OFFLINE, installed

RUNNER = Path(__file__).with_name("runner.py")


def python() -> Path:
    """Its interpreter; without the environment the test is skipped, or fails where CI must have it."""
    if not installed(FOLDER):
        reason = f"mergekit's environment is not there: make {FOLDER.name}/constraints"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
    return FOLDER / "bin" / "python"


def run(jobs: Sequence[dict[str, Any]], folder: Path) -> list[str | None]:
    """Run merges; for each what it failed with, if it did."""
    todo = folder / "jobs.json"
    todo.write_text(json.dumps(jobs))
    command = [str(python()), str(RUNNER), str(todo)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **OFFLINE}, timeout=600)
    assert done.returncode == 0, done.stderr
    outcomes: list[str | None] = json.loads(done.stdout.splitlines()[-1])
    return outcomes
