"""Options that several verbs share, and the values they spell."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

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
RecipeOption = Annotated[
    Path | None,
    typer.Option("--recipe", "-r", metavar="FILE", help="Read what to combine, and how, from a YAML or JSON file."),
]
LicenceOption = Annotated[
    str | None,
    typer.Option("--licence", metavar="SPDX", help="Licence of the weights, as an SPDX id or any short text."),
]


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


def one_target(given: str | None, recipe: Path | None, what: str) -> str | Path:
    """What stands on the command line or in a recipe file. Raises UsageError unless it is one of the two."""
    if (given is None) == (recipe is None):
        raise UsageError(
            f"Say what to combine once: {what}, or a recipe file.",
            hint='For instance "llama + 0.6*math", or --recipe recipe.yml',
        )
    return given if given is not None else recipe  # type: ignore[return-value]  # one of them is not None
