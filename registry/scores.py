"""Scores as they are told: as plain values, and as the Hub's model cards have them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy.orm import Session

from registry.records.lookup import versions_by_id
from registry.records.tables import Evaluation, ModelVersion


def told(session: Session, records: Sequence[Evaluation]) -> list[dict[str, Any]]:
    """Scores as JSON-ready values."""
    versions = versions_by_id(session, (record.version_id for record in records if record.version_id is not None))
    return [evaluation_facts(record, versions.get(record.version_id or 0)) for record in records]


def model_index(name: str, scores: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """``model-index`` of a model card's front matter, from what ``told`` gives: the newest score of a kind counts.

    The Hub asks for a task: it is the score's detail ``task``, else ``other``. Empty where there are no scores.
    Source: https://github.com/huggingface/hub-docs/blob/main/modelcard.md
    """
    results: dict[tuple[str, str, str], dict[str, Any]] = {}
    for score in scores:
        task = score["details"].get("task", "other")
        metric = {"type": score["metric"], "value": score["value"]}
        dataset = {"type": score["dataset"], "name": score["dataset"]}
        entry = {"task": {"type": task}, "dataset": dataset, "metrics": [metric]}
        results.setdefault((task, score["dataset"], score["metric"]), entry)
    return [{"name": name, "results": [results[key] for key in sorted(results)]}] if results else []


def evaluation_facts(record: Evaluation, version: ModelVersion | None) -> dict[str, Any]:
    """A score as JSON-ready values; ``of`` is the version, else the recipe."""
    return {
        "id": record.id,
        "of": version.reference if version is not None else record.recipe_digest,
        "recipe_digest": record.recipe_digest,
        "metric": record.metric,
        "value": record.value,
        "dataset": record.dataset,
        "details": record.details,
        "created_at": record.created_at.isoformat(),
        "created_by": record.created_by,
    }
