"""The verb that tells what can be done: the merge methods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

import mergestore
from cli.console import say
from cli.grid import Column, print_grid
from cli.options import SemanticsOption
from cli.verb import Invocation, verb

_NEEDS = {
    "unsparsified": "all of each delta: skills registered with --encoding exact, or adapters",
    "gram": "Gram matrices of each skill: mergestore stats collect SKILL --kind gram",
    "fisher": "Fisher information of each skill: mergestore stats collect SKILL --kind fisher",
}
_EXACTNESS = {
    "bits": "the same bytes anywhere, on any device",
    "library": "the same bytes wherever the C library computes the same sines and roots",
    "torch": "the same bytes with the same version of torch on the same kind of processor",
    "close": "the same but for rounding, which depends on the linear algebra library and its threads",
}


@verb
def methods(
    invocation: Invocation,
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="One method, in full.", show_default=False)] = None,
    semantics: SemanticsOption = None,
) -> None:
    """List the merge methods, or tell all of one."""
    found = mergestore.methods(name, semantics=semantics or "paper")
    if name is None:
        invocation.answer({"methods": found}, _listing)
    else:
        invocation.answer(found[0], _method)


def _listing(answer: Mapping[str, Any]) -> None:
    rows = [[each["name"], each["summary"], ", ".join(each["needs"])] for each in answer["methods"]]
    print_grid("merge methods", [Column("name"), Column("what it does"), Column("needs")], rows)


def _method(method: Mapping[str, Any]) -> None:
    say(f"{method['name']}: {method['summary']}")
    say(f"  {method['formula']}")
    say(f"  source      {method['source']}")
    say(f"  skills      {_skills(method)}")
    for need in method["needs"]:
        say(f"  needs       {_NEEDS[need]}")
    say(f"  repeatable  {_EXACTNESS[method['exactness']]}")
    say()
    _parameters(method["parameters"])


def _skills(method: Mapping[str, Any]) -> str:
    least, most = method["least_skills"], method["most_skills"]
    count = f"{least}" if least == most else f"{least} or more" if most is None else f"{least} to {most}"
    return f"{count}, {'with weights' if method['weighted'] else 'without weights'}"


def _parameters(parameters: Sequence[Mapping[str, Any]]) -> None:
    rows = [
        [each["name"], _spelled(each["default"]), each["allowed"], _where(each), each["summary"]] for each in parameters
    ]
    if rows:
        columns = [Column(name) for name in ("parameter", "default", "allowed", "may differ by", "what it does")]
        print_grid("parameters (--param NAME=VALUE)", columns, rows)


def _where(parameter: Mapping[str, Any]) -> str:
    return ", ".join(word for key, word in (("varies", "tensor"), ("each", "skill")) if parameter[key])


def _spelled(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)
