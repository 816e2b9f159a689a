"""How things stand in the records that MLflow is kept in step with: a merge's aliases and states, a run's skills."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from sqlalchemy import select
from sqlalchemy.orm import Session

from registry.provenance.messages import TRAINING, begins
from registry.provenance.mlflow_standing import Came, Standing
from registry.records import outbox
from registry.records.catalog import find_model, versions
from registry.records.identity import store_id
from registry.records.tables import Alias, AliasEvent, Materialization, Model, ModelVersion

_ALIAS = re.compile(r"[A-Za-z0-9_-]{1,255}")  # what MLflow 3 takes
_RESERVED = re.compile(r"v[0-9]+|latest", re.IGNORECASE)


def fits_mlflow(alias: str) -> bool:
    """Whether MLflow takes an alias of ours: no dots, and neither v1 nor latest."""
    return bool(_ALIAS.fullmatch(alias)) and not _RESERVED.fullmatch(alias)


def standing(session: Session, name: str) -> Standing:
    """Aliases that a merge has or ever had, as far as MLflow takes them, and the states of its versions."""
    model = find_model(session, name)
    if model is None:  # nothing deletes models
        return Standing(name, store_id(session), {}, {}, {})
    of_model = {version.id: version for version in versions(session, name)}
    once = session.scalars(select(AliasEvent.alias).where(AliasEvent.model_id == model.id).distinct())
    moved = session.scalars(select(Alias).filter_by(model_id=model.id))
    now = {record.alias: of_model[record.version_id].version for record in moved}
    aliases = {alias: now.get(alias) for alias in {*once, *now}}
    return Standing(
        name=name,
        store=store_id(session),
        aliases={alias: aliases[alias] for alias in sorted(aliases) if fits_mlflow(alias)},
        recipes={version.version: version.digest for version in of_model.values()},
        withdrawn={
            version.version: (version.state, version.reason or "")
            for version in of_model.values()
            if version.state != "ready"
        },
    )


def pointed_at(session: Session) -> list[str]:
    """The merges that MLflow knows and that have a standing to be kept in step, in order of names."""
    known = select(ModelVersion.model_id).where(
        ModelVersion.id.in_(select(Materialization.merge_version_id).where(Materialization.mlflow_run_id.is_not(None)))
    )
    moved = select(AliasEvent.model_id)
    withdrawn = select(ModelVersion.model_id).where(ModelVersion.state != "ready")
    query = select(Model.name).where(Model.id.in_(known), Model.id.in_(moved.union(withdrawn)))
    return sorted(session.scalars(query))


def came_of(session: Session, run: str) -> Came:
    """Every base and skill that was registered with this training run."""
    told: Iterable[Mapping[str, str]] = (
        message.payload for message in outbox.beginning(session, TRAINING, begins(TRAINING, run))
    )
    return tuple((each["kind"], each["reference"], each["digest"]) for each in told)
