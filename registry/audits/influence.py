"""Which skills touched a tensor of a result: with what weight, how much of its change, and how many values they keep.

From the records alone: norms and counts were measured when the skills were registered, of their whole deltas, before
anything was dropped, and before the method of the merge does anything to them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from merging.mergekit.stack import stack
from merging.recipes.tensor_settings import TensorSettings
from merging.settings import fits
from registry.audits.audit import audit
from registry.merges import ResolvedMerge, stored_recipe
from registry.records.contents import load_tensors
from registry.records.tables import Tensor
from registry.results import Influence
from storage.checkpoints.tensors import listed
from storage.dtypes import MERGEABLE
from storage.errors import NotFound, UsageError

Measured = Mapping[str, Mapping[str, Any]]
"""Statistics of a skill's tensors, by name."""


def influence(session: Session, target: str, pattern: str) -> Influence:
    """The skills behind the tensors of a merge or result whose names a pattern fits: as in recipes, ``*`` for all.

    ``target``: as for ``audit``. Raises UsageError for what was not merged, NotFound where no tensor fits.
    """
    found = audit(session, target, newest=1)
    if found.recipe_digest is None:
        raise UsageError(
            f"{target} is a {found.kind}: only of what was merged there are skills to tell",
            hint="name a merge, or the digest of a result",
        )
    resolved = stored_recipe(session, found.recipe_digest)
    rows = [row for row in _rows(session, resolved) if pattern == "*" or fits(pattern, row["name"])]
    if not rows:
        names = [tensor.name for tensor in load_tensors(session, resolved.base.id)]
        raise NotFound(f"no tensor of {target} fits {pattern!r}", hint=f"names are such as {listed(names, 2)}")
    return Influence(found.name, found.version, found.recipe_digest, rows)


def _rows(session: Session, resolved: ResolvedMerge) -> Iterator[dict[str, Any]]:
    recipe = resolved.recipe
    tensors = {tensor.name: tensor for tensor in load_tensors(session, resolved.base.id)}
    measured = {skill.digest: _measured(session, skill.id) for skill in resolved.skills}
    names = {skill.digest: skill.reference for skill in resolved.skills} | {recipe.base: resolved.base.reference}
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
        told = [_part(names[model], tensor, weight, measured.get(model, {})) for model, tensor, weight in models]
        _share(told)
        mergeable = own.dtype in MERGEABLE
        yield {"name": name, "shape": list(own.shape), "dtype": own.dtype, "skills": told if mergeable else []}
    if resolved.head is not None:
        for name in resolved.head.attributes["head"]:
            part = {"skill": resolved.head.reference, "role": "head"}
            yield {"name": name, "shape": None, "dtype": None, "skills": [part]}


def _measured(session: Session, version_id: int) -> Measured:
    query = select(Tensor.name, Tensor.statistics).where(Tensor.version_id == version_id)
    return {name: statistics for name, statistics in session.execute(query) if statistics}


def _part(skill: str, tensor: str, weight: float, measured: Measured) -> dict[str, Any]:
    """A model's part in one tensor; what was not changed has a norm of 0, the base itself none."""
    statistics = measured.get(tensor, {})
    norm = statistics.get("norm", 0.0) if measured else None
    return {
        "skill": skill,
        "tensor": tensor,
        "weight": weight,
        "norm": norm,
        "kept": statistics.get("kept", 0) if measured else None,
        "elements": statistics.get("elements"),
    }


def _share(parts: list[dict[str, Any]]) -> None:
    """And its share of Σ |wₖ|·‖δₖ‖; None where nobody changes the tensor."""
    sizes = [abs(part["weight"]) * (part["norm"] or 0.0) for part in parts]
    total = sum(sizes)
    for part, size in zip(parts, sizes, strict=True):
        part["share"] = size / total if total and part["norm"] is not None else None
