"""Keeping what MLflow shows in step with the records: aliases and states of registered models, tags of training runs.

Every step compares with what is there, and so may be repeated and interrupted at will. What people add in MLflow
under other names stays.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from registry.provenance.mlflow_record import (
    DIGEST,
    MERGE_NAME,
    MERGE_VERSION,
    RECIPE,
    STORE,
    TAG_LENGTH,
    registered_name,
    shorten,
)
from storage.errors import Conflict, NotFound

STATE, REASON = "mergestore.state", "mergestore.reason"

Came = tuple[tuple[str, str, str], ...]
"""What came of a training run, in the order of registering: (kind, reference, digest)."""


@dataclass(frozen=True)
class Standing:
    """A merge as its registered model should show it. ``aliases`` that are None were taken away.

    ``recipes`` by version; ``withdrawn``: (state, reason) of those versions that are not ready.
    """

    name: str
    store: str
    aliases: Mapping[str, int | None]
    recipes: Mapping[int, str]
    withdrawn: Mapping[int, tuple[str, str]]


def keep_registered(client: Any, standing: Standing) -> bool:
    """Set and remove aliases and tags until the registered model is as the merge stands; whether that took anything."""
    name = registered_name(standing.name)
    model = _known(lambda: client.get_registered_model(name))
    if model is None:
        return False
    owner = model.tags.get(STORE)
    if owner not in (None, standing.store):
        raise Conflict(
            f"the registered model {name!r} in MLflow is kept by another store, {owner}: its aliases stay as they are",
            hint="give the merges of one of the stores another name, or a namespace/ of their own",
        )
    if owner is None:
        client.set_registered_model_tag(name, STORE, standing.store)
    versions = _versions(client, name, standing)
    changed = [_keep_tags(client, version, standing) for version in versions]
    return any([*changed, _keep_aliases(client, model, versions, standing)])


def link_run(client: Any, run: str, came: Came, store: str) -> None:
    """Tag a training run with what came of it, and in which store."""
    found = _known(lambda: client.get_run(run))
    if found is None or found.info.lifecycle_stage != "active":
        raise NotFound(
            f"MLflow has no run {run}, of which {came[-1][1]} is said to have come",
            hint="if it is on another tracking server, name that one and register the same again",
        )
    tags = {f"mergestore.{kind}": [each[1] for each in came if each[0] == kind] for kind in ("base", "skill")}
    tags |= {DIGEST: [digest for _, _, digest in came], STORE: [store]}
    _set_tags(found.data.tags, tags, lambda tag, value: client.set_tag(run, tag, value))


def _set_tags(there: Mapping[str, str], wanted: Mapping[str, list[str]], write: Any) -> None:
    for tag, values in wanted.items():
        value = shorten(", ".join(values), TAG_LENGTH)
        if value and there.get(tag) != value:
            write(tag, value)


def _known(ask: Any) -> Any:
    """What MLflow answers, or None for what it does not know."""
    from mlflow.exceptions import MlflowException

    try:
        return ask()
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return None
        raise


def _versions(client: Any, name: str, standing: Standing) -> list[Any]:
    """The registered versions that this store has made of the merge, the newest first."""
    query = f"name = '{name}' AND tags.`{MERGE_NAME}` = '{standing.name}'"
    found = list(page := client.search_model_versions(query))
    while page.token:
        found += (page := client.search_model_versions(query, page_token=page.token))
    mine = [version for version in found if version.tags.get(STORE, standing.store) == standing.store]
    return sorted(mine, key=lambda version: -int(version.version))


def _keep_tags(client: Any, version: Any, standing: Standing) -> bool:
    number = version.tags.get(MERGE_VERSION, "")
    state = standing.withdrawn.get(int(number)) if number.isdecimal() else None
    wanted = dict(zip((STATE, REASON), state, strict=True)) if state else {}
    changed = False
    for tag in (STATE, REASON):
        value = shorten(wanted[tag], TAG_LENGTH) if tag in wanted else None
        if version.tags.get(tag) == value:
            continue
        if value is None:
            client.delete_model_version_tag(version.name, version.version, tag)
        else:
            client.set_model_version_tag(version.name, version.version, tag, value)
        changed = True
    return changed


def _keep_aliases(client: Any, model: Any, versions: list[Any], standing: Standing) -> bool:
    """An alias of a version that MLflow does not know yet is taken away there: it would mean another one."""
    by_recipe: dict[str, str] = {}
    for version in versions:
        by_recipe.setdefault(version.tags.get(RECIPE, ""), str(version.version))
    changed = False
    for alias, number in standing.aliases.items():
        wanted = None if number is None else by_recipe.get(standing.recipes[number])
        there = model.aliases.get(alias)
        if (None if there is None else str(there)) == wanted:
            continue
        if wanted is None:
            client.delete_registered_model_alias(model.name, alias)
        else:
            client.set_registered_model_alias(model.name, alias, wanted)
        changed = True
    return changed
