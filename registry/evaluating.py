"""Scores put on record and asked for: of a version, or of a result by its recipe."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from registry.audits.audit import audit, output_of
from registry.audits.folder import audit_folder, made_here
from registry.directories import read_manifest
from registry.records.catalog import resolve
from registry.records.database import reading, writing
from registry.records.evaluations import add_evaluation, all_evaluations, evaluations
from registry.records.names import check_line, parse_reference
from registry.records.tables import ModelVersion
from registry.registering.training import check_meta
from registry.scores import evaluation_facts, told
from registry.targets import folder_instead
from storage.errors import NotFound, UsageError

Subject = tuple[ModelVersion | None, str | None]
"""The version that a score is of, and its recipe: what was not merged has no recipe, a result that no merge names no
version."""


def evaluate(
    engine: Engine,
    target: str | Path,
    *,
    metric: str,
    value: float,
    dataset: str,
    details: Mapping[str, str] | None,
    actor: str,
) -> dict[str, Any]:
    """Record a score of what ``target`` means: a version's reference, a published folder, or a digest as for audits.

    Raises UsageError for what is no score, NotFound for what the store does not know.
    """
    check_line("metric", metric)
    check_line("dataset", dataset)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise UsageError(f"the value of {metric} must be a finite number, found {value!r}")
    kept = check_meta(details, "detail")
    with writing(engine) as session:
        version, recipe = _subject(session, target)
        record = add_evaluation(
            session,
            version=version,
            recipe_digest=recipe,
            metric=metric,
            value=float(value),
            dataset=dataset,
            details=kept,
            actor=actor,
        )
        return evaluation_facts(record, version)


def listed(engine: Engine, target: str | Path | None) -> list[dict[str, Any]]:
    """The scores of what ``target`` means, or all, newest first."""
    with reading(engine) as session:
        if target is None:
            found = all_evaluations(session)
        else:
            version, recipe = _subject(session, target)
            found = evaluations(session, [version.id] if version else [], [recipe] if recipe else [])
        return told(session, found)


def _subject(session: Session, target: str | Path) -> Subject:
    if isinstance(target, str) and (made := output_of(session, target)) is not None:
        return _of_result(session, made.recipe_digest, made.merge_version_id)
    try:
        if isinstance(target, Path):
            return _of_folder(session, target)
        found = audit(session, target, newest=1)
    except (UsageError, NotFound) as refusal:
        return _of_folder(session, folder_instead(target, refusal))
    version = resolve(session, parse_reference(f"{found.name}@{found.version}")) if found.name else None
    return version, found.recipe_digest


def _of_folder(session: Session, folder: Path) -> Subject:
    audit_folder(folder, session, newest=1)  # which refuses a manifest that is none
    document = read_manifest(folder)
    made = made_here(session, document)
    if made is None:
        raise NotFound(
            f"this store has not made {folder}, and knows nothing of its recipe {document['recipe_digest']}",
            hint="use the store that made it",
        )
    return _of_result(session, made.recipe_digest, made.merge_version_id)


def _of_result(session: Session, recipe: str, merge: int | None) -> Subject:
    """A task of a merge has a recipe of its own: what is measured of it says nothing of the others."""
    version = session.get_one(ModelVersion, merge) if merge is not None else None
    return (version if version is not None and version.digest == recipe else None), recipe
