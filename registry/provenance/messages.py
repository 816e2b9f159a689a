"""What waits in the outbox for MLflow: of which kinds, under which keys, and what must be delivered one at a time.

A materialization's message holds all that is told. The others only say of what: delivering them tells how it stands
then, so that nothing old is ever repeated, and one delivery settles all messages about the same thing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from registry.records import events, outbox
from registry.records.tables import AliasEvent, Materialization, Model, ModelVersion, Outbox
from registry.registering.training import mlflow_run

MATERIALIZATION = outbox.MATERIALIZATION
REGISTERED = "registered_model"
"""The aliases of a merge, and which of its versions are out of use: about the registered model of its name."""
TRAINING = "training_run"
"""Which skills and bases came of a training run."""


def about(kind: str, key: str) -> str:
    """What a message is about: a materialization, the name of a merge, the id of a training run."""
    if kind == REGISTERED:
        return key.rpartition("#")[0]
    return key.partition("/")[0] if kind == TRAINING else key


def begins(kind: str, subject: str) -> str:
    """How the keys of all messages about the same thing begin."""
    return subject + {REGISTERED: "#", TRAINING: "/"}[kind]


def lease_name(kind: str, key: str) -> str:
    """The lease under which a message is delivered: by one process at a time."""
    subject = about(kind, key)
    return f"{outbox.LEASE}:{subject}" if kind == MATERIALIZATION else f"{outbox.LEASE}:{kind}:{subject}"


def has_results(session: Session, version: ModelVersion) -> bool:
    """Whether a version of a merge was ever materialized: MLflow registers it then."""
    made = select(Materialization.id).where(Materialization.merge_version_id == version.id).limit(1)
    return session.scalar(made) is not None


def add_registered(session: Session, model: Model) -> Outbox | None:
    """Let MLflow know how the aliases and states of a merge stand now; None where it cannot know of any version."""
    made = exists().where(Materialization.merge_version_id == ModelVersion.id, ModelVersion.model_id == model.id)
    if model.kind != "merge" or not session.scalar(select(made)):
        return None
    head = events.head(session)
    key = f"{begins(REGISTERED, model.name)}{head.sequence if head else 0}"
    return outbox.add(session, kind=REGISTERED, key=key, payload={"name": model.name})


def add_if_pointed_at(session: Session, materialization: str) -> Outbox | None:
    """The same of a merge that was materialized just now: only if it ever had an alias, or a version is out of use."""
    version_id = session.get_one(Materialization, materialization).merge_version_id
    if version_id is None:
        return None
    model = session.get_one(ModelVersion, version_id).model
    moved = exists().where(AliasEvent.model_id == model.id)
    withdrawn = exists().where(ModelVersion.model_id == model.id, ModelVersion.state != "ready")
    return add_registered(session, model) if session.scalar(select(moved | withdrawn)) else None


def add_training(session: Session, version: ModelVersion) -> None:
    """Let the training run of a base or skill know what came of it, if the run is known.

    One that MLflow did not know is tried again.
    """
    run = mlflow_run(version.attributes.get("training", {}).get("meta", {}))
    if run is None:
        return
    payload: Mapping[str, Any] = {"kind": version.kind, "reference": version.reference, "digest": version.digest}
    message = outbox.add(
        session, kind=TRAINING, key=training_key(run, version.name, version.version), payload=dict(payload)
    )
    if message.last_error:
        message.delivered_at = None


def training_key(run: str, name: str, version: int) -> str:
    """The key of the message that a version came of a training run."""
    return f"{begins(TRAINING, run)}{name}@{version}"
