"""What a platform team asks: which bases, skills, merges, materializations or events are such, a page at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import JSON, ColumnElement, Select, exists, func, intersect, or_, select, type_coerce
from sqlalchemy.orm import Session

from registry.answers import materialization_facts, version_facts
from registry.audits.conditions import known_method, moment, states, under, version_id
from registry.audits.filters import Filters, check
from registry.audits.seeds import seeded
from registry.records.columns import Known, batches
from registry.records.events import event_facts
from registry.records.lineage import reached_from
from registry.records.tables import (
    AuditEvent,
    Delta,
    Evaluation,
    Materialization,
    Model,
    ModelVersion,
    Recipe,
    RecipeInput,
)
from registry.results import Found
from storage.errors import UsageError

Where = list[ColumnElement[bool]]


@dataclass(frozen=True)
class Query:
    """``keys`` of all that is meant, their ``order``, and the ``rows`` that belong to a ``key``.

    Keys are sorted and counted alone: whole rows are loaded of one page only, however deep it lies.
    """

    key: Any
    keys: Select[Any]
    order: tuple[Any, ...]
    rows: Select[*tuple[Any, ...]]


def find(session: Session, kind: str, filters: Filters, *, limit: int, page: int) -> Found:
    """A page of what all filters fit, newest first.

    Raises UsageError for a kind or filter that there is not, NotFound for a version or method.
    """
    check(kind, filters, limit, page)
    query = _QUERIES[kind](session, filters)
    total = session.scalar(select(func.count()).select_from(query.keys.subquery())) or 0
    keys = session.scalars(query.keys.order_by(*query.order).limit(limit).offset((page - 1) * limit)).all()
    found: Known[Any, Any] = Known()
    for batch in batches(keys):
        rows = query.rows.add_columns(query.key).where(query.key.in_(batch))
        found.update((row[-1], row) for row in session.execute(rows))
    return Found(kind, [_TOLD[kind](found[key]) for key in keys], total, page, -(-total // limit))


def _bases(session: Session, filters: Filters) -> Query:
    where = _versions(session, filters, "base") + _trained(filters)
    keys = select(ModelVersion.id).where(*where)
    return Query(ModelVersion.id, keys, (ModelVersion.id.desc(),), select(ModelVersion))


def _skills(session: Session, filters: Filters) -> Query:
    with_delta = Delta.version_id == ModelVersion.id
    where = _versions(session, filters, "skill")
    where += [Delta.encoding == filters.encoding] if filters.encoding else []
    where += [Delta.seed == filters.seed] if filters.seed is not None else []
    if filters.base:
        where.append(Delta.base_version_id == version_id(session, filters.base, ["base"]))
    where += _trained(filters)
    keys = select(ModelVersion.id).join(Delta, with_delta).where(*where)
    rows = select(ModelVersion, Delta).join(Delta, with_delta)
    return Query(ModelVersion.id, keys, (ModelVersion.id.desc(),), rows)


def _merges(session: Session, filters: Filters) -> Query:
    with_recipe = Recipe.digest == ModelVersion.digest
    where = _versions(session, filters, "merge")
    made = select(Materialization.id).where(
        or_(Materialization.merge_version_id == ModelVersion.id, Materialization.recipe_digest == ModelVersion.digest)
    )
    where += [Recipe.method == known_method(session, filters.method)] if filters.method else []
    where += [ModelVersion.id.in_(seeded(filters.seed))] if filters.seed is not None else []
    if filters.base:
        where.append(_reads(Recipe.digest, RecipeInput.version_id == version_id(session, filters.base, ["base"])))
    if filters.software:
        where.append(made.where(_software(filters.software)).exists())
    if filters.never == "materialized":
        where.append(~made.exists())
    if filters.never == "evaluated":
        of_it = or_(Evaluation.version_id == ModelVersion.id, Evaluation.recipe_digest == ModelVersion.digest)
        where.append(~exists().where(of_it))
    keys = select(ModelVersion.id).join(Recipe, with_recipe).where(*where)
    rows = select(ModelVersion, Recipe.method).join(Recipe, with_recipe)
    return Query(ModelVersion.id, keys, (ModelVersion.id.desc(),), rows)


def _materializations(session: Session, filters: Filters) -> Query:
    where = _when(Materialization.created_at, filters)
    where += [Materialization.created_by == filters.by] if filters.by else []
    where += [Materialization.device == filters.device] if filters.device else []
    if filters.method:
        method = known_method(session, filters.method)
        where.append(Materialization.recipe_digest.in_(select(Recipe.digest).where(Recipe.method == method)))
    where += [_software(filters.software)] if filters.software else []
    if filters.contains:
        inside = reached_from(version_id(session, filters.contains))
        where.append(_reads(Materialization.recipe_digest, RecipeInput.version_id.in_(inside)))
    rows = select(Materialization, Recipe.method).join(Recipe, Recipe.digest == Materialization.recipe_digest)
    order = (Materialization.created_at.desc(), Materialization.id.desc())
    return Query(Materialization.id, select(Materialization.id).where(*where), order, rows)


def _events(session: Session, filters: Filters) -> Query:
    where = _when(AuditEvent.at, filters)
    where += [AuditEvent.actor == filters.by] if filters.by else []
    where += [AuditEvent.action == filters.action] if filters.action else []
    where += [AuditEvent.subject == filters.subject] if filters.subject else []
    keys = select(AuditEvent.sequence).where(*where)
    return Query(AuditEvent.sequence, keys, (AuditEvent.sequence.desc(),), select(AuditEvent))


def _versions(session: Session, filters: Filters, kind: str) -> Where:
    """What versions of any kind are chosen by."""
    where: Where = [ModelVersion.model.has(Model.kind == kind)]
    where += _when(ModelVersion.created_at, filters)
    where += [ModelVersion.created_by == filters.by] if filters.by else []
    where += [ModelVersion.state == filters.state] if filters.state else []
    reached = []
    if filters.licence and kind == "merge":
        reached += under(session, filters.licence)
    elif filters.licence:
        where.append(states(session, filters.licence))
    if filters.contains:
        inside = version_id(session, filters.contains)
        reached.append(reached_from(inside))
        where.append(ModelVersion.id != inside)
    if reached:  # as one set: joined one by one, a server compares each row with each
        where.append(ModelVersion.id.in_(intersect(*reached) if len(reached) > 1 else reached[0]))
    return where


def _trained(filters: Filters) -> Where:
    """What was said of a training."""
    said = type_coerce(ModelVersion.attributes, JSON)["training"]["meta"]
    return [said[key].as_string() == value for key, value in filters.meta.items()]


def _reads(digest: Any, condition: ColumnElement[bool]) -> ColumnElement[bool]:
    """Whether a recipe reads a version for which the condition holds."""
    return digest.in_(select(RecipeInput.recipe_digest).where(condition))  # type: ignore[no-any-return]


def _software(version: str) -> ColumnElement[bool]:
    found: ColumnElement[bool] = type_coerce(Materialization.versions, JSON)["mergestore"].as_string() == version
    return found


def _when(column: Any, filters: Filters) -> Where:
    where: Where = []
    if filters.since:
        where.append(column >= moment(filters.since, "since"))
    if filters.until:
        where.append(column < moment(filters.until, "until"))
    if filters.since and filters.until and moment(filters.since, "since") >= moment(filters.until, "until"):
        raise UsageError(
            f"--since {filters.since} does not lie before --until {filters.until}",
            hint="exchange them: what happened between the two is asked for",
        )
    return where


def _told_event(row: Any) -> dict[str, Any]:
    return event_facts(row[0])


def _told_base(row: Any) -> dict[str, Any]:
    return version_facts(row[0]) | {"metadata": row[0].attributes.get("training", {}).get("meta", {})}


def _told_skill(row: Any) -> dict[str, Any]:
    delta = row[1]
    return _told_base(row) | {"encoding": delta.encoding, "drop_rate": delta.drop_rate, "seed": delta.seed}


def _told_merge(row: Any) -> dict[str, Any]:
    version, method, _ = row
    return version_facts(version) | {"method": method, "expression": version.attributes.get("expression")}


def _told_materialization(row: Any) -> dict[str, Any]:
    made, method, _ = row
    return {"method": method, **materialization_facts(made)}


_QUERIES: dict[str, Callable[[Session, Filters], Query]] = {
    "bases": _bases,
    "skills": _skills,
    "merges": _merges,
    "materializations": _materializations,
    "events": _events,
}
_TOLD: dict[str, Callable[[Any], dict[str, Any]]] = {
    "bases": _told_base,
    "skills": _told_skill,
    "merges": _told_merge,
    "materializations": _told_materialization,
    "events": _told_event,
}
