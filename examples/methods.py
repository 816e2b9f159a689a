"""Every merge method on the demo's three fine-tunes: ``python -m examples.methods``, after ``make demo``.

Prints a table of recall@1 on held-out text, and with ``--write`` puts it into docs/methods.md.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mergestore
from examples.demo import data, plan
from examples.demo.run import DOCUMENTATION_PAIRS, ROOT, _quieten

if TYPE_CHECKING:
    import torch

PAGE = ROOT / "docs" / "methods.md"
BEGIN, END = "<!-- methods table: begin -->\n", "<!-- methods table: end -->\n"
LOSSLESS = {"german": "german-exact", "french": "french-exact", "spanish": "spanish"}
EXAMPLES, RIVALS, TEMPERATURE = 64, 7, 0.05


@dataclass(frozen=True)
class Row:
    """One merge: its method, the weight of each of the skills, what else is chosen."""

    method: str
    weight: float = 1.0
    skills: tuple[str, ...] = ("german", "french", "spanish")
    parameters: Mapping[str, Any] = field(default_factory=dict)
    task: str | None = None

    @property
    def expression(self) -> str:
        """Over the skills as they are stored whole."""
        factor = "" if self.weight == 1 else f"{self.weight:g}*"
        return " + ".join([plan.BASE, *(factor + LOSSLESS[name] for name in self.skills)])

    @property
    def told(self) -> str:
        """Weights and parameters, as the table has them."""
        said = [f"w = {self.weight:g}"] if self.weight != 1 else []
        said += [f"{name} = {value:g}" for name, value in self.parameters.items()]
        said += ["german + french"] if self.skills == ("german", "french") else []
        said += ["german"] if self.skills == ("german",) else []
        return ", ".join([*said, *([f"task {self.task}"] if self.task else [])])


PAIR = ("german", "french")
ROWS = (
    Row("linear"),
    Row("task_arithmetic", 0.5),
    Row("dare_linear", 0.5, parameters={"drop_rate": 0.5}),
    Row("ties"),
    Row("dare_ties", parameters={"drop_rate": 0.5, "lambda": 0.5}),
    Row("della", parameters={"drop_rate": 0.5, "lambda": 0.5}),
    Row("della_linear", 0.5, parameters={"drop_rate": 0.5}),
    Row("breadcrumbs", 0.5),
    Row("breadcrumbs_ties"),
    Row("sce"),
    Row("fisher"),
    Row("regmean"),
    Row("slerp", skills=PAIR),
    Row("nuslerp", skills=PAIR),
    Row("multislerp"),
    Row("karcher"),
    Row("model_stock"),
    Row("nearswap", skills=("german",)),
    Row("passthrough", skills=("german",)),
    *(Row("emr", task=name) for name in LOSSLESS),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure every method, and print the table."""
    parser = argparse.ArgumentParser(prog="methods", description=__doc__)
    parser.add_argument("--work", type=Path, default=ROOT / ".demo", help="where make demo worked (default: .demo)")
    parser.add_argument("--write", action="store_true", help="put the table into docs/methods.md")
    chosen = parser.parse_args(arguments)
    if not (chosen.work / "results.json").exists():
        print(f"{chosen.work} holds no finished demo: run make demo first", file=sys.stderr)
        return 1
    _quieten()
    with mergestore.open(chosen.work.resolve() / "store", create=False) as store:
        table = "".join(line + "\n" for line in _table(store, chosen.work.resolve()))
    print(table)
    if chosen.write:
        before, rest = PAGE.read_text().split(BEGIN)
        PAGE.write_text(before + BEGIN + table + END + rest.split(END)[1])
    return 0


def _table(store: mergestore.Store, work: Path) -> Iterator[str]:
    corpora = {name: data.load_corpus(name) for name in plan.FINE_TUNES}
    _collect(store, work, corpora)
    documents = data.load_docstrings()
    tasks = {name: [(m.english, m.translation) for m in corpus.test] for name, corpus in corpora.items()}
    tasks["English"] = documents[:: len(documents) // DOCUMENTATION_PAIRS]
    yield "| method | chosen | German | French | Spanish | English |"
    yield "|---|---|---:|---:|---:|---:|"
    for row in ROWS:
        yield _line(row, _measured(store, row, work / "measured", tasks))
    shutil.rmtree(work / "measured", ignore_errors=True)


def _line(row: Row, recall: Mapping[str, float]) -> str:
    told = f"| `{row.method}` | {row.told} | " + " | ".join(f"{value:.0f}" for value in recall.values()) + " |"
    print(told, file=sys.stderr)
    return told


def _measured(store: mergestore.Store, row: Row, folder: Path, tasks: Mapping[str, Any]) -> dict[str, float]:
    from examples.demo import evaluate

    store.materialize(
        row.expression,
        output=folder,
        force=True,
        cache=False,
        wait=False,
        method=row.method,
        parameters=row.parameters,
        head=None if row.task else "none",
        task=LOSSLESS[row.task] if row.task else None,
    )
    return evaluate.measure(folder, tasks)


def _collect(store: mergestore.Store, work: Path, corpora: Mapping[str, data.Corpus]) -> None:
    """Gram matrices of sentences, Fisher information of finding a sentence's translation among others."""
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(work / "base")
    known = {(record["skill"].partition("@")[0], record["kind"]) for record in store.statistics()}
    for name, corpus in corpora.items():
        train = corpus.train[: EXAMPLES + RIVALS]
        texts = work / f"{name}.txt"
        texts.write_text("".join(f"{one}\n" for m in train[:EXAMPLES] for one in (m.english, m.translation)))
        if (LOSSLESS[name], "gram") not in known:
            store.collect_statistics(LOSSLESS[name], kind="gram", data=texts, examples=2 * EXAMPLES)
        pairs = work / f"{name}.jsonl"
        lines = ([train[k].english, *(m.translation for m in train[k : k + 1 + RIVALS])] for k in range(EXAMPLES))
        pairs.write_text("".join(json.dumps({"texts": texts}) + "\n" for texts in lines))
        if (LOSSLESS[name], "fisher") not in known:
            store.collect_statistics(
                LOSSLESS[name],
                kind="fisher",
                data=pairs,
                examples=EXAMPLES,
                model=AutoModel.from_pretrained(work / "base"),
                forward=lambda model, example: _likelihood(model, tokenizer, example["texts"]),
            )


def _likelihood(model: Any, tokenizer: Any, texts: Sequence[str]) -> torch.Tensor:
    """The log-likelihood that the second text translates the first, among all that follow: softmax of cosines."""
    from examples.demo.train import mean_pool

    batch = tokenizer(list(texts), padding=True, truncation=True, return_tensors="pt")
    vectors = mean_pool(model(**batch).last_hidden_state, batch["attention_mask"])
    return (vectors[1:] @ vectors[0] / TEMPERATURE).log_softmax(0)[0]


if __name__ == "__main__":
    raise SystemExit(main())
