"""Verbs that carry versions from store to store: export, import."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli import report
from cli.compiled import load_compiler
from cli.verb import Invocation, verb


@verb
def export(
    invocation: Invocation,
    references: Annotated[
        list[str], typer.Argument(metavar="NAME[@VERSION|@ALIAS]...", help="What to export: bases, skills, merges.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="The bundle, a tar file.")],
    lineage: Annotated[bool, typer.Option("--lineage", help="With everything that it was made from.")] = False,
    without_bases: Annotated[
        bool, typer.Option("--without-bases", help="With --lineage: leave base models out, which are large.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it exists.")] = False,
) -> None:
    """Write versions into one file, for another store.

    What is not in it, the other store must have.
    """
    load_compiler()
    with invocation.open() as store:
        exported = store.export(
            references,
            output,
            lineage=lineage,
            bases=not without_bases,
            force=force,
            progress=invocation.progress(),
        )
    invocation.answer(exported, report.exported)


@verb
def import_(
    invocation: Invocation,
    path: Annotated[Path, typer.Argument(metavar="FILE", help="A bundle, as export wrote it.")],
    namespace: Annotated[
        str | None, typer.Option("--namespace", metavar="NAME", help="Put all of it there: NAME/math, NAME/code …")
    ] = None,
    expect: Annotated[
        str | None, typer.Option("--expect", metavar="DIGEST", help="Refuse a file of another digest than this.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything, and change nothing.")] = False,
) -> None:
    """Take in what a bundle holds, every digest checked."""
    load_compiler()
    with invocation.open() as store:
        imported = store.import_bundle(
            path, namespace=namespace, expected=expect, dry_run=dry_run, progress=invocation.progress()
        )
    invocation.answer(imported, report.imported)
