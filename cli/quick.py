"""Commands whose words are taken as they are: text needs no conversion, and the library for it 50 ms to load.

typer hands every value to pydantic, even where an option was not given. What these commands leave out is only that
which would not change the value; numbers, and whatever another version of typer does differently, go the usual way.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

_Complaint: Any = typer.BadParameter.__base__  # every complaint of typer's parser


NO_VALUE = "the next option stands where its value should be"


class QuickCommand(TyperCommand):
    """A command with quick parameters."""

    def get_params(self, ctx: Any) -> Any:
        """The parameters, that of --help among them."""
        return _quick(super().get_params(ctx))

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the words; a complaint knows of which command it is."""
        with _placed(ctx):
            return super().parse_args(ctx, args)


class QuickGroup(TyperGroup):
    """A group of commands with quick parameters of its own."""

    def get_params(self, ctx: Any) -> Any:
        """The parameters, that of --help among them."""
        return _quick(super().get_params(ctx))

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the words; a complaint knows of which command it is."""
        with _placed(ctx):
            return super().parse_args(ctx, args)


@contextmanager
def _placed(context: Any) -> Iterator[None]:
    try:
        yield
    except _Complaint as complaint:
        complaint.ctx = complaint.ctx or context
        raise


def _quick(parameters: list[Any]) -> list[Any]:
    for parameter in parameters:
        if hasattr(parameter, "type_descriptor") and "process_value" not in vars(parameter):
            parameter.process_value = _shortcut(parameter, parameter.process_value)
    return parameters


def _is_option(context: Any, word: Any) -> bool:
    """Whether a value is an option of the command: then the value was forgotten before it."""
    options = context.command.params if type(word) is str and word.startswith("--") else ()
    return any(word in parameter.opts for parameter in options)


def _shortcut(parameter: Any, convert: Any) -> Any:
    kind = parameter.type_descriptor.annotation
    optional = parameter.param_type_name == "option"
    several = parameter.nargs != 1 or getattr(parameter, "multiple", False)

    def process_value(context: Any, value: Any) -> Any:
        words = value if several else [value]
        if optional and value is not None and any(_is_option(context, word) for word in words):
            raise typer.BadParameter(NO_VALUE, ctx=context, param=parameter)
        if kind in (Path, list[Path]) and value is not None and "" in words:
            told = "it is empty; name a file or folder (. is the current folder)"
            raise typer.BadParameter(told, ctx=context, param=parameter)
        if value is None and not parameter.required:
            value = () if several else None
        elif type(value) is str and kind in (str, Path):
            value = kind(value)
        else:
            return convert(context, value)
        return value if parameter.callback is None else parameter.callback(context, parameter, value)

    return process_value
