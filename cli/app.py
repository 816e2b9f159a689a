"""The command tree: which verbs there are, in the order a person meets them."""

from __future__ import annotations

from typing import Annotated, Any

import typer

import mergestore
from cli import (
    combine,
    console,
    curate,
    describe,
    evaluations,
    evidence,
    examine,
    exchange,
    housekeeping,
    keep,
    logs,
    preflight,
    register,
    statistics,
)
from cli.quick import QuickCommand, QuickGroup
from cli.verb import DatabaseOption, DebugOption, JsonOption, StoreOption

VERBS = (
    "init", "doctor", "register", "stats", "merge", "check", "materialize", "methods", "evaluations",
    "audit", "impact", "find", "diff", "verify", "attest", "anchor",
    "list", "show", "alias", "yank", "pin", "export", "import", "backup", "restore", "repair", "gc", "metrics", "sync",
)  # fmt: skip


class _Verbs(QuickGroup):
    """Lists the verbs in the order of ``VERBS``; typer alone would put the groups last."""

    def list_commands(self, ctx: Any) -> list[str]:
        return sorted(super().list_commands(ctx), key=VERBS.index)


# Plain help, no rich tracebacks, no completion: --help stays quick, and errors are the edge's business.
_PLAIN = {"rich_markup_mode": None, "pretty_exceptions_enable": False, "add_completion": False}

app = typer.Typer(
    name="mergestore",
    cls=_Verbs,
    help="A model registry and versioned merge store: fine-tunes as compressed, versioned skills; "
    "any combination on demand; every byte traced.",
    **_PLAIN,  # type: ignore[arg-type]
)
_register = typer.Typer(help="Register a base model, or a fine-tune of it as a skill.", **_PLAIN)  # type: ignore[arg-type]

_stats = typer.Typer(
    help="Collect what fisher and regmean need, by running skills.",
    **_PLAIN,  # type: ignore[arg-type]
)
_evaluations = typer.Typer(help="Record how models scored, and list it.", **_PLAIN)  # type: ignore[arg-type]


@app.callback(invoke_without_command=True)
def entry(
    context: typer.Context,
    store: StoreOption = None,
    database: DatabaseOption = None,
    json: JsonOption = False,
    debug: DebugOption = False,
    log_format: Annotated[
        str | None,
        typer.Option("--log-format", metavar="FORMAT", help="Log on stderr, as text or json: a line an event."),
    ] = None,
    log_level: Annotated[
        str | None,
        typer.Option("--log-level", metavar="LEVEL", help="Log on stderr from debug, info, warning or error on."),
    ] = None,
    version: Annotated[bool, typer.Option("--version", help="Print the version and leave.")] = False,
) -> None:
    """Remember which store was named before the verb."""
    del json, debug  # Invocation.of has read them
    context.obj = context.obj.at(store, database)
    logs.begin(log_format, log_level)
    if version:
        console.say(mergestore.__version__)
        raise typer.Exit
    if context.invoked_subcommand is None:
        console.say(context.get_help())
        raise typer.Exit


app.add_typer(_register, name="register")
app.add_typer(_stats, name="stats")
app.add_typer(_evaluations, name="evaluations")
for _app, _name, _function in (
    (app, "init", housekeeping.init),
    (app, "doctor", housekeeping.doctor),
    (_register, "base", register.base),
    (_register, "skill", register.skill),
    (_stats, "collect", statistics.collect),
    (_stats, "list", statistics.list_),
    (_stats, "show", statistics.show),
    (app, "merge", combine.merge),
    (app, "check", preflight.check),
    (app, "materialize", combine.materialize),
    (app, "methods", describe.methods),
    (_evaluations, "add", evaluations.add),
    (_evaluations, "list", evaluations.list_),
    (app, "audit", examine.audit),
    (app, "impact", examine.impact),
    (app, "find", examine.find),
    (app, "diff", examine.diff),
    (app, "verify", evidence.verify),
    (app, "attest", evidence.attest),
    (app, "anchor", evidence.anchor),
    (app, "list", examine.list_),
    (app, "show", examine.show),
    (app, "alias", curate.alias),
    (app, "yank", curate.yank),
    (app, "pin", curate.pin),
    (app, "export", exchange.export),
    (app, "import", exchange.import_),
    (app, "backup", keep.backup),
    (app, "restore", keep.restore),
    (app, "repair", keep.repair),
    (app, "gc", keep.gc),
    (app, "metrics", keep.metrics),
    (app, "sync", housekeeping.sync),
):
    _app.command(_name, cls=QuickCommand)(_function)
