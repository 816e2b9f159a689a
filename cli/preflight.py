"""The verb that looks before the leap, and at the ground: check."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from cli import forecast, upkeep
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
from cli.units import parse_duration
from cli.verb import Invocation, verb
from mergestore import UsageError


def _check_store(invocation: Invocation, read_data: bool, subset: str | None, max_duration: str | None) -> None:
    if read_data and subset is not None:
        raise UsageError("--read-data reads everything, --read-data-subset a part", hint="Leave one of them out.")
    seconds = parse_duration(max_duration).total_seconds() if max_duration is not None else None
    with invocation.open() as store:
        found = store.check_store(read_data=read_data, share=subset, seconds=seconds, progress=invocation.progress())
    invocation.answer(found, upkeep.inspected)
    if not found.ok:
        raise typer.Exit(found.exit_code)


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
    read_data: Annotated[bool, typer.Option("--read-data", help="Of the store: read every stored byte too.")] = False,
    read_data_subset: Annotated[
        str | None,
        typer.Option(
            "--read-data-subset",
            metavar="P%|N/T",
            help="Of the store: read so many percent, those that were not read for longest; or part N of T.",
        ),
    ] = None,
    max_duration: Annotated[
        str | None,
        typer.Option("--max-duration", metavar="DURATION", help="Of the store: begin to read nothing after 30m, 2h."),
    ] = None,
) -> None:
    """Tell what a merge risks; without one, check the store.

    The store: whether its records agree with each other and all that they name is there, and on demand its bytes. When
    each object was last read is remembered. verify reads everything, published folders too.
    """
    of_merge = (
        target, recipe, output, force, method, param, head, dtype, semantics, task, statistics, vocabulary,
        pad_vocabulary, chat_template, generation_config, rank, energy, rest, oversampling, iterations, policy,
        quick, plot, threads,
    )  # fmt: skip
    of_store = (read_data, read_data_subset, max_duration)
    if not any(of_merge) and as_ == "model":
        _check_store(invocation, *of_store)
        return
    if any(of_store):
        raise UsageError(
            "--read-data, --read-data-subset and --max-duration are for checking the store, which takes no merge",
            hint="Write: mergestore check --read-data",
        )
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
