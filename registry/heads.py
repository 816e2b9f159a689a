"""Whose task head the result of a merge carries."""

from __future__ import annotations

from sqlalchemy.orm import Session

from merging.methods import Method, Unified
from registry.records.catalog import resolve
from registry.records.contents import load_delta
from registry.records.names import parse_reference
from registry.records.tables import ModelVersion
from storage.errors import Conflict, UsageError

NO_HEAD = "none"


def choose_head(
    session: Session, base: ModelVersion, skills: list[ModelVersion], chosen: str | None
) -> ModelVersion | None:
    """The skill whose own tensors the result carries: as chosen, or the only one that has any."""
    if chosen == NO_HEAD:
        return None
    if chosen is not None:
        return _named_head(session, base, chosen)
    candidates = [skill for skill in skills if skill.attributes.get("head")]
    if len({skill.digest for skill in candidates}) > 1:
        names = ", ".join(skill.reference for skill in candidates)
        raise UsageError(
            f"{len(candidates)} skills have tensors of their own (a task head): {names}",
            hint="choose whose the result carries with --head SKILL, or --head none",
        )
    return candidates[0] if candidates else None


def _named_head(session: Session, base: ModelVersion, chosen: str) -> ModelVersion:
    head = resolve(session, parse_reference(chosen), kinds=("skill",))
    delta = load_delta(session, head.id)
    if delta is None or session.get_one(ModelVersion, delta.base_version_id).digest != base.digest:
        raise Conflict(f"--head {chosen}: {head.reference} is a skill of another base than {base.reference}")
    if not head.attributes.get("head"):
        raise UsageError(
            f"--head {chosen}: {head.reference} has no tensors of its own", hint="leave --head out, or name another"
        )
    return head


def head_choice(method: Method, task: ModelVersion | None, chosen: str | None) -> str | None:
    """Whose head was chosen; a merge that keeps a model for each skill has none itself."""
    if not isinstance(method.how, Unified) or task is not None:
        return chosen
    if chosen not in (None, NO_HEAD):
        raise UsageError(
            f"{method.name} keeps every skill's own head: --head {chosen} has no effect here",
            hint="leave it out; the task chosen when materializing brings its head",
        )
    return NO_HEAD
