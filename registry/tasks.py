"""Which skill's model is meant, of a merge that keeps one for each of its skills."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.orm import Session

from merging.methods import Method, Unified
from registry.records.catalog import resolve
from registry.records.names import parse_reference
from registry.records.tables import ModelVersion
from registry.resolved import ResolvedMerge
from storage.errors import UsageError


def choose_task(
    session: Session, method: Method, skills: Sequence[ModelVersion], chosen: str | None
) -> ModelVersion | None:
    """The one of the merged skills that ``chosen`` refers to: by name, version or alias; None where nothing is chosen.

    Raises UsageError for a method without tasks, and for what names none of the skills or several.
    """
    if chosen is None:
        return None
    if not isinstance(method.how, Unified):
        raise UsageError(
            f"--task {chosen}: {method.name} makes one model of all skills",
            hint="leave --task out; merges of --method emr have a model for each skill",
        )
    found = _named(session, skills, chosen)
    if len(found) != 1:
        trouble = "means several of the merged skills" if found else "is none of the merged skills"
        raise UsageError(f"--task {chosen}: {chosen} {trouble}", hint=f"the tasks are {_listed(skills)}")
    return found[0]


def require_task(resolved: ResolvedMerge, hint: str = "choose one with --task") -> None:
    """Raise UsageError, with the tasks, for a merge that has a model for each skill where none was chosen.

    ``hint``: how one is chosen here.
    """
    if isinstance(resolved.recipe.definition.how, Unified) and resolved.recipe.task is None:
        name = resolved.merge.reference if resolved.merge else resolved.expression
        raise UsageError(
            f"{name} is a merge by {resolved.recipe.method}: it has a model for each skill, and no task says which",
            hint=f"{hint}; the tasks are {_listed(resolved.skills)}",
        )


def _named(session: Session, skills: Sequence[ModelVersion], chosen: str) -> list[ModelVersion]:
    reference = parse_reference(chosen)
    mine = [skill for skill in skills if skill.name == reference.name]
    if reference.version is not None:
        mine = [skill for skill in mine if skill.version == reference.version]
    elif reference.alias is not None:
        version = resolve(session, reference)
        mine = [skill for skill in mine if skill.id == version.id]
    return mine


def _listed(skills: Sequence[ModelVersion]) -> str:
    return ", ".join(sorted(skill.reference for skill in skills))
