"""Verbs that bring models in: register base, register skill."""

from __future__ import annotations

from typing import Annotated

import typer

from cli import report
from cli.compiled import load_compiler
from cli.options import LicenceOption, MetaOption, NoWaitOption, parse_meta
from cli.verb import Invocation, verb

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="Name to give it, optionally namespace/name.")]


@verb
def base(
    invocation: Invocation,
    name: NameArgument,
    source: Annotated[
        str, typer.Argument(metavar="PATH|hf:REPO[@REV]", help="Model folder, or a model on the Hugging Face Hub.")
    ],
    reference: Annotated[
        bool,
        typer.Option("--reference", help="Leave the weights where they are and check their digests on use."),
    ] = False,
    licence: LicenceOption = None,
    meta: MetaOption = None,
    no_wait: NoWaitOption = False,
) -> None:
    """Register a base model: its weights, config and tokenizer."""
    with invocation.open() as store:
        registered = store.register_base(
            name,
            source,
            reference=reference,
            licence=licence,
            meta=parse_meta(meta),
            wait=not no_wait,
            progress=invocation.progress(),
        )
    invocation.answer(registered, report.registered_base)


@verb
def skill(
    invocation: Invocation,
    name: NameArgument,
    source: Annotated[
        str,
        typer.Argument(
            metavar="PATH|hf:REPO[@REV]", help="Fine-tuned checkpoint or PEFT adapter: a folder, or one on the Hub."
        ),
    ],
    base: Annotated[
        str, typer.Option("--base", metavar="BASE", help="Base model it was fine-tuned from: NAME[@VERSION|@ALIAS].")
    ],
    drop_rate: Annotated[
        float | None,
        typer.Option("--drop-rate", metavar="P", help="Share of values that dare drops, 0 <= P < 1; 0.9 if not given."),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option("--seed", metavar="N", help="Seed of dare's mask, mixed with the content; 0 if not given."),
    ] = None,
    density: Annotated[
        float | None,
        typer.Option(
            "--density", metavar="D", help="Share of values that magnitude keeps, 0 < D < 1; 0.1 if not given."
        ),
    ] = None,
    trim: Annotated[
        str | None,
        typer.Option(
            "--trim",
            metavar="model|tensor",
            help="Whether magnitude keeps the largest of the whole model or of each tensor; model if not given.",
        ),
    ] = None,
    encoding: Annotated[
        str | None,
        typer.Option(
            "--encoding",
            metavar="ENCODING",
            help="How the delta is stored: dare, exact, magnitude or sign, for an adapter lora. "
            "If not given, dare for a checkpoint.",
        ),
    ] = None,
    values: Annotated[
        str | None,
        typer.Option(
            "--values",
            metavar="VALUES",
            help="How dare and magnitude store what they keep: int4, bf16 or exact; int4 if not given.",
        ),
    ] = None,
    allow_missing: Annotated[
        bool,
        typer.Option("--allow-missing", help="Take tensors that the fine-tune lacks from the base."),
    ] = False,
    licence: LicenceOption = None,
    meta: MetaOption = None,
    no_wait: NoWaitOption = False,
) -> None:
    """Register a fine-tune of a base model as a skill: a versioned, compressed delta."""
    load_compiler()
    with invocation.open() as store:
        registered = store.register_skill(
            name,
            source,
            base=base,
            encoding=encoding,
            values=values,
            drop_rate=drop_rate,
            seed=seed,
            density=density,
            trim=trim,
            allow_missing=allow_missing,
            licence=licence,
            meta=parse_meta(meta),
            wait=not no_wait,
            progress=invocation.progress(),
        )
    invocation.answer(registered, report.registered_skill)
