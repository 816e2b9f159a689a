"""The message about one materialization that waits in the outbox, as plain values."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from registry.records.tables import Materialization

if TYPE_CHECKING:
    from merging.recipes.recipe import Recipe
    from merging.streaming.materializer import MergedTensor

_SKILL_FACTS = ("name", "version", "digest", "weight", "encoding", "drop_rate", "seed", "density", "trim", "licence")


def payload(
    store: str,
    made: Materialization,
    recipe: Recipe,
    document: Mapping[str, Any],
    model_card: str,
    merged: Sequence[MergedTensor],
    started: datetime,
) -> dict[str, Any]:
    """The provenance message; see ``registry.provenance.mlflow`` for what becomes of it.

    ``store`` is the store's identifier, ``document`` the published manifest; ``merged`` is empty when the result was
    copied from the cache.
    """
    return {
        "store": store,
        "materialization_id": made.id,
        "recipe_digest": recipe.digest,
        "output_digest": made.output_digest,
        "expression": document["expression"],
        "merge": document["merge"],
        "recipe": document["recipe"],
        "manifest": dict(document),
        "lineage": document["lineage"],
        "base": document["base"],
        "skills": [{key: skill[key] for key in _SKILL_FACTS} for skill in document["skills"]],
        "method": recipe.method,
        "semantics": recipe.semantics,
        "parameters": dict(recipe.parameters),
        "dtype": recipe.dtype,
        "device": made.device,
        "engine": made.engine,
        "versions": made.versions,
        "metrics": _metrics(made, document, merged),
        "path": made.path,
        "model_card": model_card,
        "started_at": started.isoformat(),
        "finished_at": datetime.now(UTC).isoformat(),
        "actor": made.created_by,
    }


def _metrics(made: Materialization, document: Mapping[str, Any], merged: Sequence[MergedTensor]) -> dict[str, float]:
    metrics = {
        "seconds": made.seconds,
        "gb_per_second": made.bytes / 1e9 / max(made.seconds, 1e-9),
        "bytes": float(made.bytes),
        "tensors": float(len(document["tensors"])),
    }
    if "adapter" in document:
        metrics |= {f"adapter_{name}": document["adapter"][name] for name in ("error", "energy", "parameters")}
    if merged:
        elements = sum(math.prod(tensor.shape) for tensor in merged)
        metrics["density"] = sum(tensor.changed for tensor in merged) / max(1, elements)
        metrics["delta_norm"] = sum(tensor.squares for tensor in merged) ** 0.5
    return metrics
