"""Which skills touched a tensor of a result: with what weight, how much of its change, and how many values they keep.

From the records alone: norms and counts were measured when the skills were registered, of their whole deltas, before
anything was dropped, and before the method of the merge does anything to them. A published folder tells the weights.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import select
from sqlalchemy.orm import Session

from merging.mergekit.stack import stack
from merging.recipes.recipe import Recipe
from merging.recipes.stored import read_recipe
from merging.recipes.tensor_settings import TensorSettings
from merging.settings import fits
from registry.audits.audit import audit
from registry.audits.folder import audit_folder, refuse_untrue
from registry.directories import read_manifest
from registry.merges import stored_recipe
from registry.publishing import MANIFEST
from registry.records.contents import load_tensors
from registry.records.tables import Tensor
from registry.results import Influence
from registry.targets import folder_instead
from storage.checkpoints.tensors import listed
from storage.dtypes import MERGEABLE
from storage.errors import IntegrityFailure, NotFound, UsageError, in_words

Measured = Mapping[str, Mapping[str, Any]]
"""Statistics of a skill's tensors, by name."""


def influence(session: Session, target: str | Path, pattern: str) -> Influence:
    """The skills behind the tensors of a merge or result whose names a pattern fits: as in recipes, ``*`` for all.

    ``target``: as for ``audit``; a folder that this store has not made is told by its manifest. Raises UsageError for
    what was not merged, NotFound where no tensor fits.
    """
    folder = target if isinstance(target, Path) else None
    try:
        found = audit(session, str(target), newest=1) if folder is None else audit_folder(folder, session, newest=1)
    except (UsageError, NotFound) as refusal:
        if folder is not None:
            raise
        folder = folder_instead(target, refusal)
        found = audit_folder(folder, session, newest=1)
    if folder is not None:
        refuse_untrue(folder, found)
        if not found.recorded:
            return influence_of_folder(folder, pattern)
    if found.recipe_digest is None:
        raise UsageError(
            f"{target} is a {found.kind}: only of what was merged there are skills to tell",
            hint="name a merge, or the digest of a result",
        )
    resolved = stored_recipe(session, found.recipe_digest)
    tensors = {tensor.name: tensor for tensor in load_tensors(session, resolved.base.id)}
    names = {skill.digest: skill.reference for skill in resolved.skills}
    names[resolved.base.digest] = resolved.base.reference
    measured = {skill.digest: _measured(session, skill.id) for skill in resolved.skills}
    rows = list(_rows(resolved.recipe, tensors, names, measured))
    if resolved.head is not None:
        rows += _own(resolved.head.reference, resolved.head.attributes["head"])
    return Influence(found.name, found.version, found.recipe_digest, _fitting(rows, pattern, target))


def influence_of_folder(folder: Path, pattern: str) -> Influence:
    """The same as far as a manifest tells it: weights, and which tensors a skill left as they were. No store is asked.

    Raises NotFound where a manifest does not tell which skills touched its tensors, IntegrityFailure for one that was
    changed.
    """
    refuse_untrue(folder, audit_folder(folder))
    document = read_manifest(folder)
    recipe, merge = read_recipe(document["recipe"]), document.get("merge") or {}
    heads, unchanged = _told_of_skills(folder, document)
    head = heads.get(recipe.head or "", _NO_HEAD)
    kinds = {
        "stacked of layers": recipe.slices,
        "an adapter": recipe.adapter,
        "one with the head of another skill": recipe.head is not None and recipe.head not in heads,
        "one with other names than its base": head.dropped_prefix,
    }
    if untold := [kind for kind, is_such in kinds.items() if is_such]:
        raise NotFound(
            f"{folder} does not tell which skills touched its tensors: it is {untold[0]}",
            hint="ask the store that made it: --store DIR",
        )
    parts = (document["base"], *document["skills"])
    named = {each: each for each in recipe.inputs} | {
        part["digest"]: f"{part['name']}@{part['version']}" for part in parts
    }
    tensors = {name: _Told(each["dtype"], tuple(each["shape"])) for name, each in document["tensors"].items()}
    merged = {name.removeprefix(head.prefix): each for name, each in tensors.items() if name not in head.names}
    rows = list(_rows(recipe, merged, named, unchanged, known=False))
    rows += _own(named[recipe.head], head.names) if recipe.head else []
    told = _fitting(rows, pattern, folder)
    return Influence(merge.get("name"), merge.get("version"), document["recipe_digest"], told, recorded=False)


