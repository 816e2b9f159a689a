"""Verbs that keep the house: gc."""

from __future__ import annotations

from typing import Annotated

import typer

from cli import upkeep
from cli.units import parse_duration
from cli.verb import Invocation, verb


@verb
def gc(
    invocation: Invocation,
    apply: Annotated[bool, typer.Option("--apply", help="Clear up; else it is only told what there is.")] = False,
    grace: Annotated[
        str,
        typer.Option("--grace", metavar="DURATION", help="How long garbage stays after it was found: 90s, 12h, 14d."),
    ] = "14d",
) -> None:
    """Find what nothing needs any more, and delete it in time.

    That is objects that no version has, and what work that was cut short has left. With --apply they are noted, and
    deleted by the first gc that comes a grace later. Safe beside running writers.
    """
    with invocation.open() as store:
        collected = store.collect_garbage(grace=parse_duration(grace), apply=apply, progress=invocation.progress())
    invocation.answer(collected, upkeep.collected)
