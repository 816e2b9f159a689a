"""The floors hold: imports run downward, and only the two faces touch the world around the process."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FLOORS = ("migrations", "registry", "merging", "storage")
# MLflow takes its time-outs from the environment only; they are set for the time of a delivery and put back.
EXEMPT = {ROOT / "registry" / "provenance" / "mlflow_session.py"}
SOURCES = sorted(path for floor in FLOORS for path in (ROOT / floor).rglob("*.py") if path not in EXEMPT)


def test_imports_run_downward_only():
    command = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([command, "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_only_the_faces_read_the_environment_print_or_exit(path):
    found = [_spelled(node) for node in ast.walk(ast.parse(path.read_text()))]
    assert not [words for words in found if words in ("print", "os.environ", "os.getenv", "sys.exit", "exit")]


def _spelled(node):
    """``print`` for a call of it, ``os.environ`` for that attribute, else nothing."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        return node.func.id
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        return f"{node.value.id}.{node.attr}"
    return None
