"""A configuration tried before anything is registered: what no store could merge is refused then."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from merging.mergekit.config import Config, ModelName
from merging.mergekit.translation import translated
from merging.methods import Method
from merging.recipes.expression import parse_expression
from merging.recipes.recipe import Chosen, make_recipe
from merging.recipes.semantics import MERGEKIT
from storage.bounded import JSON, read_whole
from storage.checkpoints.adapter import is_adapter
from storage.checkpoints.companions import is_tokenizer
from storage.checkpoints.tensors import listed
from storage.checkpoints.tokenizer import Tokenizer, read_tokenizer
from storage.errors import UsageError

_BASE = "base"


def rehearse(config: Config, method: Method, semantics: str, base: ModelName | None, where: str) -> None:
    """Make the recipe of models that nobody has registered yet. ``base``: the one that becomes the base.

    Raises UsageError naming ``where``. Only mergekit's semantics are tried; the papers' parameters are other ones.
    """
    part = config.slices[0]
    named = [source.model for source in part.sources]
    if twice := next((model for model in named if named.count(model) > 1), None):
        raise UsageError(f"{where}: {twice} stands twice", hint="add its weights up in one entry")
    if semantics != MERGEKIT:
        return
    names = {model: _BASE if model == base else f"m{number}" for number, model in enumerate(config.models)}
    translation = translated(config, method, _BASE, names, where)
    models = {name: str(model) for model, name in names.items()} | {_BASE: str(base) if base else _BASE}
    terms = parse_expression(translation.expression).terms
    chosen = {models[term.reference]: Chosen(term.weight, term.parameters) for term in terms}
    try:
        make_recipe(config.method, models[_BASE], chosen, translation.parameters, semantics=semantics)
    except UsageError as error:
        raise UsageError(f"{where}: {error.message}", hint=error.hint) from error


def check_rules(config: Config, folders: Mapping[ModelName, Path], where: str) -> None:
    """Refuse a rule for the row of a token that its model's tokenizer lacks."""
    by_name = {str(model): folders[model] for model in config.models}
    wishes = config.tokenizer.tokens if config.tokenizer else {}
    for text, wish in wishes.items():
        if wish.model is None or wish.row is not None:
            continue
        found, asked = _tokenizer(by_name[wish.model]), wish.token if wish.token is not None else text
        if found is not None and found.known is not None and asked not in found.known:
            raise UsageError(
                f"{where}: tokenizer.tokens.{text!r:.60}: {wish.model!r:.60} has no token {asked!r}",
                hint=f"its tokens are such as {listed(list(found.known)[-3:])}",
            )


def _tokenizer(folder: Path) -> Tokenizer | None:
    if not folder.is_dir() or is_adapter(folder):
        return None
    files = {path.name: path for path in folder.iterdir() if path.is_file() and is_tokenizer(path.name)}
    return read_tokenizer({name: read_whole(path, JSON) for name, path in files.items()}, str(folder))
