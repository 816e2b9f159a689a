"""The comparison: registering and materializing beside mergekit, PEFT and the physical limits, in one run."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks import mergekit, ours
from benchmarks.measure import Work, interleave, plain_environment
from benchmarks.results import Result, describe
from benchmarks.shapes import make, parameters

SKILLS, MANY = 3, 9
COPIES = 3  # of the yardstick, in each turn
KINDS = {
    "dare p=.9": (),
    "dare p=.99": ("--drop-rate", "0.99"),
    "magnitude d=.2": ("--encoding", "magnitude", "--density", "0.2", "--trim", "tensor"),
    "sign": ("--encoding", "sign"),
    "exact": ("--encoding", "exact"),
}
_DIVISOR = "divisor=weights"  # as mergekit divides


class Comparison:
    """The generated models of one size, a store with skills of them, and the rows that are measured."""

    def __init__(self, work: Path, size: str, torch_index: str | None = None):
        self.work, self.size = work / size, size
        self.output = self.work / "output"
        self.store = ours.OurStore(self.work / "store")
        self.empty = ours.OurStore(self.work / "empty-store")
        self.mergekit = mergekit.install(mergekit.FOLDER, torch_index)
        self.base = make(self.work / "base", size)
        self.fine_tunes = [self._made("fine-tune", number) for number in range(SKILLS)]
        self.adapters = [self._made("adapter", number) for number in range(SKILLS)]
        self.tiny = ours.OurStore(self.work / "tiny-store")
        self.bits: dict[str, float] = {}

    def measure(self, runs: int) -> Result:
        """Every figure of this size."""
        load = os.getloadavg()[0]
        print("registering the skills")
        self.fill()
        rows = interleave(self.works(), runs, 2 * parameters(self.size))
        return Result(
            kind="comparison",
            name=self.size,
            about={**describe(), "size": self.size, "runs": runs, "load": [load, os.getloadavg()[0]]},
            facts={
                "model bytes": (self.base / "model.safetensors").stat().st_size,
                "parameters": parameters(self.size),
                "bits": self.bits,
                "limits": self._answer("benchmarks.bandwidth", self.base / "model.safetensors"),
                "stages": self._answer("benchmarks.stages", self.base / "model.safetensors"),
                "decoding": self._answer("benchmarks.decoding", self.store.folder),
                "agreement": self.agreement(),
            },
            rows={name: [vars(cost) for cost in costs] for name, costs in rows.items()},
        )

    def fill(self) -> None:
        """A store with every kind of skill; stored bits per parameter on the way."""
        self.store.clear().register_base(self.base)
        for number in range(MANY):
            path, seed = self.fine_tunes[number % SKILLS], str(number // SKILLS)
            self.bits["dare p=.9"] = self.store.register(f"skill{number}", path, "--seed", seed)
        for number, path in enumerate(self.fine_tunes):
            for kind in ("exact", "magnitude d=.2"):
                self.bits[kind] = self.store.register(f"{kind.split()[0]}{number}", path, *KINDS[kind])
        for number, path in enumerate(self.adapters):
            self.bits["LoRA r=16"] = self.store.register(f"adapter{number}", path)
        for kind in ("dare p=.99", "sign"):
            self.bits[kind] = self.store.register(kind.split()[0] + "-only", self.fine_tunes[0], *KINDS[kind])
        self.tiny.clear().register_base(make(self.work / "tiny-base", "tiny"))
        for number in range(SKILLS):
            path = make(self.work / f"tiny{number}", "tiny", "--fine-tune", str(number))
            self.tiny.register(f"skill{number}", path)

    def works(self) -> list[Work]:
        """Every row, ours and theirs side by side."""
        return [*self._limits(), *self._merges(), *self._adapters(), *self._registrations(), *self._small()]

    def _limits(self) -> Iterator[Work]:
        base, output = str(self.base), str(self.output)
        careful = [sys.executable, "-m", "benchmarks.copying", base, output]
        yield Work("cp -r of the base", ["cp", "-r", base, output], self._clear)
        flushed = 'cp -r "$0" "$1" && sync "$1"/* "$1"'
        yield Work("cp -r of the base, flushed", ["sh", "-c", flushed, base, output], self._clear)
        yield Work("the base copied, hashed, flushed", careful, self._clear, often=COPIES)

    def _merges(self) -> Iterator[Work]:
        yield self._merge("task_arithmetic, 1 skill", "task_arithmetic", ["skill0"])
        yield self._merge("task_arithmetic, 3 skills", "task_arithmetic", _names("skill"))
        yield self._merge(f"task_arithmetic, {MANY} skills", "task_arithmetic", _names("skill", MANY))
        yield self._merge("task_arithmetic, 3 skills, provenance delivered", "task_arithmetic", _names("skill"), True)
        yield self._merge("task_arithmetic, 3 exact skills", "task_arithmetic", _names("exact"))
        yield from self._mergekit("task_arithmetic")
        yield self._merge("dare_ties, 3 skills", "dare_ties", _names("skill"), settings=(_DIVISOR,))
        yield from self._mergekit("dare_ties")
        whole = (_DIVISOR, "density=1")  # trimmed when they were registered
        yield self._merge("ties, 3 magnitude skills", "ties", _names("magnitude"), settings=whole)
        trimmed = (_DIVISOR, "density=0.2", "trim=tensor")
        yield self._merge("ties, 3 exact skills", "ties", _names("exact"), settings=trimmed)
        yield from self._mergekit("ties")

    def _adapters(self) -> Iterator[Work]:
        yield self._merge("task_arithmetic, 3 LoRA adapters", "task_arithmetic", _names("adapter"))
        terms = [f"{path}={weight}" for path, weight in zip(self.adapters, ours.WEIGHTS, strict=True)]
        command = [sys.executable, "-m", "benchmarks.peft_merge", str(self.output), str(self.base), *terms]
        yield Work("PEFT, 3 LoRA adapters", command, self._clear, mergekit.OFFLINE)

    def _registrations(self) -> Iterator[Work]:
        yield Work("register a base", self.empty.register_base_command(self.base), lambda: self.empty.clear())
        yield Work("register a skill, dare p=.9", lambda: self.store.register_anew_command(self.fine_tunes[0]))
        for kind in ("exact", "magnitude d=.2"):  # no seed makes another skill of the same fine-tune
            command = self.empty.register_command(self.fine_tunes[0], *KINDS[kind])
            yield Work(f"register a skill, {kind}", command, self._only_base)

    def _small(self) -> Iterator[Work]:
        target = ours.expression(_names("skill"), ours.WEIGHTS)
        command = self.tiny.materialize_command(target, self.output, "task_arithmetic")
        yield Work("a merge of tiny models", command, self._clear)
        yield Work("mergestore --help", [ours.COMMAND, "--help"])
        yield Work("mergestore list", self.store.command("list"))

    def _merge(
        self, name: str, method: str, skills: list[str], deliver: bool = False, settings: tuple[str, ...] = ()
    ) -> Work:
        target = ours.expression(skills, ours.WEIGHTS if len(skills) == SKILLS else None)
        command = self.store.materialize_command(target, self.output, method, settings, deliver=deliver)
        return Work(name, command, self._clear)

    def _mergekit(self, method: str) -> Iterator[Work]:
        asked = mergekit.METHODS[method]
        for number, (name, variant) in enumerate(asked.variants().items()):
            path = self.work / f"{method}-{number}.yml"
            mergekit.write_configuration(path, asked, self.base, self.fine_tunes, ours.WEIGHTS, variant.parameters)
            command = [*self._mergekit_command(path), *variant.options]
            yield Work(f"mergekit {method}{name}", command, self._clear, mergekit.OFFLINE, self._warm_up)

    def _mergekit_command(self, path: Path) -> list[str]:
        return [str(self.mergekit), str(path), str(self.output), *mergekit.OPTIONS]

    def _warm_up(self) -> None:
        """One merge for all of mergekit's rows: a run of each that does not count would take many minutes."""
        self._clear()
        mergekit.warm_up(*self._mergekit_command(self.work / "task_arithmetic-0.yml"))

    def agreement(self) -> dict[str, float]:
        """How far our lossless task arithmetic and mergekit's are from each other: the same work was done."""
        works = {work.name: work for work in self._merges()}
        pair = (works["task_arithmetic, 3 exact skills"], works["mergekit task_arithmetic"])
        outputs = [self.work / "our-output", self.work / "their-output"]
        for work, output in zip(pair, outputs, strict=True):
            shutil.rmtree(output, ignore_errors=True)
            command = [str(output) if word == str(self.output) else word for word in work.command]
            subprocess.run(command, check=True, capture_output=True, env={**plain_environment(), **work.environment})
        found = self._answer("benchmarks.agreement", self.base, *outputs)
        for output in outputs:
            shutil.rmtree(output)
        return found

    def _answer(self, module: str, *paths: Path) -> dict[str, float]:
        words = [sys.executable, "-m", module, *map(str, paths)]
        return dict(json.loads(subprocess.run(words, check=True, capture_output=True).stdout))

    def _made(self, kind: str, number: int) -> Path:
        return make(self.work / f"{kind}{number}", self.size, f"--{kind}", str(number))

    def _clear(self) -> None:
        shutil.rmtree(self.output, ignore_errors=True)

    def _only_base(self) -> None:
        self.empty.clear().register_base(self.base)


def _names(stem: str, count: int = SKILLS) -> list[str]:
    return [f"{stem}{number}" for number in range(count)]
