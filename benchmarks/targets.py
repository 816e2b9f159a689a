"""The targets that the project has set itself, and what a results file says of each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import linear_regression

from benchmarks import mergekit
from benchmarks.results import Result

ADAPTERS = "task_arithmetic, 3 LoRA adapters"
COPY = "the base copied, hashed, flushed"
_MIB = "{:,.0f} MiB"


@dataclass(frozen=True)
class Target:
    """What is measured, the bound, and how a figure is written."""

    work: str
    bound: float
    measure: Callable[[Result], float]
    shown: str
    at_least: bool = False

    def met(self, value: float) -> bool:
        """Whether the bound holds."""
        return value >= self.bound if self.at_least else value <= self.bound

    def goal(self) -> str:
        """The bound in words."""
        return ("≥ " if self.at_least else "≤ ") + self.shown.format(self.bound)

    def verdict(self, value: float) -> str:
        """Met, or missed by how much."""
        if value <= 0:  # a difference of rows that is smaller than they vary
            return "not measured: lost in the noise"
        if self.met(value):
            return "met"
        return f"missed by {abs(value / self.bound - 1):.0%}"


def times_less(row: str, method: str, figure: str = "cpu") -> Callable[[Result], float]:
    """mergekit's best over ours."""
    return lambda result: result.least(mergekit.rows(method), figure) / result.figure(row, figure)


def _figure(row: str, figure: str) -> Callable[[Result], float]:
    return lambda result: result.figure(row, figure)


def _bits(kind: str) -> Callable[[Result], float]:
    return lambda result: float(result.facts["bits"][kind])


MERGES = {
    "task_arithmetic, 3 skills": "task_arithmetic",
    "task_arithmetic, 3 skills, provenance delivered": "task_arithmetic",
    "task_arithmetic, 3 exact skills": "task_arithmetic",
    "dare_ties, 3 skills": "dare_ties",
    "ties, 3 magnitude skills": "ties",
    "ties, 3 exact skills": "ties",
}
"""Our rows, and the method of mergekit's that does the same work."""


def copies(row: str) -> Callable[[Result], float]:
    """Wall time over that of the careful copy."""
    return lambda result: result.figure(row, "wall") / result.figure(COPY, "wall")


GROWTH = {1: "task_arithmetic, 1 skill", 3: "task_arithmetic, 3 skills", 9: "task_arithmetic, 9 skills"}


def further_skill(figure: str) -> Callable[[Result], float]:
    """What each further skill takes, over what the careful copy takes: the slope of the line of least squares."""

    def share(result: Result) -> float:
        costs = [result.figure(row, figure) for row in GROWTH.values()]
        return linear_regression(list(GROWTH), costs).slope / result.figure(COPY, figure)

    return share


def largest_memory(result: Result) -> float:
    """Peak memory of the merge that needs most."""
    return max(result.figure(row, "memory") for row in (*MERGES, ADAPTERS))


def share_of_memory(result: Result) -> float:
    """Peak memory over mergekit's, where that is worst."""
    return max(
        result.figure(row, "memory") / result.least(mergekit.rows(method), "memory") for row, method in MERGES.items()
    )


_LESS = "{:.1f}x less"
COMPARISON = (
    *(
        Target(f"{row}: CPU against mergekit", bound, times_less(row, MERGES[row]), _LESS, at_least=True)
        for row, bound in (
            ("task_arithmetic, 3 skills", 6),
            ("dare_ties, 3 skills", 15),
            ("ties, 3 magnitude skills", 25),
            ("ties, 3 exact skills", 25),
        )
    ),
    *(
        Target(f"{row}: wall against the careful copy", 2.0, copies(row), "{:.2f}x")
        for row in ("task_arithmetic, 3 skills", "dare_ties, 3 skills", "ties, 3 magnitude skills")
    ),
    Target("peak memory against mergekit, worst method", 0.25, share_of_memory, "{:.3f}"),
    Target("peak memory, worst method", 600, largest_memory, _MIB),
    Target("each further skill: wall, share of the careful copy", 0.15, further_skill("wall"), "{:.1%}"),
    Target("each further skill: CPU, share of the careful copy", 0.15, further_skill("cpu"), "{:.1%}"),
    Target("registering a skill: CPU", 10, _figure("register a skill, dare p=.9", "cpu"), "{:.2f} s"),
    Target("registering a skill: memory", 600, _figure("register a skill, dare p=.9", "memory"), _MIB),
    Target("stored bits per parameter, dare p = .9", 0.36, _bits("dare p=.9"), "{:.3f}"),
    Target("stored bits per parameter, dare p = .99", 0.042, _bits("dare p=.99"), "{:.4f}"),
    Target("stored bits per parameter, exact", 7.0, _bits("exact"), "{:.2f}"),
    Target("`mergestore --help`: CPU", 0.25, _figure("mergestore --help", "cpu"), "{:.2f} s"),
    Target("`mergestore list`: CPU", 0.5, _figure("mergestore list", "cpu"), "{:.2f} s"),
)


def _of_copy_bandwidth(row: str) -> Callable[[Result], float]:
    """Base read and result written per second, over what a copy on the device reads and writes."""

    def share(result: Result) -> float:
        rate = 2 * result.facts["model bytes"] / result.figure(row, "wall") / 1e9
        return float(rate / result.facts["limits"]["device copy"])

    return share


def _of_path(result: Result) -> float:
    """Cold bytes per second over the slower of disk and bus."""
    limits = result.facts["limits"]
    rate = result.facts["model bytes"] / result.figure("cold to device, load", "wall") / 1e9
    return float(rate / min(limits["disk read"], limits["host to device"]))


_RESIDENT = "resident, 3 skills"
DEVICE = (
    *(
        Target(f"{row}: share of the device's copy bandwidth", 0.6, _of_copy_bandwidth(row), "{:.0%}", at_least=True)
        for row in ("resident, 1 skill", "resident, 2 skills", _RESIDENT, "resident, 4 skills")
    ),
    Target(_RESIDENT, 0.020, _figure(_RESIDENT, "wall"), "{:.3f} s"),
    Target(
        f"{_RESIDENT}, deltas in pinned host memory",
        0.060,
        _figure(f"{_RESIDENT}, deltas on the host", "wall"),
        "{:.3f} s",
    ),
    Target("cold to device memory: share of the slower of disk and bus", 0.8, _of_path, "{:.0%}", at_least=True),
)

TARGETS = {"comparison": COMPARISON, "device": DEVICE}
