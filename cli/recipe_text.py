"""A recipe in words: the method, and all else that makes the result what it is; models by their names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from merging.setting_text import spelled, spelled_pairs

Recipe = Mapping[str, Any]
Names = Mapping[str, str]
"""References by digest."""


def recipe_lines(recipe: Recipe, names: Names) -> Iterator[str]:
    """The method first, then what else is said, a line for each."""
    yield method_line(recipe)
    if recipe.get("task"):
        yield f"task {names.get(recipe['task'], recipe['task'])}"
    if "adapter" in recipe:
        said = (f"{name} {value}" for name, value in recipe["adapter"].items() if value is not None)
        yield f"adapter {', '.join(said)}"
    if recipe.get("dtype"):
        yield f"dtype {recipe['dtype']}"
    first = 0
    for part in recipe.get("slices", ()):
        models = (_stacked(model, part["layers"], names) for model in part["models"])
        own = f" {spelled_pairs(part['parameters'])}" if part["parameters"] else ""
        yield f"layers {first} to {first + part['layers'] - 1}: {', '.join(models)}{own}"
        first += part["layers"]
    if "vocabulary" in recipe:
        yield from _vocabulary(recipe["vocabulary"], names)
    for key in ("chat_template", "generation_config"):
        if key in recipe:
            source = recipe[key]["source"] if key == "chat_template" else recipe[key]
            yield f"{key.replace('_', ' ')} of {'a file' if source == 'file' else names.get(source, source)}"


def inner_lines(nodes: Sequence[Mapping[str, Any]], root: str, names: Names) -> Iterator[str]:
    """What recipes of what was merged before say beside their method and weights, which stand in the tree."""
    for node in nodes:
        if node["id"] != root and node.get("recipe"):
            yield from (f"{node['id']}: {line}" for line in [*recipe_lines(node["recipe"], names)][1:])


def method_line(recipe: Recipe) -> str:
    """The method with its parameters, and whose arithmetic it is if not the papers'."""
    parameters = "".join(f", {name} {spelled(value)}" for name, value in recipe["parameters"].items())
    semantics = recipe["semantics"]
    told = "" if semantics == "paper" else f", with the semantics of {semantics}"
    return f"method {recipe['method']}{parameters}{told}"


def _stacked(model: Mapping[str, Any], layers: int, names: Names) -> str:
    own = f" {spelled_pairs(model['parameters'])}" if model.get("parameters") else ""
    span = f"{model['first']} to {model['first'] + layers - 1}"
    return f"{spelled(model['weight'])} * layers {span} of {names.get(model['model'], model['model'])}{own}"


def _vocabulary(said: Mapping[str, Any], names: Names) -> Iterator[str]:
    padded = f", padded to a multiple of {said['multiple']}" if "multiple" in said else ""
    added = f", with {', '.join(repr(token['text']) for token in said['tokens'])}" if said.get("tokens") else ""
    yield f"vocabulary of {names.get(said['source'], said['source'])}{added}{padded}"
    for rule in said.get("alignment", {}).get("rules", ()):
        row = f"row {rule['row']} of {names.get(rule['model'], rule['model'])}" if rule["model"] else "zeros"
        yield f"  token {rule['text']!r}: {row}{'' if rule['force'] else ', where it lacks'}"
