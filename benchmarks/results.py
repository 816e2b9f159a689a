"""Results files: what one run measured, on which machine, with which versions."""

from __future__ import annotations

import json
import platform
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.measure import cores, machine, processor

FOLDER = Path(__file__).with_name("results")
_PACKAGES = ("mergestore", "numpy", "numba", "blake3", "zstandard", "torch", "transformers", "peft")


@dataclass(frozen=True)
class Result:
    """One run. ``about``: where, when, with what. ``facts``: single figures. ``rows``: every run of every row."""

    kind: str
    name: str
    about: dict[str, Any]
    facts: dict[str, Any]
    rows: dict[str, list[dict[str, float]]]

    def figure(self, row: str, figure: str) -> float:
        """The median of a row."""
        return median(run[figure] for run in self.rows[row])

    def spread(self, row: str, figure: str) -> tuple[float, float]:
        """The least and the most of a row."""
        found = [run[figure] for run in self.rows[row]]
        return min(found), max(found)

    def least(self, rows: Iterable[str], figure: str) -> float:
        """The best of several rows' medians: what one would choose."""
        return min(self.figure(row, figure) for row in rows if row in self.rows)


def describe() -> dict[str, Any]:
    """This machine, this day, these versions."""
    return {
        "machine": machine(),
        "place": place(),
        "date": datetime.now(UTC).date().isoformat(),
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in _PACKAGES}},
    }


def place(device: str = "") -> str:
    """The machine as a part of a file's name."""
    words = device or re.sub(r"\(\w+\)|cpu|processor|@.*", "", f"{processor()}", flags=re.IGNORECASE)
    return re.sub(r"[^a-z0-9]+", "-", f"{words} {cores()} cores".lower()).strip("-")


def save(result: Result, folder: Path = FOLDER) -> Path:
    """Write a results file, named after the machine and what was measured."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{result.about['place']}-{result.name}.json"
    path.write_text(_compact(json.dumps(_rounded(vars(result)), indent=1, ensure_ascii=False)) + "\n")
    return path


def load(path: Path) -> Result:
    """Read a results file."""
    return Result(**json.loads(path.read_text()))


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _rounded(value: Any) -> Any:
    """Five digits say all that was measured."""
    if isinstance(value, float):
        return float(f"{value:.5g}")
    if isinstance(value, dict):
        return {key: _rounded(each) for key, each in value.items()}
    return [_rounded(each) for each in value] if isinstance(value, list) else value


def _compact(text: str) -> str:
    """One run on one line."""
    return re.sub(r"\{\s+(\"wall\"[^{}]*?)\s+\}", lambda found: "{" + re.sub(r"\s+", " ", found[1]) + "}", text)
