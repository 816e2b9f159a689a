"""What the demo prints: the table, what to read in it, and what to try next."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.table import Table

    from examples.demo.plan import Row

FORMS = {
    "plain": "all weights",
    "classifier": "all weights and a classifier",
    "adapter": "LoRA adapter",
}


@dataclass(frozen=True)
class Measured:
    """One row of the table: the model, the bytes stored for it, and its recall@1 per task in percent."""

    row: Row
    stored_bytes: int
    bits_per_parameter: float
    recall: Mapping[str, float]

    def to_dict(self) -> dict[str, Any]:
        """The row as JSON-ready values."""
        return asdict(self)


def table(rows: Sequence[Measured]) -> Table:
    """All rows, grouped; the best recall of each column is bold."""
    from rich import box
    from rich.table import Table

    tasks = list(rows[0].recall)
    full = rows[0].stored_bytes
    best = {task: max(row.recall[task] for row in rows) for task in tasks}
    made = Table(title="Recall@1 on held-out text, percent", box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False)
    made.add_column("model", no_wrap=True)
    for heading in ("stored\nMB", "bits per\nparam.", "of a\ncopy", *(task.capitalize() for task in tasks)):
        made.add_column(heading, justify="right", no_wrap=True)
    for group, members in groupby(rows, key=lambda measured: measured.row.group):
        if group != "base":
            made.add_row(f"[dim]{group}[/]")
        for measured in members:
            made.add_row(
                measured.row.label if group == "base" else "  " + measured.row.label,
                f"{measured.stored_bytes / 1e6:.2f}",
                f"{measured.bits_per_parameter:.2f}",
                f"{100 * measured.stored_bytes / full:.1f} %",
                *(_mark(measured.recall[task], best[task]) for task in tasks),
            )
    return made


def remarks(rows: Sequence[Measured], final: Mapping[str, float], held_out: Mapping[str, int]) -> list[str]:
    """How to read the table, with its limits."""
    counts = ", ".join(f"{count} {name}" for name, count in held_out.items())
    margin = 100 * (0.25 / min(held_out.values())) ** 0.5
    return [
        f"Recall@1: share of texts whose partner is the nearest of all held-out ones, both directions averaged "
        f"({counts}; one standard error is at most {margin:.0f} points).",
        "English: a docstring's summary finds its paragraph; nobody trains on it, so it shows what a skill costs.",
        "Stored: the skills a model is made of, beside the base, which is stored once; a merge is only a recipe. "
        "Half of each full delta is zero (words that the training text lacks), which costs nothing.",
        "DARE wants small deltas: the full fine-tunes' values stay within about .01, the adapter's reach .04.",
        "Merge weights are round and equal for all skills, picked in a coarse trial on this same held-out text.",
        f"The polyglot carries the French fine-tune's classifier: it names a message's part of Django in "
        f"{final['merge']:.0f} % of cases (the fine-tune {final['fine_tune']:.0f} %, guessing the most frequent "
        f"{final['majority']:.0f} %).",
    ]


def stored(skill: Mapping[str, Any], base: Mapping[str, Any]) -> str:
    """One line on how much a registered skill takes."""
    times = base["bytes"] / skill["stored_bytes"]
    return (
        f"  {skill['stored_bytes'] / 1e6:.2f} MB, {skill['bits_per_parameter']:.2f} bits per parameter, "
        f"{times:.0f} times smaller than a copy ({skill['encoding']})"
    )


def progress(measured: Measured) -> str:
    """One line while the table is being filled."""
    scores = "  ".join(f"{task} {value:.0f}" for task, value in measured.recall.items())
    return f"  {measured.row.label:<42} {scores}"


def timing(seconds: Mapping[str, float]) -> str:
    """Where the time went."""
    parts = ", ".join(f"{title.lower()} {spent:.0f} s" for title, spent in seconds.items())
    return f"\n[dim]Time: {parts}; {sum(seconds.values()):.0f} s in all.[/]"


def next_commands(work: str) -> str:
    """Commands that work as they stand, from the folder the demo was started in."""
    lines = [
        "source .venv/bin/activate",
        f"export MERGESTORE_HOME={work}/store",
        "mergestore list",
        "mergestore show german",
        'mergestore materialize "minilm + 0.8*german + 0.3*spanish" -o my-model',
        "mergestore alias polyglot prod",
        "mergestore audit polyglot@prod --json",
        "mergestore verify",
    ]
    return "\n".join(["\n[bold cyan]Next[/]", *(f"  {line}" for line in lines)])


def _mark(value: float, best: float) -> str:
    return f"[bold]{value:.0f}[/]" if value == best else f"{value:.0f}"
