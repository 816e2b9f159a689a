"""mergestore as its users run it: the commands that are measured, over a store in a work folder."""

from __future__ import annotations

import itertools
import json
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from benchmarks.measure import plain_environment

COMMAND = str(Path(sys.executable).with_name("mergestore"))
WEIGHTS = (0.5, 0.3, 0.2)


def expression(skills: Sequence[str], weights: Sequence[float] | None = None) -> str:
    """The base and these skills; without weights, all have the same."""
    weights = weights or [round(1 / len(skills), 4)] * len(skills)
    return "base" + "".join(f" + {weight}*{skill}" for weight, skill in zip(weights, skills, strict=True))


class OurStore:
    """A store's folder, and the commands on it."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._numbers = itertools.count()

    def command(self, *words: str) -> list[str]:
        """A command line on this store."""
        return [COMMAND, "--store", str(self.folder), *words]

    def clear(self) -> OurStore:
        """Begin with an empty store."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self._answer("init")
        return self

    def register_base(self, path: Path) -> None:
        """Register a base model as ``base``."""
        self._answer("register", "base", "base", str(path))

    def register(self, name: str, path: Path, *options: str) -> float:
        """Register a skill of it; its stored bits per parameter."""
        answer = self._answer("register", "skill", name, str(path), "--base", "base", *options)
        return float(answer["bits_per_parameter"])

    def register_base_command(self, path: Path) -> list[str]:
        """To be measured, on an empty store."""
        return self.command("register", "base", "base", str(path))

    def register_command(self, path: Path, *options: str) -> list[str]:
        """To be measured."""
        return self.command("register", "skill", f"new{next(self._numbers)}", str(path), "--base", "base", *options)

    def register_anew_command(self, path: Path) -> list[str]:
        """To be measured; another seed each time, so that it is never a skill that is there already."""
        return self.register_command(path, "--seed", str(1000 + next(self._numbers)))

    def materialize_command(
        self, target: str, output: Path, method: str, settings: Iterable[str] = (), *, deliver: bool = False
    ) -> list[str]:
        """To be measured; ``deliver``: wait until MLflow has the provenance."""
        options = [word for setting in settings for word in ("--param", setting)] + ([] if deliver else ["--no-wait"])
        words = ("materialize", target, "-o", str(output), "--method", method, "--no-cache", *options)
        return self.command(*words)

    def _answer(self, *words: str) -> dict[str, object]:
        done = subprocess.run(self.command("--json", *words), capture_output=True, env=plain_environment(), check=False)
        if done.returncode:
            raise RuntimeError(f"{' '.join(words)}: {done.stdout.decode()}{done.stderr.decode()}")
        return json.loads(done.stdout or "{}")
