"""Verbs that combine skills: merge names a recipe, materialize computes it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from cli import report
from cli.compiled import load_compiler
from cli.options import (
    AsOption,
    ChatTemplateOption,
    DtypeOption,
    EnergyOption,
    GenerationConfigOption,
    HeadOption,
    IterationsOption,
    MethodOption,
    NoWaitOption,
    OversamplingOption,
    PadVocabularyOption,
    ParameterOption,
    PolicyOption,
    RankOption,
    RecipeOption,
    RestOption,
    SemanticsOption,
    StatisticsOption,
    TaskOption,
    VocabularyOption,
    one_target,
    parse_form,
    parse_parameters,
    parse_statistics,
    refuse_beside,
    whole_model,
)
from cli.units import parse_size
from cli.verb import Invocation, verb
from mergestore import UsageError


@verb
def merge(
    invocation: Invocation,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the merge; its next version is made.")],
    expression: Annotated[
        str | None,
        typer.Argument(
            metavar="EXPRESSION", help='What to combine, as in "llama + 0.6*math - 0.2*toxic@prod".', show_default=False
        ),
    ] = None,
    recipe: RecipeOption = None,
    method: MethodOption = None,
    param: ParameterOption = None,
    head: HeadOption = None,
    dtype: DtypeOption = None,
    semantics: SemanticsOption = None,
    statistics: StatisticsOption = None,
    vocabulary: VocabularyOption = None,
    pad_vocabulary: PadVocabularyOption = None,
    chat_template: ChatTemplateOption = None,
    generation_config: GenerationConfigOption = None,
    from_mergekit: Annotated[
        Path | None,
        typer.Option(
            "--from-mergekit", metavar="FILE", help="Merge what a configuration of mergekit says, as it does."
        ),
    ] = None,
    register: Annotated[
        bool, typer.Option("--register", help="With --from-mergekit: register models that the store does not have.")
    ] = False,
) -> None:
    """Name and version a recipe over a base model and its skills."""
    if from_mergekit is not None:
        refuse_beside("--from-mergekit", {"an expression": expression, "--recipe": recipe, "--method": method})
        refuse_beside("--from-mergekit", {"--statistics": statistics or None})
        load_compiler()
        with invocation.open() as store:
            merged = store.merge_from_mergekit(
                name,
                from_mergekit,
                register=register,
                parameters=parse_parameters(param),
                head=head,
                dtype=dtype,
                semantics=semantics,
                vocabulary=vocabulary,
                pad_vocabulary=pad_vocabulary,
                chat_template=chat_template,
                generation_config=generation_config,
                progress=invocation.progress(),
            )
        invocation.answer(merged, report.merged)
        return
    if register:
        raise UsageError("--register goes with --from-mergekit.", hint="Register models with: mergestore register")
    target = one_target(expression, recipe, "an expression")
    if method == "emr":  # which stores a vector, and so computes
        load_compiler()
    with invocation.open() as store:
        merged = store.merge(
            name,
            target,
            method=method,
            parameters=parse_parameters(param),
            head=head,
            dtype=dtype,
            semantics=semantics,
            progress=invocation.progress(),
            statistics=parse_statistics(statistics),
            vocabulary=vocabulary,
            pad_vocabulary=pad_vocabulary,
            chat_template=chat_template,
            generation_config=generation_config,
        )
    invocation.answer(merged, report.merged)


@verb
def materialize(
    invocation: Invocation,
    target: Annotated[
        str | None,
        typer.Argument(
            metavar="MERGE|EXPRESSION",
            help="A merge, NAME[@VERSION|@ALIAS], an expression, or a recipe's digest.",
            show_default=False,
        ),
    ] = None,
    recipe: RecipeOption = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="DIR", help="Folder to write; else the store's cache, path printed."),
    ] = None,
    device: Annotated[str, typer.Option("--device", metavar="DEVICE", help="Where to compute: cpu or cuda.")] = "cpu",
    method: MethodOption = None,
    param: ParameterOption = None,
    head: HeadOption = None,
    dtype: DtypeOption = None,
    semantics: SemanticsOption = None,
    task: TaskOption = None,
    statistics: StatisticsOption = None,
    vocabulary: VocabularyOption = None,
    pad_vocabulary: PadVocabularyOption = None,
    chat_template: ChatTemplateOption = None,
    generation_config: GenerationConfigOption = None,
    shard_size: Annotated[
        str | None,
        typer.Option("--shard-size", metavar="SIZE", help="Largest size of one weight file, 5GB by default."),
    ] = None,
    as_: AsOption = "model",
    rank: RankOption = None,
    energy: EnergyOption = None,
    rest: RestOption = None,
    oversampling: OversamplingOption = None,
    iterations: IterationsOption = None,
    policy: PolicyOption = None,
    threads: Annotated[
        int | None, typer.Option("--threads", metavar="N", min=1, help="Threads to compute with; else all cores.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace DIR if it is a published model or empty.")] = False,
    no_cache: Annotated[
        bool, typer.Option("--no-cache", help="Compute anew even where the cache has this recipe's result.")
    ] = False,
    no_wait: NoWaitOption = False,
) -> None:
    """Compute a merge into a model folder, or into a LoRA adapter."""
    tokens: dict[str, Any] = {
        "vocabulary": vocabulary,
        "pad_vocabulary": pad_vocabulary,
        "chat_template": chat_template,
        "generation_config": generation_config,
    }
    model = whole_model(dtype, tokens) | {"--shard-size": shard_size}
    adapter = {"rank": rank, "energy": energy, "rest": rest, "oversampling": oversampling, "iterations": iterations}
    own = parse_form(as_, model, adapter)
    given: dict[str, Any] = {
        "output": output,
        "device": device,
        "method": method,
        "parameters": parse_parameters(param),
        "head": head,
        "semantics": semantics,
        "task": task,
        "statistics": parse_statistics(statistics),
        "force": force,
        "cache": not no_cache,
        "threads": threads,
        "wait": not no_wait,
        "policy": policy,
        "progress": invocation.progress(),
    }
    largest = parse_size(shard_size or "5GB")
    asked = one_target(target, recipe, "a merge or an expression")
    load_compiler()
    with invocation.open() as store:
        if own is not None:
            invocation.answer(store.materialize_adapter(asked, **own, **given), report.materialized_adapter)
            return
        materialized = store.materialize(asked, dtype=dtype, shard_size=largest, **tokens, **given)
    invocation.answer(materialized, report.materialized)
