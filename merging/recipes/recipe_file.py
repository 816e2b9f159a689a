"""Recipe files: a merge written down as YAML or JSON, with the same power as an expression and its options.

base: llama                          # or, instead of base and skills: expression: "llama + 0.6*math"
method: ties
skills:
  - skill: math@prod
    weight: [0, 0.5, 1]              # a number, a gradient over the layers, or choices by tensor name
    parameters: {density: 0.3}       # of the method, for this skill alone
  - skill: code
    weight: [{filter: self_attn, value: 0.3}, {value: 0.5}]
    base: pretrained                 # the base that its delta was made against, where that is another one
parameters: {lambda: 0.9, trim: tensor}
head: math
dtype: BF16
vocabulary: union                    # base, union, or the skill whose added tokens and tokenizer the result has
tokens:                              # with semantics: mergekit, whose rows single tokens have
  <tool>: {source: math, force: true}
pad_vocabulary: 64
chat_template: math                  # base, a skill, or a file
generation_config: base              # base, or a skill
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from merging.mergekit.alignment import TokenWish
from merging.mergekit.config import read_wishes
from merging.recipes.document import load_document
from merging.setting_text import spelled, spelled_pairs, value_of
from merging.settings import checked, constant, varies
from storage.errors import UsageError

_KEYS = (
    *("expression", "base", "skills", "method", "parameters", "head", "dtype", "semantics"),
    *("vocabulary", "tokens", "pad_vocabulary", "chat_template", "generation_config"),
)
_SKILL_KEYS = ("skill", "weight", "parameters", "base")


@dataclass(frozen=True)
class RecipeFile:
    """What a recipe file says: an expression, and what is chosen beside it; None where it says nothing."""

    expression: str
    method: str | None
    parameters: Mapping[str, Any] | None
    head: str | None
    dtype: str | None
    semantics: str | None
    vocabulary: str | None = None
    pad_vocabulary: int | None = None
    chat_template: str | None = None
    generation_config: str | None = None
    tokens: Mapping[str, TokenWish] | None = None


def read_file(path: Path) -> RecipeFile:
    """Read a recipe file. Raises UsageError naming the file and what is wrong in it."""
    return read_document(load_document(path), str(path))


def read_document(document: Any, where: str) -> RecipeFile:
    """What a recipe says that was read already. Raises UsageError naming ``where`` and what is wrong in it."""
    content = _mapping(document, where, _KEYS)
    parts = {"expression", "base", "skills"} & content.keys()
    if "expression" in parts and len(parts) > 1:
        raise UsageError(
            f"{where} says what is merged twice: expression, and {' and '.join(sorted(parts - {'expression'}))}",
            hint="keep the expression, or base and skills",
        )
    if parts not in ({"expression"}, {"base", "skills"}):
        raise UsageError(
            f"{where} must say what is merged: base and skills, or an expression",
            hint="for example: {base: llama, skills: [{skill: math, weight: 0.6}]}, or {expression: llama + 0.6*math}",
        )
    parameters, given = content.get("parameters"), "expression" in parts
    return RecipeFile(
        expression=_text(content["expression"], where, "expression") if given else _written(content, where),
        method=_optional(content, where, "method"),
        parameters=_parameters(parameters, f"{where}: parameters") if parameters is not None else None,
        head=_optional(content, where, "head"),
        dtype=_optional(content, where, "dtype"),
        semantics=_optional(content, where, "semantics"),
        vocabulary=_optional(content, where, "vocabulary"),
        pad_vocabulary=_whole(content, where, "pad_vocabulary"),
        chat_template=_optional(content, where, "chat_template"),
        generation_config=_optional(content, where, "generation_config"),
        tokens=read_wishes(content["tokens"], f"{where}: tokens") if content.get("tokens") else None,
    )


def _written(content: Mapping[str, Any], where: str) -> str:
    """Base and skills as an expression."""
    skills = content["skills"]
    if not isinstance(skills, list) or not skills:
        raise UsageError(f"{where}: skills must be a list of at least one", hint="skills: [{skill: math, weight: 0.6}]")
    terms = [_term(skill, f"{where}: skills[{place}]") for place, skill in enumerate(skills)]
    return _text(content["base"], where, "base") + "".join(terms)


def _term(skill: Any, where: str) -> str:
    """A skill with its operator."""
    content = {"skill": skill} if isinstance(skill, str) else _mapping(skill, where, _SKILL_KEYS)
    if "skill" not in content:
        raise UsageError(f"{where} names no skill", hint="for example: {skill: math, weight: 0.6}")
    name = _text(content["skill"], where, "skill")
    weight = checked(content.get("weight", 1.0), lambda value: _number(value, where), f"{where}: weight")
    negative = not varies(weight) and float(constant(weight)) < 0
    if negative:
        weight = -float(constant(weight))
    own = _parameters(content["parameters"], f"{where}: parameters") if "parameters" in content else {}
    name += spelled_pairs(own) if own else ""
    delta = f"({name} - {_text(content['base'], where, 'base')})" if "base" in content else name
    return f" {'-' if negative else '+'} {spelled(weight)}*{delta}"


def _parameters(given: Any, where: str) -> dict[str, Any]:
    if not isinstance(given, Mapping):
        raise UsageError(f"{where} must be a table of names and values, found {given!r}")
    return {
        str(name): checked(value, lambda each: _plain(each, where), f"{where}: {name}") for name, value in given.items()
    }


def _plain(value: object, where: str) -> Any:
    if isinstance(value, str):
        return value_of(value)
    if not isinstance(value, bool | int | float):
        raise UsageError(f"{where}: {value!r} is neither a number nor a word")
    return value


def _number(value: object, where: str) -> float:
    number = _plain(value, where)
    if isinstance(number, bool | str):
        raise UsageError(f"{where}: weight {number!r} is not a number")
    if not math.isfinite(number):
        raise UsageError(f"{where}: weight {value!r} is not a finite number")
    return float(number)


def _mapping(value: Any, where: str, keys: tuple[str, ...]) -> Mapping[str, Any]:
    if value is None:
        raise UsageError(f"{where} is empty", hint=f"it is a table with keys such as {keys[0]}")
    if not isinstance(value, Mapping):
        raise UsageError(f"{where} must be a table with keys such as {keys[0]}, found {named(value)}")
    for key in value:
        if key not in keys:
            near = difflib.get_close_matches(str(key), keys, n=1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise UsageError(f"{where}: unknown key {key!r}", hint=f"{hint}known are {', '.join(keys)}")
    return value


def named(value: object) -> str:
    """The kind of a value of a YAML or JSON document, in its words."""
    kinds = {dict: "a table", list: "a list", str: "a text", bool: "a truth value", int: "a number", float: "a number"}
    return kinds.get(type(value), f"{value!r:.50}")


def _text(value: Any, where: str, key: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise UsageError(f"{where}: {key} must be a name, found {value!r}")
    return value.strip()


def _optional(content: Mapping[str, Any], where: str, key: str) -> str | None:
    return None if content.get(key) is None else _text(content[key], where, key)


def _whole(content: Mapping[str, Any], where: str, key: str) -> int | None:
    value = content.get(key)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
        raise UsageError(f"{where}: {key} must be a whole number, found {value!r}")
    return value
