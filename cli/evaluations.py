"""Verbs on scores: evaluations add, list."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from cli.console import say
from cli.options import parse_pairs
from cli.tables import SCORE, table
from cli.verb import Invocation, verb

_TARGET = "A version, NAME[@VERSION|@ALIAS]; a folder that this store made; or the digest of a recipe or output."


@verb
def add(
    invocation: Invocation,
    target: Annotated[str, typer.Argument(metavar="NAME|DIR|DIGEST", help=_TARGET)],
    metric: Annotated[str, typer.Option("--metric", metavar="METRIC", help="What was measured, as recall@10.")],
    value: Annotated[float, typer.Option("--value", metavar="VALUE", help="The score.")],
    dataset: Annotated[str, typer.Option("--dataset", metavar="DATASET", help="On which data, as gsm8k/test.")],
    detail: Annotated[
        list[str] | None,
        typer.Option("--detail", metavar="KEY=VALUE", help="More of it: task, split, commit; repeat it for several."),
    ] = None,
) -> None:
    """Record a score that was measured of a model."""
    details = parse_pairs("--detail", detail, "task=text-retrieval")
    with invocation.open() as store:
        score = store.add_evaluation(target, metric=metric, value=value, dataset=dataset, details=details)
    invocation.answer(score, _added)


@verb
def list_(
    invocation: Invocation,
    target: Annotated[
        str | None,
        typer.Argument(metavar="NAME|DIR|DIGEST", help="Only of this; as for add.", show_default=False),
    ] = None,
) -> None:
    """List the scores of a model, or all of them."""
    with invocation.open() as store:
        found = store.evaluations(target)
    invocation.answer({"evaluations": found}, _listing)


def _added(answer: Mapping[str, Any]) -> None:
    say(f"recorded {answer['metric']} {answer['value']:g} on {answer['dataset']} of {answer['of']}")


def _listing(answer: Mapping[str, Any]) -> None:
    if answer["evaluations"]:
        table("evaluations", answer["evaluations"], SCORE)
    else:
        say("no scores yet; record one with: mergestore evaluations add NAME --metric M --value V --dataset D")
