"""Options that several verbs share, and the values they spell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from mergestore import UsageError

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
        parameters[name] = _value(text)
    return parameters or None


def _value(text: str) -> object:
    """A number or truth value where the text spells one, else the text itself."""
    truths = {"true": True, "false": False}
    if text.lower() in truths:
        return truths[text.lower()]
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            continue
    return text
