"""How time and memory grow: with the number of skills, the drop rate, the number of files, the size of the model."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks import ours
from benchmarks.measure import Cost, Work, interleave
from benchmarks.results import Result, describe
from benchmarks.shapes import SHAPES, make, parameters, tensors
from storage.checkpoints.shards import plan_shards

SKILL_COUNTS = (1, 2, 4, 8, 16, 32, 64)
DROP_RATES = (0.0, 0.5, 0.8, 0.9, 0.99, 0.999)
FILE_COUNTS = (1, 2, 4, 8, 16, 32)
FINE_TUNES = 3

CURVES = {
    "skills": "number of skills (task_arithmetic, p = .9)",
    "skills of dare_ties": "number of skills (dare_ties, p = .9)",
    "drop rate": "drop rate p of 3 skills (task_arithmetic)",
    "files read": "number of files of the base, 3 skills",
    "files written": "number of files of the result, 3 skills",
    "parameters": "parameters of the model, 3 skills (task_arithmetic)",
}
"""Each curve's name, and what it runs over."""


class Curves:
    """One size for all curves but that over sizes."""

    def __init__(self, work: Path, size: str, sizes: Sequence[str]):
        self.work, self.size, self.sizes = work, size, sizes
        self.output = work / size / "output"
        self.bits: dict[str, float] = {}

    def measure(self, runs: int) -> Result:
        """Every point; curve by curve, the points of one in turn."""
        load = os.getloadavg()[0]
        largest = max(map(parameters, (self.size, *self.sizes)))
        costs: dict[str, list[Cost]] = {}
        for curve in (self._skills, self._drop_rates, self._files_read, self._files_written, self._sizes):
            costs |= interleave(curve(), runs, 2 * largest)
        about = {**describe(), "size": self.size, "runs": runs, "load": [load, os.getloadavg()[0]]}
        facts = {"parameters": parameters(self.size), "bits": self.bits}
        rows = {name: [vars(cost) for cost in each] for name, each in costs.items()}
        return Result("curves", f"curves-{self.size}", about, facts, rows)

    def _skills(self) -> Iterator[Work]:
        store = self._store(self.size, "curves-store")
        print(f"registering {max(SKILL_COUNTS)} skills, and then more for each curve", flush=True)
        for number in range(max(SKILL_COUNTS)):
            path = self._fine_tune(self.size, number % FINE_TUNES)
            store.register(f"skill{number}", path, "--seed", str(number))
        for count in SKILL_COUNTS:
            names = [f"skill{number}" for number in range(count)]
            yield self._merge(f"skills {count}", store, names)
            yield self._merge(f"skills of dare_ties {count}", store, names, "dare_ties")

    def _drop_rates(self) -> Iterator[Work]:
        store = self._store(self.size, "curves-store")
        for rate in DROP_RATES:
            names = [f"p{rate}-{number}" for number in range(FINE_TUNES)]
            for number, name in enumerate(names):
                path = self._fine_tune(self.size, number)
                self.bits[str(rate)] = store.register(name, path, "--drop-rate", str(rate))
            yield self._merge(f"drop rate {rate}", store, names)

    def _files_read(self) -> Iterator[Work]:
        for count in FILE_COUNTS:
            # A store each, because a model in other files is the same model.
            store = self._with_skills(self.size, f"curves-store-{count}-files", count)
            yield self._merge(f"files read {count}", store)

    def _files_written(self) -> Iterator[Work]:
        store = self._with_skills(self.size, "curves-store")
        specs = [(name, "BF16", dims) for name, dims in tensors(SHAPES[self.size]).items()]
        for count in FILE_COUNTS:
            largest = -(-2 * parameters(self.size) // count)
            files = len(plan_shards(specs, largest))
            yield self._merge(f"files written {files}", store, options=("--shard-size", f"{largest}B"))

    def _sizes(self) -> Iterator[Work]:
        for size in self.sizes:
            store = self._with_skills(size, "curves-store")
            yield self._merge(f"parameters {parameters(size)}", store)

    def _with_skills(self, size: str, name: str, files: int = 1) -> ours.OurStore:
        store = self._store(size, name, files)
        for number in range(FINE_TUNES):
            store.register(f"skill{number}", self._fine_tune(size, number))
        return store

    def _store(self, size: str, name: str, files: int = 1) -> ours.OurStore:
        base = make(self.work / size / ("base" if files == 1 else f"base-{files}"), size, "--shards", str(files))
        store = ours.OurStore(self.work / size / name).clear()
        store.register_base(base)
        return store

    def _fine_tune(self, size: str, number: int) -> Path:
        return make(self.work / size / f"fine-tune{number}", size, "--fine-tune", str(number))

    def _merge(
        self,
        name: str,
        store: ours.OurStore,
        skills: Sequence[str] = ("skill0", "skill1", "skill2"),
        method: str = "task_arithmetic",
        options: Sequence[str] = (),
    ) -> Work:
        command = store.materialize_command(ours.expression(skills), self.output, method)
        return Work(name, [*command, *options], self._clear)

    def _clear(self) -> None:
        shutil.rmtree(self.output, ignore_errors=True)


def points(result: Result, curve: str) -> list[tuple[float, str]]:
    """Where a curve was measured, and the row of each point."""
    rows = [row for row in result.rows if row.rpartition(" ")[0] == curve]
    return [(float(row.rpartition(" ")[2]), row) for row in rows]
