"""Recipes and what came of them: the record behind every merge and every materialization."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Row, func, insert, select
from sqlalchemy.orm import Session

from registry.records import events
from registry.records.outbox import message_fingerprint
from registry.records.tables import AuditEvent, Materialization, Outbox, Recipe, RecipeInput
from registry.records.told import moment
from storage.digests import canonical_json, parse_json, sha256_digest
from storage.errors import IntegrityFailure, NotFound

_RECORD = "materialization.record"


@dataclass(frozen=True)
class InputRow:
    """One version that a recipe reads: its part in it (base, skill or head) and its weight, if it has one."""

    version_id: int
    role: str
    weight: float | None = None


def record_recipe(session: Session, *, canonical: str, method: str, inputs: Sequence[InputRow], actor: str) -> Recipe:
    """Record a recipe by its canonical JSON text; the same recipe again is the same record.

    ``inputs`` are in the recipe's order. Raises ValueError for text that is not canonical: its digest
    would be one that nobody else computes.
    """
    if canonical_json(parse_json(canonical)).decode() != canonical:
        raise ValueError("the text of a recipe must be canonical JSON")
    digest = sha256_digest(canonical.encode())
    known = session.get(Recipe, digest)
    if known is not None:
        return known
    recipe = Recipe(digest=digest, canonical=canonical, method=method)
    session.add(recipe)
    session.flush()
    rows = [{"recipe_digest": digest, "position": place, **asdict(row)} for place, row in enumerate(inputs)]
    if rows:
        session.execute(insert(RecipeInput), rows)
    details = {"method": method, "inputs": events.fingerprint(input_rows(session, digest))}
    details["created_at"] = moment(recipe.created_at)
    events.append(session, actor=actor, action="recipe.record", subject=digest, details=details)
    return recipe


def load_recipe(session: Session, digest: str) -> Recipe:
    """The recipe of this digest; NotFound when it was never recorded."""
    recipe = session.get(Recipe, digest)
    if recipe is None:
        raise NotFound(f"there is no recipe {digest}")
    return recipe


def recipe_document(session: Session, digest: str) -> Any:
    """The JSON of the recipe of this digest. Raises NotFound, or IntegrityFailure where its text is damaged."""
    return read_canonical(digest, load_recipe(session, digest).canonical)


def read_canonical(digest: str, canonical: str) -> Any:
    """The JSON of a recipe from its text on record. Raises IntegrityFailure for what is none."""
    try:
        return parse_json(canonical)
    except (ValueError, RecursionError) as error:
        raise IntegrityFailure(
            f"the text of recipe {digest} is damaged: {error}", hint="run `mergestore verify`"
        ) from error


def recipe_inputs(session: Session, digest: str) -> list[RecipeInput]:
    """What a recipe reads, in its order."""
    query = select(RecipeInput).where(RecipeInput.recipe_digest == digest).order_by(RecipeInput.position)
    return list(session.scalars(query))


def input_rows(session: Session, digest: str) -> list[dict[str, Any]]:
    """What is recorded of a recipe's inputs, as plain values."""
    return [
        {"position": row.position, "version_id": row.version_id, "role": row.role, "weight": row.weight}
        for row in recipe_inputs(session, digest)
    ]


def materialization_row(made: Materialization | Row[Any]) -> dict[str, Any]:
    """What is recorded of a computation and stays as it is, as plain values."""
    return {
        "id": made.id,
        "recipe_digest": made.recipe_digest,
        "merge_version_id": made.merge_version_id,
        "output_digest": made.output_digest,
        "device": made.device,
        "engine": made.engine,
        "versions": made.versions,
        "seconds": made.seconds,
        "bytes": made.bytes,
        "path": made.path,
        "cached": made.cached,
        "created_by": made.created_by,
    }


