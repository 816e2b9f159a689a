"""Commands whose words are taken as they are: text needs no conversion, and the library for it 50 ms to load.

typer hands every value to pydantic, even where an option was not given. What these commands leave out is only that
which would not change the value; numbers, and whatever another version of typer does differently, go the usual way.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from typer.core import TyperCommand, TyperGroup


class QuickCommand(TyperCommand):
    """A command with quick parameters."""

    def get_params(self, ctx: Any) -> Any:
        """The parameters, that of --help among them."""
        return _quick(super().get_params(ctx))


class QuickGroup(TyperGroup):
    """A group of commands with quick parameters of its own."""

    def get_params(self, ctx: Any) -> Any:
        """The parameters, that of --help among them."""
        return _quick(super().get_params(ctx))


def _quick(parameters: list[Any]) -> list[Any]:
    for parameter in parameters:
        if hasattr(parameter, "type_descriptor") and "process_value" not in vars(parameter):
            parameter.process_value = _shortcut(parameter, parameter.process_value)
    return parameters


def _shortcut(parameter: Any, convert: Any) -> Any:
    kind = parameter.type_descriptor.annotation
    several = parameter.nargs != 1 or getattr(parameter, "multiple", False)

    def process_value(context: Any, value: Any) -> Any:
        if value is None and not parameter.required:
            value = () if several else None
        elif type(value) is str and kind in (str, Path):
            value = kind(value)
        else:
            return convert(context, value)
        return value if parameter.callback is None else parameter.callback(context, parameter, value)

    return process_value
