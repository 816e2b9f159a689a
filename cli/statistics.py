"""Verbs on statistics of skills: stats collect, list, show."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.compiled import load_compiler
from cli.console import remark, say
from cli.tables import facts, table
from cli.units import number_text, parse_size, size_text
from cli.verb import Invocation, verb

if TYPE_CHECKING:
    from mergestore import CollectedStatistics

_LISTED = ("skill", "kind", "digest", "examples", "data_digest", "created_at", "created_by")

SkillArgument = Annotated[
    str, typer.Argument(metavar="SKILL[@VERSION|@ALIAS]", help="The skill; its newest version if only the name.")
]


@verb
def collect(
    invocation: Invocation,
    skill: SkillArgument,
    kind: Annotated[
        str,
        typer.Option("--kind", metavar="gram|fisher", help="gram is for regmean, fisher for fisher."),
    ],
    data: Annotated[
        Path,
        typer.Option(
            "--data", metavar="FILE", help="A .jsonl file with an object a line, or a .txt file with a text a line."
        ),
    ],
    examples: Annotated[int, typer.Option("--examples", metavar="N", min=1, help="Use the first N examples.")],
    text_field: Annotated[
        str | None,
        typer.Option(
            "--text-field",
            metavar="FIELD",
            help="Field of a JSON line that holds the text; else text, messages, prompt and completion, or input_ids.",
        ),
    ] = None,
    max_length: Annotated[
        int | None,
        typer.Option("--max-length", metavar="N", min=1, help="Cut examples after N tokens; 512 if not given."),
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option("--batch-size", metavar="N", min=1, help="Examples run at once for gram; 8 if not given."),
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option(
            "--labels",
            metavar="sampled|expected|data",
            help="Labels of fisher's likelihood: drawn from the model, every class by its probability, or the data's. "
            "If not given, expected for a classifier of at most 16 classes, else sampled.",
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option("--seed", metavar="N", help="Seed of what fisher draws: labels, masked tokens; 0 if not given."),
    ] = None,
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            "--checkpoint", metavar="DIR", help="Run this folder, which the skill was made from; else what is rebuilt."
        ),
    ] = None,
    device: Annotated[str, typer.Option("--device", metavar="DEVICE", help="Where to run: cpu or cuda.")] = "cpu",
    memory: Annotated[
        str,
        typer.Option("--memory", metavar="SIZE", help="Hold sums of this size at once; more take several passes."),
    ] = "8GB",
    save_every: Annotated[
        int, typer.Option("--save-every", metavar="N", min=1, help="Save what was found after every N examples.")
    ] = 100,
) -> None:
    """Run a skill's fine-tune on data and keep what fisher or regmean merge with."""
    held = parse_size(memory)
    load_compiler()
    with invocation.open() as store:
        collected = store.collect_statistics(
            skill,
            kind=kind,  # type: ignore[arg-type]  # checked there
            data=data,
            examples=examples,
            text_field=text_field,
            max_length=max_length,
            batch_size=batch_size,
            seed=seed,
            labels=labels,
            checkpoint=checkpoint,
            device=device,
            memory=held,
            save_every=save_every,
            progress=invocation.progress(),
        )
    invocation.answer(collected, _collected)


@verb
def list_(
    invocation: Invocation,
    skill: Annotated[
        str | None,
        typer.Argument(metavar="SKILL[@VERSION|@ALIAS]", help="Only of this version.", show_default=False),
    ] = None,
) -> None:
    """List the statistics of one skill, or of all."""
    with invocation.open() as store:
        found = store.statistics(skill)
    invocation.answer({"statistics": found}, _listing)


@verb
def show(
    invocation: Invocation,
    digest: Annotated[str, typer.Argument(metavar="DIGEST", help="Digest of statistics, or its first digits.")],
) -> None:
    """Show statistics in full: settings, software, size, and of which tensors they are."""
    with invocation.open() as store:
        found = store.show_statistics(digest)
    invocation.answer(found, _record)


def _collected(answer: CollectedStatistics) -> None:
    known = "collected" if answer.created else "collected before:"
    say(f"{known} {answer.kind} of {answer.skill.name}@{answer.skill.version}, {answer.examples:,} examples")
    say(f"  {number_text(answer.tensors, 'tensors')}, {size_text(answer.bytes)}")
    say(f"  {answer.digest}")
    for note in answer.notes:
        remark(f"  note: {note}")


def _listing(answer: Mapping[str, Any]) -> None:
    if answer["statistics"]:
        table("statistics", answer["statistics"], _LISTED)
    else:
        say("no statistics yet; collect some with: mergestore stats collect SKILL --kind gram --data FILE --examples N")


def _record(answer: Mapping[str, Any]) -> None:
    facts({name: value for name, value in answer.items() if name != "tensors"})
    rows = [{"tensor": name, **of} for name, of in answer["tensors"].items()]
    table("tensors", rows, ("tensor", "payload", "transposed", "columns", "rows", "elements"))
