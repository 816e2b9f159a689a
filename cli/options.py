"""Options that several verbs share, and the values they spell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from mergestore import UsageError
from merging.setting_text import parse_setting

MethodOption = Annotated[
    str | None,
    typer.Option(
        "--method",
        metavar="METHOD",
        help="How weights combine, by default task_arithmetic; 'mergestore methods' lists them.",
    ),
]
ParameterOption = Annotated[
    list[str] | None,
    typer.Option(
        "--param",
        metavar="NAME=VALUE",
        help="A parameter of the method; repeat it for several. 'mergestore methods METHOD' lists them.",
    ),
]
HeadOption = Annotated[
    str | None,
    typer.Option("--head", metavar="SKILL|none", help="Whose task head the result carries, where skills bring one."),
]
DtypeOption = Annotated[
    str | None,
    typer.Option("--dtype", metavar="DTYPE", help="Type of the result: BF16, F16 or F32; else the base's own."),
]
StatisticsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--statistics",
        metavar="SKILL=DIGEST",
        help="Which statistics of a skill fisher and regmean use, else the newest; repeat it for several skills.",
    ),
]
RecipeOption = Annotated[
    Path | None,
    typer.Option("--recipe", "-r", metavar="FILE", help="Read what to combine, and how, from a YAML or JSON file."),
]
SemanticsOption = Annotated[
    str | None,
    typer.Option(
        "--semantics",
        metavar="paper|mergekit",
        help="Compute as the methods' papers say, which is the default, or as mergekit does, bit for bit.",
    ),
]
TaskOption = Annotated[
    str | None,
    typer.Option("--task", metavar="SKILL", help="Whose model is made, of a merge by emr: it has one of each skill."),
]
VocabularyOption = Annotated[
    str | None,
    typer.Option(
        "--vocabulary",
        metavar="base|union|SKILL",
        help="Whose added tokens and tokenizer the result has: none's (the default), all skills', or one's.",
    ),
]
PadVocabularyOption = Annotated[
    int | None,
    typer.Option("--pad-vocabulary", metavar="N", help="Pad the vocabulary with zeros to a multiple of N rows."),
]
ChatTemplateOption = Annotated[
    str | None,
    typer.Option(
        "--chat-template",
        metavar="base|SKILL|FILE",
        help="Whose chat template, or a file that ends in .jinja; else it goes with the tokenizer.",
    ),
]
GenerationConfigOption = Annotated[
    str | None,
    typer.Option(
        "--generation-config", metavar="base|SKILL", help="Whose generation config; else it goes with the tokenizer."
    ),
]
LicenceOption = Annotated[
    str | None,
    typer.Option(
        "--licence",
        metavar="SPDX",
        help="Licence of the weights, an SPDX expression, as 'MIT OR Apache-2.0'; else what the model card declares.",
    ),
]
MetaOption = Annotated[
    list[str] | None,
    typer.Option(
        "--meta",
        metavar="KEY=VALUE",
        help="What is known of its training: data set, commit, run id; repeat it for several.",
    ),
]
PolicyOption = Annotated[
    Path | None,
    typer.Option("--policy", metavar="FILE", help="A policy to hold beside the store's own: a YAML or JSON file."),
]
NoWaitOption = Annotated[bool, typer.Option("--no-wait", help="Leave the provenance for 'mergestore sync' to deliver.")]
AsOption = Annotated[
    str,
    typer.Option("--as", metavar="model|lora", help="What to make: the whole model, or a LoRA adapter of its delta."),
]
RankOption = Annotated[
    int | None,
    typer.Option("--rank", metavar="N", help="Of an adapter: rank of every layer; with --energy, the largest."),
]
EnergyOption = Annotated[
    float | None,
    typer.Option("--energy", metavar="SHARE", help="Of an adapter: the smallest ranks that keep this share, as 0.99."),
]
RestOption = Annotated[
    str | None,
    typer.Option(
        "--rest",
        metavar="save|drop|refuse",
        help="Of an adapter: what becomes of changed tensors that are no linear weights; by default saved whole.",
    ),
]
OversamplingOption = Annotated[
    int | None,
    typer.Option("--oversampling", metavar="N", help="Of an adapter: columns that are drawn beyond the rank, 16."),
]
IterationsOption = Annotated[
    int | None,
    typer.Option("--iterations", metavar="N", help="Of an adapter: power iterations of the random projection, 3."),
]


def parse_form(form: str, model: Mapping[str, object], adapter: Mapping[str, Any]) -> dict[str, Any] | None:
    """What was chosen for an adapter, None where a whole model is asked for; options of the other form are refused."""
    if form not in ("model", "lora"):
        raise UsageError(f"--as {form!r} is unknown", hint="Choose model or lora.")
    chosen = {name: value for name, value in adapter.items() if value is not None}
    if form == "model" and chosen:
        raise UsageError(f"--{next(iter(chosen))} is an adapter's", hint="Add --as lora, or leave it out.")
    if form == "lora" and (wrong := next((name for name, value in model.items() if value is not None), None)):
        raise UsageError(
            f"{wrong} is a whole model's",
            hint="Leave it out: an adapter is factors in F32, in one file, without tokenizer or config.",
        )
    return chosen if form == "lora" else None


def whole_model(dtype: str | None, tokens: Mapping[str, object]) -> dict[str, object]:
    """Options that only a whole model has, as they are written."""
    return {"--dtype": dtype, **{f"--{name.replace('_', '-')}": value for name, value in tokens.items()}}


def parse_parameters(given: Sequence[str] | None) -> dict[str, object] | None:
    """Method parameters from ``name=value`` words; None when there are none."""
    parameters: dict[str, object] = {}
    for word in given or ():
        name, equals, text = word.partition("=")
        if not name or not equals:
            raise UsageError(f"--param {word!r} is not NAME=VALUE", hint="Write for instance: --param density=0.2")
        if name in parameters:
            raise UsageError(f"--param {name} is given twice", hint="Give each parameter once.")
        parameters[name] = parse_setting(text, f"--param {name}")
    return parameters or None


def parse_meta(given: Sequence[str] | None) -> dict[str, str] | None:
    """Metadata by key from ``key=value`` words; None when there are none."""
    return parse_pairs("--meta", given, "dataset=gsm8k")


def parse_pairs(option: str, given: Sequence[str] | None, example: str) -> dict[str, str] | None:
    """Values by key from the ``key=value`` words of an option; None when there are none."""
    pairs: dict[str, str] = {}
    for word in given or ():
        key, equals, value = word.partition("=")
        if not key or not equals or not value:
            raise UsageError(f"{option} {word!r} is not KEY=VALUE", hint=f"Write for instance: {option} {example}")
        if key in pairs:
            raise UsageError(f"{option} {key} is given twice", hint="Give each key once.")
        pairs[key] = value
    return pairs or None


def parse_statistics(given: Sequence[str] | None) -> dict[str, str] | None:
    """Digests by skill from ``skill=digest`` words; None when there are none."""
    chosen: dict[str, str] = {}
    for word in given or ():
        skill, equals, digest = word.partition("=")
        if not skill or not equals or not digest:
            raise UsageError(
                f"--statistics {word!r} is not SKILL=DIGEST", hint="'mergestore stats list' shows digests."
            )
        if skill in chosen:
            raise UsageError(f"--statistics {skill} is given twice", hint="Give each skill once.")
        chosen[skill] = digest
    return chosen or None


def one_target(given: str | None, recipe: Path | None, what: str) -> str | Path:
    """What stands on the command line or in a recipe file. Raises UsageError unless it is one of the two."""
    if (given is None) == (recipe is None):
        raise UsageError(
            f"Say what to combine once: {what}, or a recipe file.",
            hint='For instance "llama + 0.6*math", or --recipe recipe.yml',
        )
    return given if given is not None else recipe  # type: ignore[return-value]  # one of them is not None


def refuse_beside(option: str, others: Mapping[str, object | None]) -> None:
    """Raise UsageError for what stands beside an option that says the same itself."""
    for name, value in others.items():
        if value is not None:
            raise UsageError(f"{option} and {name} say the same twice.", hint="Leave one of them out.")
