"""Verbs that point, warn and keep: alias, yank, pin."""

from __future__ import annotations

from typing import Annotated

import typer

from cli import report
from cli.options import NoWaitOption
from cli.verb import Invocation, verb
from mergestore import UsageError


@verb
def alias(
    invocation: Invocation,
    reference: Annotated[
        str, typer.Argument(metavar="NAME[@VERSION]", help="The version to point at; with --remove the name alone.")
    ],
    alias: Annotated[str, typer.Argument(metavar="ALIAS", help="The alias, as in prod: NAME@prod then means it.")],
    remove: Annotated[bool, typer.Option("--remove", help="Take the alias away.")] = False,
    no_wait: NoWaitOption = False,
) -> None:
    """Point an alias at a version, or remove it.

    The history of an alias is kept; show tells it. MLflow shows the aliases of merges that were materialized.
    """
    if remove and "@" in reference:
        raise UsageError(
            f"--remove takes a name, not {reference!r}",
            hint=f"Write: mergestore alias --remove {reference.partition('@')[0]} {alias}",
        )
    with invocation.open() as store:
        change = (store.unalias if remove else store.alias)(reference, alias, wait=not no_wait)
    invocation.answer(change, report.removed_alias if remove else report.set_alias)


@verb
def yank(
    invocation: Invocation,
    reference: Annotated[str, typer.Argument(metavar="NAME@VERSION", help="The version to warn against.")],
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why it must not be used any more.")],
    undo: Annotated[bool, typer.Option("--undo", help="Take a yank back; the reason says why.")] = False,
    no_wait: NoWaitOption = False,
) -> None:
    """Withdraw a version: nothing new may use it.

    Nor may anything new use what came of it.
    What was made of it before stays, and can still be looked at, audited, compared and made again as a check.
    """
    with invocation.open() as store:
        change = (store.unyank if undo else store.yank)(reference, reason, wait=not no_wait)
    invocation.answer(change, report.yanked)


@verb
def pin(
    invocation: Invocation,
    reference: Annotated[str, typer.Argument(metavar="NAME@VERSION", help="The version to keep.")],
    reason: Annotated[
        str | None, typer.Option("--reason", metavar="TEXT", help="Why it must not be deleted.", show_default=False)
    ] = None,
    remove: Annotated[bool, typer.Option("--remove", help="Take the pin away.")] = False,
) -> None:
    """Keep a version, and all it came from, from being deleted.

    A pin stays until it is removed; audits show its reason and since when it is there.
    """
    if remove == (reason is not None):
        raise UsageError(
            "--remove takes no --reason" if remove else "a pin needs a reason",
            hint=f"Write: mergestore pin {reference} {'--remove' if remove else '--reason TEXT'}",
        )
    with invocation.open() as store:
        change = store.pin(reference, reason) if reason is not None else store.unpin(reference)
    invocation.answer(change, report.unpinned if remove else report.pinned)
