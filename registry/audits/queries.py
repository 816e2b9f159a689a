"""What a platform team asks: which skills, merges, materializations or events are such, a page at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, ColumnElement, Select, exists, func, or_, select, type_coerce
from sqlalchemy.orm import Session

from registry.answers import materialization_facts, version_facts
from registry.audits.seeds import seeded
from registry.licences.spdx import understood
from registry.records.catalog import look_up
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

KINDS = ("skills", "merges", "materializations", "events")
LARGEST_PAGE = 1000
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


@dataclass(frozen=True)
class Filters:
    """What is asked for; None asks nothing. Names are references; ``since`` and ``until`` are ISO dates or moments.

    ``contains``: a version that goes into it, directly or through others. ``never``: materialized or evaluated.
    ``software``: the version of mergestore that computed it. ``meta``: what was said of a training.
    """

    contains: str | None = None
    base: str | None = None
    method: str | None = None
    encoding: str | None = None
    seed: int | None = None
    licence: str | None = None
    state: str | None = None
    never: str | None = None
    software: str | None = None
    device: str | None = None
    action: str | None = None
    subject: str | None = None
    by: str | None = None
    since: str | None = None
    until: str | None = None
    meta: Mapping[str, str] = field(default_factory=dict)


_TAKES = {
    "skills": {"base", "encoding", "seed", "licence", "state", "by", "since", "until", "meta", "contains"},
    "merges": {"contains", "base", "method", "seed", "state", "never", "software", "by", "since", "until"},
    "materializations": {"contains", "method", "software", "device", "by", "since", "until"},
    "events": {"action", "subject", "by", "since", "until"},
}


def find(session: Session, kind: str, filters: Filters, *, limit: int, page: int) -> Found:
    """A page of what all filters fit, newest first. Raises UsageError for a kind or filter that there is not."""
    _check(kind, filters, limit, page)
    query = _QUERIES[kind](session, filters)
    total = session.scalar(select(func.count()).select_from(query.keys.subquery())) or 0
    keys = session.scalars(query.keys.order_by(*query.order).limit(limit).offset((page - 1) * limit)).all()
    found: Known[Any, Any] = Known()
    for batch in batches(keys):
        rows = query.rows.add_columns(query.key).where(query.key.in_(batch))
        found.update((row[-1], row) for row in session.execute(rows))
    return Found(kind, [_TOLD[kind](found[key]) for key in keys], total, page, -(-total // limit))


def _check(kind: str, filters: Filters, limit: int, page: int) -> None:
    if kind not in KINDS:
        raise UsageError(f"{kind!r} is nothing that can be asked for", hint=f"choose one of {', '.join(KINDS)}")
    given = {each.name for each in fields(filters) if getattr(filters, each.name)}
    given |= {"seed"} if filters.seed is not None else set()
    if odd := sorted(given - _TAKES[kind]):
        takes = ", ".join(f"--{name}" for name in sorted(_TAKES[kind]))
        raise UsageError(f"--{odd[0]} says nothing of {kind}", hint=f"{kind} are chosen by {takes}")
    if not 1 <= limit <= LARGEST_PAGE or page < 1:
        raise UsageError(f"a page of {limit} rows, number {page}, is none", hint=f"rows are 1 to {LARGEST_PAGE}")
    if filters.never not in (None, "materialized", "evaluated"):
        raise UsageError(f"--never {filters.never!r} is none", hint="choose materialized or evaluated")


def _skills(session: Session, filters: Filters) -> Query:
    with_delta = Delta.version_id == ModelVersion.id
    where = _versions(session, filters, "skill")
    where += [Delta.encoding == filters.encoding] if filters.encoding else []
    where += [Delta.seed == filters.seed] if filters.seed is not None else []
    where += [Delta.base_version_id == _version(session, filters.base)] if filters.base else []
    said = type_coerce(ModelVersion.attributes, JSON)["training"]["meta"]
    where += [said[key].as_string() == value for key, value in filters.meta.items()]
    keys = select(ModelVersion.id).join(Delta, with_delta).where(*where)
    rows = select(ModelVersion, Delta).join(Delta, with_delta)
    return Query(ModelVersion.id, keys, (ModelVersion.id.desc(),), rows)


def _merges(session: Session, filters: Filters) -> Query:
    with_recipe = Recipe.digest == ModelVersion.digest
    where = _versions(session, filters, "merge")
    made = select(Materialization.id).where(
        or_(Materialization.merge_version_id == ModelVersion.id, Materialization.recipe_digest == ModelVersion.digest)
    )
    where += [Recipe.method == filters.method] if filters.method else []
    where += [ModelVersion.id.in_(seeded(filters.seed))] if filters.seed is not None else []
    if filters.base:
        where.append(_reads(Recipe.digest, RecipeInput.version_id == _version(session, filters.base)))
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
        where.append(Materialization.recipe_digest.in_(select(Recipe.digest).where(Recipe.method == filters.method)))
    where += [_software(filters.software)] if filters.software else []
    if filters.contains:
        inside = reached_from(_version(session, filters.contains))
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
    if filters.licence:  # as it is spelled now, or was in earlier records
        spellings = {filters.licence.lower(), str(understood(filters.licence)).lower()}
        where.append(func.lower(ModelVersion.licence).in_(sorted(spellings)))
    if filters.contains:
        inside = _version(session, filters.contains)
        where += [ModelVersion.id.in_(reached_from(inside)), ModelVersion.id != inside]
    return where


def _reads(digest: Any, condition: ColumnElement[bool]) -> ColumnElement[bool]:
    """Whether a recipe reads a version for which the condition holds."""
    return digest.in_(select(RecipeInput.recipe_digest).where(condition))  # type: ignore[no-any-return]


def _software(version: str) -> ColumnElement[bool]:
    found: ColumnElement[bool] = type_coerce(Materialization.versions, JSON)["mergestore"].as_string() == version
    return found


def _when(column: Any, filters: Filters) -> Where:
    where: Where = []
    if filters.since:
        where.append(column >= _moment(filters.since, "since"))
    if filters.until:
        where.append(column < _moment(filters.until, "until"))
    return where


def _moment(text: str, option: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(
            f"--{option} {text!r} is no date",
            hint="write 2026-11-25, or 2026-11-25T14:30:00+01:00; UTC if no zone is said",
        ) from error
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found


def _version(session: Session, reference: str) -> int:
    return look_up(session, reference).id


def _told_event(row: Any) -> dict[str, Any]:
    return event_facts(row[0])


def _told_skill(row: Any) -> dict[str, Any]:
    version, delta, _ = row
    told = {"encoding": delta.encoding, "drop_rate": delta.drop_rate, "seed": delta.seed}
    return version_facts(version) | told | {"metadata": version.attributes.get("training", {}).get("meta", {})}


def _told_merge(row: Any) -> dict[str, Any]:
    version, method, _ = row
    return version_facts(version) | {"method": method, "expression": version.attributes.get("expression")}


def _told_materialization(row: Any) -> dict[str, Any]:
    made, method, _ = row
    return {"method": method, **materialization_facts(made)}


_QUERIES: dict[str, Callable[[Session, Filters], Query]] = {
    "skills": _skills,
    "merges": _merges,
    "materializations": _materializations,
    "events": _events,
}
_TOLD: dict[str, Callable[[Any], dict[str, Any]]] = {
    "skills": _told_skill,
    "merges": _told_merge,
    "materializations": _told_materialization,
    "events": _told_event,
}