def record_materialization(
    session: Session,
    made: Materialization,
    policies: Sequence[Mapping[str, str]] = (),
    message: Outbox | None = None,
) -> Materialization:
    """Record that a recipe was computed; ``made.created_by`` is the actor, the recipe the event's subject.

    ``policies``: those that the merge was compared with, {policy, digest} each, which the event tells.
    ``message``: what is to be told of it elsewhere, put into the outbox before.
    """
    session.add(made)
    session.flush()
    details: dict[str, Any] = {
        "materialization": made.id,
        "output_digest": made.output_digest,
        "device": made.device,
        "engine": made.engine,
        "path": made.path,
        "row": events.fingerprint([materialization_row(made)]),
        "created_at": moment(made.created_at),
    }
    details |= {"policies": [dict(policy) for policy in policies]} if policies else {}
    details |= {"message": message_fingerprint(message)} if message is not None else {}
    events.append(
        session,
        actor=made.created_by,
        action=_RECORD,
        subject=made.recipe_digest,
        details=details,
    )
    return made


def policies_kept(
    session: Session, recipe_digests: Collection[str], limit: int | None = None
) -> dict[str, list[dict[str, str]]]:
    """The policies that the newest so many materializations of these recipes were compared with, by materialization."""
    if not recipe_digests:
        return {}  # asked of none, a database would read all events of the kind
    columns = (AuditEvent.sequence, AuditEvent.details)
    query = select(*columns).where(AuditEvent.subject.in_(recipe_digests), AuditEvent.action == _RECORD)
    found = session.execute(query.order_by(AuditEvent.sequence.desc()).limit(limit))
    told = [events.read_details(sequence, details) for sequence, details in found]
    return {details["materialization"]: details["policies"] for details in told if "policies" in details}


def message_fingerprints(session: Session, recipe_digests: Collection[str]) -> dict[str, str | None]:
    """What the audit chain keeps of the message about each materialization of these recipes, by materialization."""
    columns = (AuditEvent.sequence, AuditEvent.details)
    query = select(*columns).where(AuditEvent.subject.in_(recipe_digests), AuditEvent.action == _RECORD)
    told = [events.read_details(sequence, details) for sequence, details in session.execute(query)]
    return {str(details.get("materialization")): details.get("message") for details in told}


def merge_recipes(session: Session, version_id: int, digest: str) -> list[str]:
    """The recipe of a named merge, and those of its tasks that were computed as that merge."""
    query = select(Materialization.recipe_digest).where(Materialization.merge_version_id == version_id).distinct()
    return sorted({digest, *session.scalars(query)})


def materializations(
    session: Session, recipe_digests: Collection[str], limit: int | None = None
) -> list[Materialization]:
    """Every time one of these recipes was computed, newest first: all, or so many."""
    return list(session.scalars(_NEWEST_FIRST.where(Materialization.recipe_digest.in_(recipe_digests)).limit(limit)))


def count_materializations(session: Session, recipe_digests: Collection[str]) -> int:
    """How often these recipes were computed."""
    query = select(func.count()).where(Materialization.recipe_digest.in_(recipe_digests))
    return session.scalar(query) or 0


def output_digests(session: Session, recipe_digests: Collection[str]) -> list[str]:
    """What ever came out of these recipes."""
    query = select(Materialization.output_digest).where(Materialization.recipe_digest.in_(recipe_digests))
    return sorted(session.scalars(query.distinct()))


def cached_materialization(
    session: Session, recipe_digest: str, merge_version_id: int | None = None
) -> Materialization | None:
    """The newest computation of this recipe that went into the cache; its files may be gone by now.

    Of a named merge only those count that were recorded as that merge.
    """
    query = _NEWEST_FIRST.where(Materialization.recipe_digest == recipe_digest, Materialization.cached)
    if merge_version_id is not None:
        query = query.where(Materialization.merge_version_id == merge_version_id)
    return session.scalar(query.limit(1))


_NEWEST_FIRST = select(Materialization).order_by(Materialization.created_at.desc(), Materialization.id)


def set_mlflow_run(
    session: Session, materialization_id: str, run_id: str, version: int | None = None, *, actor: str
) -> None:
    """Note the MLflow run that tells of a materialization, and the version of the registered model of its merge."""
    made = session.get(Materialization, materialization_id)
    if made is None:
        raise NotFound(f"there is no materialization {materialization_id}")
    made.mlflow_run_id, made.mlflow_version = run_id, version
    details = {"materialization": made.id, "mlflow_run_id": run_id, "mlflow_version": version}
    events.append(session, actor=actor, action="provenance.deliver", subject=made.recipe_digest, details=details)
