"""Verbs about the store itself: init, doctor, sync."""

from __future__ import annotations

from typing import Annotated

import typer

from cli import report
from cli.units import parse_quota
from cli.verb import Invocation, verb
from mergestore import EnvironmentFailure


@verb
def init(
    invocation: Invocation,
    objects: Annotated[
        str | None,
        typer.Option(
            "--objects",
            metavar="URL",
            help="Object storage of a new store, s3://bucket/prefix; else $MERGESTORE_OBJECTS, else a folder in DIR.",
        ),
    ] = None,
    downgrade: Annotated[
        str | None,
        typer.Option("--downgrade", metavar="SCHEMA", help="Take the database back, for an older mergestore: 0003."),
    ] = None,
    quota: Annotated[
        str | None,
        typer.Option("--quota", metavar="SIZE", help="How large objects may be together: 500GB; 0 takes it away."),
    ] = None,
) -> None:
    """Create the store, or update an older one's database.

    A database with something in it is backed up before its schema changes, to the store's folder backups.
    """
    invocation.answer(invocation.init(objects, downgrade, parse_quota(quota)), report.initialized)


@verb
def doctor(invocation: Invocation) -> None:
    """Check the store and what it stands on.

    That is: disk, database, libraries, devices and MLflow.
    """
    findings = invocation.doctor()
    invocation.answer(findings, report.findings)
    if not findings["ok"]:
        raise typer.Exit(EnvironmentFailure.exit_code)


@verb
def sync(invocation: Invocation) -> None:
    """Deliver the provenance that MLflow has not received yet."""
    with invocation.open() as store:
        delivery = store.sync()
    invocation.answer(delivery, report.delivered)
    if delivery["errors"]:
        raise typer.Exit(EnvironmentFailure.exit_code)
