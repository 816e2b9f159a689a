"""What every verb shares: the common options, the store it opens, and the two faces of its answer."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, get_type_hints

import typer

import mergestore
from cli import console, logs
from cli.progress import Bars, bars
from mergestore import EnvironmentFailure
from registry.targets import published_folder

if TYPE_CHECKING:
    from mergestore import BackedUp, Restored, Result, Store

Answer = TypeVar("Answer", bound="Result | dict[str, Any]")

StoreOption = Annotated[
    Path | None,
    typer.Option(
        "--store", metavar="DIR", help="Folder of the store; else $MERGESTORE_HOME, else the user's data folder."
    ),
]
DatabaseOption = Annotated[
    str | None,
    typer.Option(
        "--database", metavar="URL", help="Database of the registry; else $MERGESTORE_DATABASE, else SQLite in DIR."
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout, errors too.")]
DebugOption = Annotated[bool, typer.Option("--debug", help="Show the traceback of a bug.")]

COMMON_OPTIONS = ("store", "database", "json", "debug")  # the names they have on every command


@dataclass(frozen=True)
class Invocation:
    """One run of the command line: which store, which face, how much to tell."""

    json: bool = False
    debug: bool = False
    store: Path | None = None
    database: str | None = None

    @classmethod
    def of(cls, arguments: Sequence[str]) -> Invocation:
        """Read the flags before any parsing, so that a parsing error too has the face asked for."""
        flags = arguments[: arguments.index("--")] if "--" in arguments else arguments
        return cls(json="--json" in flags, debug="--debug" in flags)

    def at(self, store: Path | None, database: str | None) -> Invocation:
        """The same run, with the store and database named at one more place of the command line."""
        return replace(self, store=store or self.store, database=database or self.database)

    def init(self, objects: str | None, downgrade: str | None, quota: int | None) -> dict[str, Any]:
        """Make the store that was named, bring it up to date, or take it back to an older schema."""
        return mergestore.init(self.store, database=self.database, objects=objects, downgrade=downgrade, quota=quota)

    def open(self) -> Store:
        """The store that was named, which must be there: a mistyped folder is an error, not a new store."""
        store = mergestore.open(self.store, database=self.database, create=False)
        logs.about(store=str(store.home.root), actor=store.actor)
        if logs.wanted():
            logs.about(store_id=store.id)
        return store

    def doctor(self) -> dict[str, Any]:
        """Look at the store that was named and all around it, also where it cannot be opened."""
        return mergestore.doctor(self.store, database=self.database)

    def backup(self, folder: Path, read_data: bool) -> BackedUp:
        """Copy the store that was named to a folder."""
        return mergestore.backup(
            folder, self.store, database=self.database, read_data=read_data, progress=self.progress()
        )

    def restore(self, source: Path, objects: str | None, check: bool, partial: bool) -> Restored:
        """Make the store that was named out of a backup."""
        given = {"database": self.database, "objects": objects}
        return mergestore.restore(source, self.store, **given, check=check, partial=partial, progress=self.progress())

    def progress(self) -> Bars | None:
        """Bars on stderr where a person can see them."""
        return bars()

    def answer(self, result: Answer, render: Callable[[Answer], None]) -> None:
        """Print ``result`` as JSON, or let ``render`` tell it to a person."""
        logs.answered(result)
        if self.json:
            console.print_document(result if isinstance(result, dict) else result.to_dict())
        else:
            render(result)


def store_or_folder(invocation: Invocation, target: str | None) -> Store | Path:
    """The store that was named; where none can be had, the published folder that is meant, which tells of itself."""
    try:
        return invocation.open()
    except EnvironmentFailure:
        folder = published_folder(target) if target is not None else None
        if folder is None:
            raise
        return folder


def verb(function: Callable[..., None]) -> Callable[..., None]:
    """Turn ``function(invocation, …)`` into a typer command that accepts the common options as well."""
    hints = get_type_hints(function, include_extras=True)
    own = list(inspect.signature(function).parameters.values())[1:]
    argument = next((each.name for each in own if _is_argument(hints[each.name])), None)

    @functools.wraps(function)
    def command(context: typer.Context, store: Path | None, database: str | None, **given: Any) -> None:
        for flag in ("json", "debug"):
            del given[flag]  # Invocation.of has read them
        invocation = context.obj.at(store, database)
        subject = given.get(argument) if argument is not None else None
        with logs.told(context.command_path.partition(" ")[2], invocation.store, str(subject) if subject else None):
            function(invocation, **given)

    parameters = [_parameter("context", typer.Context)]
    parameters += [_parameter(one.name, hints[one.name], one.default) for one in own]
    common = ((StoreOption, None), (DatabaseOption, None), (JsonOption, False), (DebugOption, False))
    parameters += [_parameter(name, *option) for name, option in zip(COMMON_OPTIONS, common, strict=True)]
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return command


def _is_argument(hint: Any) -> bool:
    return any(isinstance(each, typer.models.ArgumentInfo) for each in getattr(hint, "__metadata__", ()))


def _parameter(name: str, annotation: Any, default: Any = inspect.Parameter.empty) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default)
