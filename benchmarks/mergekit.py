"""mergekit, from PyPI and in an environment of its own: its commands for the work that we are compared at."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from benchmarks.measure import plain_environment

VERSION = "0.1.5"
CONSTRAINTS = Path(__file__).with_name("mergekit-constraints.txt")

OPTIONS = ("--no-copy-tokenizer", "--quiet")  # the generated models have no tokenizer
LEAN = ("--lazy-unpickle", "--low-cpu-memory", "--async-write", "--num-threads", "1")
"""What it offers to save memory or time on a CPU; several threads spend CPU time waiting for each other."""

OFFLINE = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}


@dataclass(frozen=True)
class Method:
    """A merge in mergekit's words: parameters of every model, and of the whole."""

    name: str
    each: dict[str, float]
    whole: dict[str, object]


METHODS = {
    method.name: method
    for method in (
        Method("task_arithmetic", {}, {"normalize": False}),
        Method("dare_ties", {"density": 0.1}, {}),
        Method("ties", {"density": 0.2}, {}),
    )
}


def install(folder: Path, torch_index: str | None = None) -> Path:
    """The environment, made if it is not there as CONSTRAINTS wants it; the path of its mergekit-yaml."""
    stamp, wanted = folder / "constraints", hashlib.sha256(CONSTRAINTS.read_bytes()).hexdigest()
    if not stamp.is_file() or stamp.read_text() != wanted:
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        index = ("--index-url", torch_index) if torch_index else ()
        _pip(folder, *index, "torch")  # first and alone, so that a CPU build is kept
        _pip(folder, f"mergekit=={VERSION}")
        stamp.write_text(wanted)
    return folder / "bin" / "mergekit-yaml"


def _pip(folder: Path, *words: str) -> None:
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--constraint", str(CONSTRAINTS), *words], check=True)


@cache
def warm_up(command: Path) -> None:
    """Read and compile all that it imports, so that the first measured run does not pay for it."""
    subprocess.run(
        [str(command), "--help"], check=True, stdout=subprocess.DEVNULL, env={**plain_environment(), **OFFLINE}
    )


def write_configuration(
    path: Path, method: Method, base: Path, models: Sequence[Path], weights: Sequence[float]
) -> Path:
    """Write its configuration file for a merge of these models."""
    lines = [f"merge_method: {method.name}", f"base_model: {base}", "dtype: bfloat16", "out_dtype: bfloat16"]
    lines += [*_mapping("parameters", method.whole, ""), "models:"]
    for model, weight in zip(models, weights, strict=True):
        lines += [f"  - model: {model}", *_mapping("parameters", {"weight": weight, **method.each}, "    ")]
    path.write_text("\n".join(lines) + "\n")
    return path


def _mapping(name: str, values: dict[str, object] | dict[str, float], indent: str) -> list[str]:
    if not values:
        return []
    return [f"{indent}{name}:", *(f"{indent}  {key}: {str(value).lower()}" for key, value in values.items())]
