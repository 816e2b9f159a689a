"""mergekit, from PyPI and in an environment of its own: its commands for the work that we are compared at."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from benchmarks.measure import plain_environment
from merging.mergekit import VERSION

FOLDER = Path(__file__).parents[1] / ".venv-mergekit"
"""Where its environment is, for benchmarks and tests."""
CONSTRAINTS = Path(__file__).with_name("mergekit-constraints.txt")

OPTIONS = ("--no-copy-tokenizer", "--quiet")  # the generated models have no tokenizer
_SAVING = ("--lazy-unpickle", "--low-cpu-memory", "--async-write")


@dataclass(frozen=True)
class Variant:
    """A way to run it: options of the command, and parameters of the merge."""

    options: tuple[str, ...] = ()
    parameters: dict[str, object] = field(default_factory=dict)


VARIANTS = {
    "": Variant(),
    ", lean": Variant((*_SAVING, "--num-threads", "1")),
    ", lean, all threads": Variant(_SAVING),
    ", lean, int8 masks": Variant((*_SAVING, "--num-threads", "1"), {"int8_mask": True}),
}
"""What it offers to save memory or time on a CPU, by what its rows' names end with. Its best figure counts."""

OFFLINE = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}


@dataclass(frozen=True)
class Method:
    """A merge in mergekit's words: parameters of every model, and of the whole; whether it makes masks."""

    name: str
    each: dict[str, float]
    whole: dict[str, object]
    masks: bool = True

    def variants(self) -> dict[str, Variant]:
        """The ways to run it that make a difference."""
        return {name: variant for name, variant in VARIANTS.items() if self.masks or not variant.parameters}


METHODS = {
    method.name: method
    for method in (
        Method("task_arithmetic", {}, {"normalize": False}, masks=False),
        Method("dare_ties", {"density": 0.1}, {}),
        Method("ties", {"density": 0.2}, {}),
    )
}


def install(folder: Path, torch_index: str | None = None) -> Path:
    """The environment, made if it is not there as CONSTRAINTS wants it; the path of its mergekit-yaml."""
    if not installed(folder):
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        index = ("--index-url", torch_index) if torch_index else ()
        _pip(folder, *index, "torch")  # first and alone, so that a CPU build is kept
        _pip(folder, f"mergekit=={VERSION}")
        (folder / "constraints").write_text(_wanted())
    return folder / "bin" / "mergekit-yaml"


def installed(folder: Path) -> bool:
    """Whether the environment is there, with the versions of CONSTRAINTS."""
    stamp = folder / "constraints"
    return stamp.is_file() and stamp.read_text() == _wanted()


def _wanted() -> str:
    return hashlib.sha256(CONSTRAINTS.read_bytes()).hexdigest()


def _pip(folder: Path, *words: str) -> None:
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--constraint", str(CONSTRAINTS), *words], check=True)


@cache
def warm_up(*command: str) -> None:
    """Run one merge, once: Python compiles all that is imported, and no measured run pays for it."""
    subprocess.run(command, check=True, capture_output=True, env={**plain_environment(), **OFFLINE})


def rows(method: str) -> tuple[str, ...]:
    """The names of its rows for a method."""
    return tuple(f"mergekit {method}{name}" for name in METHODS[method].variants())


def write_configuration(
    path: Path,
    method: Method,
    base: Path,
    models: Sequence[Path],
    weights: Sequence[float],
    parameters: Mapping[str, object],
) -> Path:
    """Write its configuration file for a merge of these models; ``parameters`` beside those of the method."""
    lines = [f"merge_method: {method.name}", f"base_model: {base}", "dtype: bfloat16", "out_dtype: bfloat16"]
    lines += [*_mapping("parameters", {**method.whole, **parameters}, ""), "models:"]
    for model, weight in zip(models, weights, strict=True):
        lines += [f"  - model: {model}", *_mapping("parameters", {"weight": weight, **method.each}, "    ")]
    path.write_text("\n".join(lines) + "\n")
    return path


def _mapping(name: str, values: Mapping[str, object], indent: str) -> list[str]:
    if not values:
        return []
    return [f"{indent}{name}:", *(f"{indent}  {key}: {str(value).lower()}" for key, value in values.items())]


if __name__ == "__main__":
    install(FOLDER, *filter(None, sys.argv[1:2]))
