"""`make bench`: what registering and materializing cost, beside copying the same bytes, in one run.

    python -m benchmarks.run [--size 0.5B] [--runs 3] [--work .bench] [--output FILE]

Every figure is a whole process, measured from outside: median of the runs after one warm-up. Models are generated
with fixed seeds (Llama-shaped, bf16, deltas of sigma 1e-3 on weights of sigma 0.02).
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.measure import Cost, machine, repeat, run
from benchmarks.shapes import SHAPES

SKILLS = 3
EXPRESSION = "base + 0.5*skill0 + 0.3*skill1 - 0.2*skill2"


def main() -> None:
    arguments = _arguments()
    work = Path(arguments.work) / arguments.size
    base = _generate(work / "base", arguments.size)
    fine_tunes = [_generate(work / f"fine-tune{number}", arguments.size, number) for number in range(SKILLS)]
    bench = Bench(work, base, fine_tunes, arguments.runs)
    rows = bench.measure()
    report = {
        "machine": machine(),
        "date": datetime.now(UTC).date().isoformat(),
        "size": arguments.size,
        "bytes": (base / "model.safetensors").stat().st_size,
        "runs": arguments.runs,
        "stored_bits_per_parameter": bench.bits,
        "rows": {name: vars(cost) for name, cost in rows.items()},
    }
    print(_table(report, rows))
    if arguments.output:
        Path(arguments.output).write_text(json.dumps(report, indent=2) + "\n")


class Bench:
    """The commands that are measured, over one set of generated models."""

    def __init__(self, work: Path, base: Path, fine_tunes: list[Path], runs: int):
        self.work, self.base, self.fine_tunes, self.runs = work, base, fine_tunes, runs
        self.output = work / "output"
        self.bits: dict[str, float] = {}

    def measure(self) -> dict[str, Cost]:
        """Every row of the table, cheapest first."""
        rows = {"copy the base": self._repeat(["cp", "-r", str(self.base), str(self.output)])}
        rows["register the base"] = repeat(self.runs, lambda: self._register_base(), self._clear_store)
        rows["register a skill (dare, int4, p=0.9)"] = repeat(self.runs, self._register_skill, self._with_base)
        self._fill_store()
        for count in (1, SKILLS):
            rows[f"materialize task_arithmetic, {count} skills"] = self._materialize(count, "task_arithmetic")
        rows[f"materialize dare_ties, {SKILLS} skills"] = self._materialize(SKILLS, "dare_ties")
        rows["list"] = repeat(self.runs, lambda: run(self._command("list")))
        self._clear_output()
        return rows

    def _command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "cli", "--store", str(self.work / "store"), *words]

    def _register_base(self) -> Cost:
        return run(self._command("register", "base", "base", str(self.base)))

    def _register_skill(self) -> Cost:
        return run(self._command("register", "skill", "skill0", str(self.fine_tunes[0]), "--base", "base"))

    def _materialize(self, count: int, method: str) -> Cost:
        expression = EXPRESSION if count == SKILLS else "base + 0.5*skill0"
        words = ("materialize", expression, "-o", str(self.output), "--method", method, "--no-cache", "--no-wait")
        return self._repeat(self._command(*words))

    def _repeat(self, command: list[str]) -> Cost:
        return repeat(self.runs, lambda: run(command), self._clear_output)

    def _clear_output(self) -> None:
        shutil.rmtree(self.output, ignore_errors=True)

    def _clear_store(self) -> None:
        shutil.rmtree(self.work / "store", ignore_errors=True)
        run(self._command("init"))

    def _with_base(self) -> None:
        self._clear_store()
        self._register_base()

    def _fill_store(self) -> None:
        self._with_base()
        for number, path in enumerate(self.fine_tunes):
            self.bits["dare int4 p=0.9"] = self._bits(f"skill{number}", path)
        self.bits["dare int4 p=0.99"] = self._bits("sparse", self.fine_tunes[0], "--drop-rate", "0.99")
        self.bits["exact"] = self._bits("exact", self.fine_tunes[0], "--encoding", "exact")

    def _bits(self, name: str, path: Path, *options: str) -> float:
        command = self._command("--json", "register", "skill", name, str(path), "--base", "base", *options)
        answer = subprocess.run(command, capture_output=True, check=True)
        return float(json.loads(answer.stdout)["bits_per_parameter"])


def _generate(folder: Path, size: str, fine_tune: int | None = None) -> Path:
    # In a process of its own: what this one has ever used counts towards the peak memory of its children.
    number = [] if fine_tune is None else [str(fine_tune)]
    subprocess.run([sys.executable, "-m", "benchmarks.models", str(folder), size, *number], check=True)
    return folder


def _table(report: dict[str, object], rows: dict[str, Cost]) -> str:
    copy = rows["copy the base"]
    lines = [
        f"{report['size']} model, {report['bytes']:,} bytes; {report['machine']}; median of {report['runs']} runs",
        "",
        "| work | wall s | wall / copy | CPU s | peak MiB |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {name} | {cost.wall:.2f} | {cost.wall / copy.wall:.2f} | {cost.cpu:.2f} | {cost.memory:.0f} |"
        for name, cost in rows.items()
    ]
    bits = report["stored_bits_per_parameter"]
    assert isinstance(bits, dict)
    lines += ["", "Stored bits per parameter: " + ", ".join(f"{name} {value:.3f}" for name, value in bits.items())]
    return "\n".join(lines)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=SHAPES, default="0.1B")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--work", default=".bench")
    parser.add_argument("--output", help="file for the figures, as JSON")
    return parser.parse_args()


if __name__ == "__main__":
    main()
