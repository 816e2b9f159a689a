"""Verbs that only look: list, show, audit, impact, find, diff."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from cli import lineage, report, tables
from cli.compiled import load_compiler
from cli.console import print_document, say
from cli.options import MetaOption, parse_meta
from cli.verb import Invocation, store_or_folder, verb
from mergestore import Audit, Influence, IntegrityFailure, UsageError

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
    target: Annotated[
        str,
        typer.Argument(
            metavar="NAME|DIR|DIGEST",
            help="A version, NAME[@VERSION|@ALIAS]; a published folder; or the digest of a version, recipe or output.",
        ),
    ],
    tree: Annotated[
        bool,
        typer.Option(
            "--tree", help=f"Cut nothing: else no times, and the newest {NEWEST} of what was made and happened."
        ),
    ] = False,
    mermaid: Annotated[bool, typer.Option("--mermaid", help="Print the lineage as a Mermaid flow chart.")] = False,
    dot: Annotated[bool, typer.Option("--dot", help="Print the lineage as a Graphviz digraph.")] = False,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write all of it into one page that opens offline.")
    ] = None,
    bom: Annotated[
        bool, typer.Option("--bom", help="Print it as a bill of materials: CycloneDX 1.6, JSON, with a model card.")
    ] = False,
    tensor: Annotated[
        str | None,
        typer.Option(
            "--tensor", metavar="PATTERN", help="Which skills touched these tensors: part of a name, or '*' for all."
        ),
    ] = None,
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Make it again from its lineage, compare every tensor, keep a receipt.")
    ] = False,
    device: Annotated[
        str | None, typer.Option("--device", metavar="DEVICE", help="With --rebuild, where to compute: cpu or cuda.")
    ] = None,
    threads: Annotated[
        int | None, typer.Option("--threads", metavar="N", min=1, help="With --rebuild, threads to compute with.")
    ] = None,
) -> None:
    """Say what is in a model, down to digests, people and times."""
    if rebuild:
        _rebuild(
            invocation,
            target,
            device or "cpu",
            threads,
            {
                "--tree": tree,
                "--mermaid": mermaid,
                "--dot": dot,
                "--html": html is not None,
                "--bom": bom,
                "--tensor": tensor is not None,
            },
        )
        return
    if device is not None or threads is not None:
        raise UsageError("--device and --threads go with --rebuild", hint="An audit computes nothing.")
    if tensor is not None:
        if tree or mermaid or dot or bom or html is not None:
            raise UsageError("--tensor is a face of its own", hint="Leave the other one out.")
        invocation.answer(_influence(invocation, target, tensor), lineage.influence)
        return
    faces = {
        "--tree": tree,
        "--json": invocation.json and not bom,
        "--mermaid": mermaid,
        "--dot": dot,
        "--html": html is not None,
    }
    faces["--bom"] = bom  # which is JSON itself
    chosen = [face for face, asked in faces.items() if asked]
    if len(chosen) > 1:
        raise UsageError(f"{' and '.join(chosen)} exclude each other", hint="Choose one face.")
    if bom:
        print_document(_bill(invocation, target))
        return
    found = _audited(invocation, target, None if chosen else NEWEST)
    if mermaid or dot:
        from registry.audits import drawing

        say(drawing.mermaid(found.lineage) if mermaid else drawing.dot(found.lineage))
    elif html is not None:
        from registry.audits import page

        page.write(found, html)
        say(str(html))
    else:
        invocation.answer(found, lineage.audit_in_full if tree else lineage.audit)
    if any(check["ok"] is False for check in found.checks):
        raise typer.Exit(IntegrityFailure.exit_code)


def _rebuild(invocation: Invocation, target: str, device: str, threads: int | None, others: Mapping[str, bool]) -> None:
    if wrong := [option for option, given in others.items() if given]:
        raise UsageError(f"{wrong[0]} is a face of an audit, and --rebuild has its own", hint="Leave one of them out.")
    load_compiler()
    with invocation.open() as store:
        rebuilt = store.rebuild(target, device=device, threads=threads, progress=invocation.progress())
    invocation.answer(rebuilt, report.rebuilt)
    if rebuilt.ok is False:
        raise typer.Exit(IntegrityFailure.exit_code)


def _audited(invocation: Invocation, target: str, newest: int | None) -> Audit:
    found = store_or_folder(invocation, target)
    if isinstance(found, Path):
        from registry.audits.folder import audit_folder

        return audit_folder(found, newest=newest)
    with found as store:
        return store.audit(target, newest=newest)


def _influence(invocation: Invocation, target: str, pattern: str) -> Influence:
    found = store_or_folder(invocation, target)
    if isinstance(found, Path):
        from registry.audits.influence import influence_of_folder

        return influence_of_folder(found, pattern)
    with found as store:
        return store.influence(target, pattern)


def _bill(invocation: Invocation, target: str) -> dict[str, Any]:
    found = store_or_folder(invocation, target)
    if isinstance(found, Path):
        from registry.evidence.bom import bill_of_folder

        return bill_of_folder(found)
    with found as store:
        return store.bom(target)


@verb
def impact(
    invocation: Invocation,
    reference: Annotated[
        str,
        typer.Argument(
            metavar="NAME|DIGEST", help="A version, NAME[@VERSION|@ALIAS]; or its digest, or how it begins."
        ),
    ],
    all_: Annotated[bool, typer.Option("--all", help=f"Cut nothing: else the newest {NEWEST} of each.")] = False,
) -> None:
    """Tell which merges, aliases and outputs contain a version."""
    with invocation.open() as store:
        found = store.impact(reference, newest=None if all_ or invocation.json else NEWEST)
    invocation.answer(found, lineage.impact)


@verb
def find(
    invocation: Invocation,
    kind: Annotated[str, typer.Argument(metavar="KIND", help="bases, skills, merges, materializations or events.")],
    contains: Annotated[
        str | None, typer.Option("--contains", metavar="NAME", help="A version that goes into it, through others too.")
    ] = None,
    base: Annotated[str | None, typer.Option("--base", metavar="NAME", help="Their base.")] = None,
    method: Annotated[str | None, typer.Option("--method", metavar="METHOD", help="How it was merged.")] = None,
    encoding: Annotated[str | None, typer.Option("--encoding", metavar="ENCODING", help="Of skills.")] = None,
    seed: Annotated[
        int | None, typer.Option("--seed", metavar="N", help="Of a skill's mask, or of a merge's parameters or skills.")
    ] = None,
    licence: Annotated[
        str | None,
        typer.Option(
            "--licence", metavar="SPDX", help="Stated, alone or in an expression; of merges, by what is in them."
        ),
    ] = None,
    state: Annotated[str | None, typer.Option("--state", metavar="STATE", help="ready, yanked or quarantined.")] = None,
    never: Annotated[
        str | None, typer.Option("--never", metavar="materialized|evaluated", help="Merges that never were.")
    ] = None,
    software: Annotated[
        str | None, typer.Option("--software", metavar="VERSION", help="The version of mergestore that computed it.")
    ] = None,
    device: Annotated[str | None, typer.Option("--device", metavar="DEVICE", help="Where it was computed.")] = None,
    action: Annotated[str | None, typer.Option("--action", metavar="ACTION", help="As version.yank.")] = None,
    subject: Annotated[str | None, typer.Option("--subject", metavar="SUBJECT", help="Of events, as math@1.")] = None,
    by: Annotated[str | None, typer.Option("--by", metavar="ACTOR", help="Who did it.")] = None,
    since: Annotated[str | None, typer.Option("--since", metavar="DATE", help="Not before this moment.")] = None,
    until: Annotated[str | None, typer.Option("--until", metavar="DATE", help="Before this moment.")] = None,
    meta: MetaOption = None,
    limit: Annotated[int, typer.Option("--limit", metavar="N", help="Rows of a page.")] = 50,
    page: Annotated[int, typer.Option("--page", metavar="K", help="Which page; the first has the newest.")] = 1,
) -> None:
    """Find bases, skills, merges, materializations or events."""
    asked = {
        "contains": contains, "base": base, "method": method, "encoding": encoding, "seed": seed, "licence": licence,
        "state": state, "never": never, "software": software, "device": device, "action": action, "subject": subject,
        "by": by, "since": since, "until": until,
    }  # fmt: skip
    with invocation.open() as store:
        found = store.find(kind, limit=limit, page=page, meta=parse_meta(meta) or {}, **asked)
    invocation.answer(found, tables.found)


@verb
def diff(
    invocation: Invocation,
    one: Annotated[str, typer.Argument(metavar="NAME|DIR", help="A version, or a model folder.")],
    other: Annotated[str, typer.Argument(metavar="NAME|DIR", help="What to compare it with.")],
    all_: Annotated[bool, typer.Option("--all", help=f"Every tensor: else the {NEWEST} that differ most.")] = False,
    threads: Annotated[
        int | None, typer.Option("--threads", metavar="N", min=1, help="Threads to compute with; else all cores.")
    ] = None,
) -> None:
    """Compare two models: what they are made of, and every tensor."""
    load_compiler()
    with invocation.open() as store:
        found = store.diff(one, other, threads=threads, progress=invocation.progress())
    invocation.answer(found, lambda answer: report.difference(answer, None if all_ else NEWEST))
