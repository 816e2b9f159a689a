"""Verbs that take versions from one store into another: export, import."""

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
        list[str],
        typer.Argument(
            metavar="NAME[@VERSION|@ALIAS]...", help="Skills, merges and bases; of each the newest if only NAME."
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="The file to write.")],
    lineage: Annotated[
        bool, typer.Option("--lineage", help="With all that they were made from, down to the bases' bytes.")
    ] = False,
    without_bases: Annotated[
        bool, typer.Option("--without-bases", help="With --lineage: leave out bases, which the other store must have.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace a file of that name.")] = False,
) -> None:
    """Write versions with bytes and history into one file."""
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
    bundle: Annotated[Path, typer.Argument(metavar="FILE", help="A file that export has written.")],
    name: Annotated[
        str | None, typer.Option("--as", metavar="NAME", help="Another name for what was exported, if it was one.")
    ] = None,
    namespace: Annotated[
        str | None, typer.Option("--namespace", metavar="NAME", help="Put all of it there: as NAME/math, NAME/llama.")
    ] = None,
    expect: Annotated[
        str | None, typer.Option("--expect", metavar="DIGEST", help="Refuse any bundle but that of this digest.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check all of it, tell what would be, and store nothing.")
    ] = False,
) -> None:
    """Take in an exported file, every digest of it checked."""
    load_compiler()
    with invocation.open() as store:
        imported = store.import_bundle(
            bundle,
            name=name,
            namespace=namespace,
            expected=expect,
            dry_run=dry_run,
            progress=invocation.progress(),
        )
    invocation.answer(imported, report.imported)
