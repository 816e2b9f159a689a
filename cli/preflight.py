"""The verb that looks before the leap: check."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from cli import forecast
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
    whole_model,
)
from cli.verb import Invocation, verb


@verb
def check(
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
        Path | None, typer.Option("--output", "-o", metavar="DIR", help="Folder to be written; else the store's cache.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="DIR may be replaced, as materialize does.")] = False,
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
    as_: AsOption = "model",
    rank: RankOption = None,
    energy: EnergyOption = None,
    rest: RestOption = None,
    oversampling: OversamplingOption = None,
    iterations: IterationsOption = None,
    policy: PolicyOption = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Read records and headers only: nothing of how the skills interfere.")
    ] = False,
    plot: Annotated[
        Path | None, typer.Option("--plot", metavar="FILE", help="Draw how the skills interfere into a PNG file.")
    ] = None,
    threads: Annotated[
        int | None, typer.Option("--threads", metavar="N", min=1, help="Threads to compute with; else all cores.")
    ] = None,
) -> None:
    """Tell what a merge needs and risks, before any work."""
    tokens: dict[str, Any] = {
        "vocabulary": vocabulary,
        "pad_vocabulary": pad_vocabulary,
        "chat_template": chat_template,
        "generation_config": generation_config,
    }
    factors = {"rank": rank, "energy": energy, "rest": rest, "oversampling": oversampling, "iterations": iterations}
    adapter = parse_form(as_, whole_model(dtype, tokens), factors)
    parameters = parse_parameters(param)
    asked = one_target(target, recipe, "a merge or an expression")
    load_compiler()
    with invocation.open() as store:
        checked = store.check(
            asked,
            output=output,
            force=force,
            method=method,
            parameters=parameters,
            head=head,
            dtype=dtype,
            semantics=semantics,
            statistics=parse_statistics(statistics),
            task=task,
            **tokens,
            adapter=adapter,
            quick=quick,
            plot=plot,
            threads=threads,
            policy=policy,
            progress=invocation.progress(),
        )
    invocation.answer(checked, forecast.checked)
    if not checked.ok:
        raise typer.Exit(checked.exit_code)
