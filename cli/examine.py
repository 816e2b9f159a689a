"""Verbs that only look: list, show, audit, verify."""

from __future__ import annotations

from typing import Annotated

import typer

from cli import lineage, report, tables
from cli.verb import Invocation, verb
from mergestore import IntegrityFailure, UsageError

NEWEST = 10
"""How many rows of what grows without end a person sees at first."""

ReferenceArgument = Annotated[
    str, typer.Argument(metavar="NAME[@VERSION|@ALIAS]", help="A base model, skill or merge; the newest if only NAME.")
]


@verb
def list_(
    invocation: Invocation,
    kind: Annotated[
        str | None, typer.Argument(metavar="KIND", help="Only these: base, skill or merge.", show_default=False)
    ] = None,
) -> None:
    """List base models, skills and merges."""
    with invocation.open() as store:
        listing = store.list(kind)
    invocation.answer(listing, tables.listing)


@verb
def show(invocation: Invocation, reference: ReferenceArgument) -> None:
    """Show everything recorded about one version."""
    with invocation.open() as store:
        record = store.show(reference)
    invocation.answer(record, tables.record)


@verb
def audit(
    invocation: Invocation,
    reference: ReferenceArgument,
    tree: Annotated[
        bool,
        typer.Option(
            "--tree", help=f"Cut nothing: else the newest {NEWEST} of what was made, came of it and happened."
        ),
    ] = False,
) -> None:
    """Say what is in a model, down to digests, people and times."""
    if tree and invocation.json:
        raise UsageError("--tree and --json exclude each other", hint="Choose one of the two faces.")
    with invocation.open() as store:
        found = store.audit(reference, newest=None if tree or invocation.json else NEWEST)
    invocation.answer(found, lineage.audit)


@verb
def verify(
    invocation: Invocation,
    target: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME|DIR", help="A name, or a materialized folder; else the whole store.", show_default=False
        ),
    ] = None,
) -> None:
    """Check bytes, records and the audit chain for damage."""
    with invocation.open() as store:
        verification = store.verify(target, progress=invocation.progress())
    invocation.answer(verification, report.verification)
    if not verification.ok:
        raise typer.Exit(IntegrityFailure.exit_code)
