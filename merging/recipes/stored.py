"""Recipes as they are stored: read, and told from documents that no recipe could have written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from merging.adapters.settings import read_extraction
from merging.mergekit.stack import LayerSlice, SliceModel
from merging.recipes.recipe import EXTENDED_FORMAT, FORMAT, Chosen, Recipe, RecipeTerm, make_recipe, make_stacked
from merging.recipes.semantics import SEMANTICS
from merging.recipes.vocabulary import is_sound, is_sound_source, is_sound_template, read_template, read_vocabulary
from merging.settings import varies
from storage.digests import is_digest
from storage.errors import IntegrityFailure, in_words


def read_recipe(document: Any) -> Recipe:
    """A recipe from its stored JSON, as ``parse_json`` reads it. Raises IntegrityFailure when it is not one."""
    try:
        if document["format"] not in (FORMAT, EXTENDED_FORMAT) or document["semantics"] not in SEMANTICS:
            raise IntegrityFailure(
                f"recipe format {document['format']!r}, semantics {document['semantics']!r} is not known here",
                hint="upgrade mergestore",
            )
        recipe = Recipe(
            method=document["method"],
            base=document["base"],
            terms=tuple(_read_term(term) for term in document["terms"]),
            parameters=_table(document["parameters"]),
            head=document["head"],
            dtype=document["dtype"],
            files=document["files"],
            statistics=document.get("statistics", {}),
            adapter=read_extraction(document["adapter"]) if "adapter" in document else None,
            semantics=document["semantics"],
            base_term=_read_base_term(document),
            order=tuple(document["order"]) if "order" in document else None,
            slices=tuple(map(_read_slice, document.get("slices", ()))),
            task=document.get("task"),
            vocabulary=read_vocabulary(document["vocabulary"]) if "vocabulary" in document else None,
            chat_template=read_template(document["chat_template"]) if "chat_template" in document else None,
            generation_config=document.get("generation_config"),
        )
        sound = recipe.to_dict() == document and _sound(recipe)
    except (LookupError, TypeError, ValueError, OverflowError) as error:
        raise IntegrityFailure(f"damaged recipe: {in_words(error)}") from error
    if not sound:
        raise IntegrityFailure("damaged recipe: unknown fields, malformed digests or terms out of order")
    return recipe


def _read_term(term: Mapping[str, Any]) -> RecipeTerm:
    weight = term["weight"]
    return RecipeTerm(
        term["skill"], weight if varies(weight) else float(weight), _table(term.get("parameters", {})), term.get("base")
    )


def _read_slice(document: Any) -> LayerSlice:
    models = tuple(
        SliceModel(each["model"], each["first"], each["weight"], _table(each.get("parameters", {})))
        for each in document["models"]
    )
    return LayerSlice(document["layers"], models, _table(document["parameters"]))


def _read_base_term(document: Mapping[str, Any]) -> RecipeTerm | None:
    own = document.get("base_term")
    return None if own is None else _read_term(own | {"skill": document["base"]})


def _table(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError(f"{value!r} is no table of parameters")
    return value


def _sound(recipe: Recipe) -> bool:
    """Whether ``make_recipe`` could have made it; may raise ValueError, LookupError or TypeError instead."""
    if recipe.slices:
        return _sound_stack(recipe)
    able = {parameter.name for parameter in recipe.definition.parameters if parameter.draws}
    chosen = {model.skill: Chosen(model.weight, model.parameters, model.base) for model in recipe.lineup}
    again = make_recipe(
        recipe.method,
        recipe.base,
        chosen,
        recipe.parameters,
        stored_sparse=frozenset(chosen) if able and not able & set(recipe.parameters) else frozenset(),
        head=recipe.head,
        dtype=recipe.dtype,
        files=recipe.files,
        semantics=recipe.semantics,
        task=recipe.task,
        statistics=recipe.statistics,
    )
    optional = filter(None, (recipe.head, recipe.files, *(term.base for term in recipe.terms)))
    digests = [recipe.base, *chosen, *recipe.statistics.values(), *optional]
    settled = replace(
        again,
        adapter=recipe.adapter,
        vocabulary=recipe.vocabulary,
        chat_template=recipe.chat_template,
        generation_config=recipe.generation_config,
    )
    return settled == recipe and all(map(is_digest, digests)) and _sound_tokens(recipe)


def _sound_stack(recipe: Recipe) -> bool:
    again = make_stacked(
        recipe.method, recipe.base, recipe.slices, recipe.parameters, dtype=recipe.dtype, files=recipe.files
    )
    digests = [recipe.base, *(term.skill for term in recipe.terms), *filter(None, (recipe.files,))]
    settled = replace(
        again,
        vocabulary=recipe.vocabulary,
        chat_template=recipe.chat_template,
        generation_config=recipe.generation_config,
    )
    return settled == recipe and all(map(is_digest, digests)) and _sound_tokens(recipe)


def _sound_tokens(recipe: Recipe) -> bool:
    """Whether what is said of tokens and their files can be."""
    skills = [term.skill for term in recipe.terms]
    return (
        (recipe.vocabulary is None or is_sound(recipe.vocabulary, recipe.base, skills))
        and (recipe.chat_template is None or is_sound_template(recipe.chat_template, skills))
        and (recipe.generation_config is None or is_sound_source(recipe.generation_config, skills))
    )
