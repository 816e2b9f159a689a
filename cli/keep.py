"""Verbs that keep the house: backup, restore, repair, gc, metrics."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli import upkeep
from cli.compiled import load_compiler
from cli.units import parse_duration, parse_size
from cli.verb import Invocation, verb
from mergestore import IntegrityFailure


@verb
def backup(
    invocation: Invocation,
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Where it goes; a backup that is there gets what is new.")
    ],
    read_data: Annotated[
        bool,
        typer.Option("--read-data", help="Read what the backup has already; copy anew what is damaged in it."),
    ] = False,
) -> None:
    """Copy the whole store to a folder, while others go on writing.

    It is the store as it is at one moment: records, objects, policy. Cache, quarantine and files that are referenced
    where they lie are left out. What is lost in the store is named (exit code 6), and the rest is backed up.
    """
    done = invocation.backup(folder, read_data)
    invocation.answer(done, upkeep.backed_up)
    if not done.ok:
        raise typer.Exit(IntegrityFailure.exit_code)


@verb
def restore(
    invocation: Invocation,
    source: Annotated[Path, typer.Argument(metavar="BACKUP", help="Folder of a backup, or a registry's snapshot.")],
    objects: Annotated[
        str | None,
        typer.Option("--objects", metavar="URL", help="Object storage for the objects; by default the folder."),
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Read the whole backup, and write nothing.")] = False,
    partial: Annotated[
        bool, typer.Option("--partial", help="Leave out objects that are not whole in the backup; they are named.")
    ] = False,
) -> None:
    """Make a store out of a backup, in a new folder.

    Every byte is checked on the way; a damaged backup is refused, naming what is damaged. --database names an empty
    database of either kind. The snapshot of a registry alone (backups/registry-….db) is put back where there is none.
    """
    done = invocation.restore(source, objects, check, partial)
    invocation.answer(done, upkeep.restored)
    if not done.ok:
        raise typer.Exit(IntegrityFailure.exit_code)


@verb
def repair(
    invocation: Invocation,
    copies: Annotated[
        list[Path] | None,
        typer.Option(
            "--from", metavar="DIR", help="Where copies may be: a folder, a backup, another store. May repeat."
        ),
    ] = None,
    apply: Annotated[bool, typer.Option("--apply", help="Mend it; else it is only told what can be.")] = False,
) -> None:
    """Find damage, and mend what can be mended.

    From copies that are named, from the folders that versions came from, or by making it again, if it is the same to
    the bit. What is lost is named, with all that contains it. Nothing sound is changed.
    """
    load_compiler()
    with invocation.open() as store:
        repaired = store.repair(copies=copies or (), apply=apply, progress=invocation.progress())
    invocation.answer(repaired, upkeep.repaired)
    if repaired.exit_code:
        raise typer.Exit(repaired.exit_code)


@verb
def gc(
    invocation: Invocation,
    apply: Annotated[bool, typer.Option("--apply", help="Clear up; else it is only told what there is.")] = False,
    grace: Annotated[
        str,
        typer.Option("--grace", metavar="DURATION", help="How long garbage stays after it was found: 90s, 12h, 14d."),
    ] = "14d",
    cache_limit: Annotated[
        str | None,
        typer.Option(
            "--cache-limit", metavar="SIZE", help="Evict what was not used for longest until the cache takes 50GB, 0, …"
        ),
    ] = None,
) -> None:
    """Find what nothing needs any more, and delete it in time.

    That is objects that no version has, and what work that was cut short has left. With --apply they are noted, and
    deleted by the first gc that comes a grace later. Safe beside running writers.
    """
    limit = None if cache_limit is None else 0 if cache_limit.strip() == "0" else parse_size(cache_limit)
    with invocation.open() as store:
        collected = store.collect_garbage(
            grace=parse_duration(grace), cache_limit=limit, apply=apply, progress=invocation.progress()
        )
    invocation.answer(collected, upkeep.collected)


@verb
def metrics(invocation: Invocation) -> None:
    """Print numbers about the store as Prometheus reads them.

    For the textfile collector of its node_exporter: bytes, quota, garbage, undelivered provenance, when all was read.
    """
    with invocation.open() as store:
        found = store.metrics()
    invocation.answer(found, upkeep.measured)
