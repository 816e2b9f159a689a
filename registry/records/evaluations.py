"""Scores that models reached: what was measured, on which data, of which recipe or version."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.orm import Session

from registry.records import events
from registry.records.tables import Evaluation, ModelVersion


def add_evaluation(
    session: Session,
    *,
    version: ModelVersion | None,
    recipe_digest: str | None,
    metric: str,
    value: float,
    dataset: str,
    details: Mapping[str, Any],
    actor: str,
) -> Evaluation:
    """Record a score of a version, of a recipe, or of a named merge by both. The same measured again is one more."""
    record = Evaluation(
        version_id=version.id if version is not None else None,
        recipe_digest=recipe_digest,
        metric=metric,
        value=value,
        dataset=dataset,
        details=dict(details),
        created_by=actor,
    )
    session.add(record)
    session.flush()
    told = {"evaluation": record.id, "metric": metric, "value": value, "dataset": dataset}
    told["row"] = events.fingerprint([evaluation_row(record)])
    subject = version.reference if version is not None else str(recipe_digest)
    events.append(session, actor=actor, action="evaluation.add", subject=subject, details=told)
    return record


def evaluation_row(record: Evaluation) -> dict[str, Any]:
    """What is recorded of a score and stays as it is, as plain values."""
    names = ("id", "recipe_digest", "version_id", "metric", "value", "dataset", "details", "created_by")
    return {name: getattr(record, name) for name in names}


def evaluations(
    session: Session, version_ids: Collection[int], recipe_digests: Collection[str], newest: int | None = None
) -> list[Evaluation]:
    """The scores of any of these versions and recipes, newest first: all, or so many."""
    query = select(Evaluation).where(_of(version_ids, recipe_digests))
    return list(session.scalars(query.order_by(Evaluation.id.desc()).limit(newest)))


def count_evaluations(session: Session, version_ids: Collection[int], recipe_digests: Collection[str]) -> int:
    """How many scores of these there are."""
    return session.scalar(select(func.count()).select_from(Evaluation).where(_of(version_ids, recipe_digests))) or 0


def all_evaluations(session: Session) -> list[Evaluation]:
    """Every score, newest first."""
    return list(session.scalars(select(Evaluation).order_by(Evaluation.id.desc())))


def _of(version_ids: Collection[int], recipe_digests: Collection[str]) -> ColumnElement[bool]:
    return or_(Evaluation.version_id.in_(version_ids), Evaluation.recipe_digest.in_(recipe_digests))