@dataclass(frozen=True)
class _Head:
    """A skill's own tensors, and how a model with them names the base's: ``prefix`` for ``dropped_prefix``."""

    names: tuple[str, ...]
    prefix: str
    dropped_prefix: str


_NO_HEAD = _Head((), "", "")


def _told_of_skills(folder: Path, document: Mapping[str, Any]) -> tuple[dict[str, _Head], dict[str, Measured]]:
    """By digest of a skill: the tensors of its own, and those that it left as they were."""
    heads: dict[str, _Head] = {}
    unchanged: dict[str, Measured] = {}
    try:
        for skill in document["skills"]:
            own = tuple(str(name) for name in skill["head"])
            heads[skill["digest"]] = _Head(own, str(skill["prefix"]), str(skill["dropped_prefix"]))
            left = (str(name) for names in skill["taken_from_base"].values() for name in names)
            unchanged[skill["digest"]] = {name: {"norm": 0.0, "kept": 0} for name in left}
    except (KeyError, TypeError, AttributeError) as error:
        raise IntegrityFailure(f"{folder / MANIFEST} is damaged: {in_words(error):.200}") from error
    return heads, unchanged


class _Tensor(Protocol):
    """What is told of a tensor."""

    @property
    def dtype(self) -> str: ...
    @property
    def shape(self) -> Sequence[int]: ...


@dataclass(frozen=True)
class _Told:
    """A tensor of a manifest."""

    dtype: str
    shape: tuple[int, ...]


def _fitting(rows: list[dict[str, Any]], pattern: str, target: object) -> list[dict[str, Any]]:
    found = [row for row in rows if pattern == "*" or fits(pattern, row["name"])]
    if not found:
        names = [row["name"] for row in rows]
        raise NotFound(f"no tensor of {target} fits {pattern!r}", hint=f"names are such as {listed(names, 2)}")
    return found


def _rows(
    recipe: Recipe,
    tensors: Mapping[str, _Tensor],
    names: Mapping[str, str],
    measured: Mapping[str, Measured],
    *,
    known: bool = True,
) -> Iterator[dict[str, Any]]:
    """``known``: whether all is measured that was changed; else only of what was not changed its norm is known, 0."""
    if recipe.slices:
        parts = {
            name: [(each.model, each.tensor, each.weight) for each in made.models]
            for name, made in stack(recipe.slices, tensors).items()
        }
    else:
        settings = TensorSettings(recipe, tensors)
        parts = {
            name: [
                (model.skill, name, weight)
                for model, weight in zip(recipe.models, settings.of(name).weights, strict=True)
            ]
            for name in tensors
        }
    for name, models in parts.items():
        own = tensors[models[0][1] if models else name]
        told = [
            _part(names[model], tensor, weight, measured.get(model, {}), known=known)
            for model, tensor, weight in models
        ]
        _share(told, known=known)
        mergeable = own.dtype in MERGEABLE
        yield {"name": name, "shape": list(own.shape), "dtype": own.dtype, "skills": told if mergeable else []}


def _own(head: str, names: Iterable[str]) -> list[dict[str, Any]]:
    """The tensors that are those of one skill alone."""
    return [{"name": name, "shape": None, "dtype": None, "skills": [{"skill": head, "role": "head"}]} for name in names]


def _measured(session: Session, version_id: int) -> Measured:
    query = select(Tensor.name, Tensor.statistics).where(Tensor.version_id == version_id)
    return {name: statistics for name, statistics in session.execute(query) if statistics}


def _part(skill: str, tensor: str, weight: float, measured: Measured, *, known: bool) -> dict[str, Any]:
    """A model's part in one tensor; what was not changed has a norm of 0, the base itself none."""
    statistics = measured.get(tensor, {})
    norm, kept = (0.0, 0) if known and measured else (None, None)
    return {
        "skill": skill,
        "tensor": tensor,
        "weight": weight,
        "norm": statistics.get("norm", norm),
        "kept": statistics.get("kept", kept),
        "elements": statistics.get("elements"),
    }


def _share(parts: list[dict[str, Any]], *, known: bool) -> None:
    """And its share of Σ |wₖ|·‖δₖ‖; None where nobody changes the tensor, or not all norms are known."""
    sizes = [abs(part["weight"]) * (part["norm"] or 0.0) for part in parts]
    total = sum(sizes)
    for part, size in zip(parts, sizes, strict=True):
        part["share"] = size / total if known and total and part["norm"] is not None else None
