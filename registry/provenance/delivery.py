"""Delivering provenance: from the outbox to MLflow. The record is committed with the materialization; delivery
comes after, and may come much later (``sync``).
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from sqlalchemy import Engine

from registry.provenance.mlflow import deliver, reachable
from registry.records import leases, outbox
from registry.records.database import reading, writing
from registry.records.recipes import set_mlflow_run
from registry.records.tables import Outbox
from storage.errors import EnvironmentFailure, MergestoreError

KIND = "materialization"
REQUEST_SECONDS = 10.0
"""The longest a single request may take. A server that is merely slow keeps being waited for."""
PATIENCE_SECONDS = 0.75
"""How long a server may stay silent before nobody waits for it."""
_LEASE_SECONDS = 60.0


@dataclass(frozen=True)
class Synced:
    """What ``sync`` did: messages delivered, still pending, and why some failed."""

    delivered: int
    pending: int
    errors: tuple[str, ...]


def deliver_message(
    engine: Engine, message: Outbox, tracking_uri: str, actor: str, holder: str | None = None
) -> str | None:
    """Deliver one message and note it; None when another process is at it. Raises EnvironmentFailure."""
    holder = holder or uuid.uuid4().hex
    with writing(engine) as session:
        if not leases.acquire(session, lease_name(message.key), holder, _LEASE_SECONDS):
            return None
    try:
        delivered = deliver(message.payload, tracking_uri, timeout=REQUEST_SECONDS)
    except MergestoreError as error:
        with writing(engine) as session:
            outbox.mark_failed(session, message.id, error.message)
            leases.release(session, lease_name(message.key), holder)
        raise
    with writing(engine) as session:
        outbox.mark_delivered(session, message.id)
        set_mlflow_run(session, message.key, delivered.run_id, actor=actor)
        leases.release(session, lease_name(message.key), holder)
    return delivered.run_id


def lease_name(key: str) -> str:
    """The lease under which one message is delivered: by one process at a time."""
    return f"{outbox.LEASE}:{key}"


def sync(engine: Engine, tracking_uri: str, actor: str) -> Synced:
    """Deliver everything that is pending, oldest first. Stops at the first sign that nobody listens."""
    delivered, errors = 0, []
    if not reachable(tracking_uri, PATIENCE_SECONDS):
        errors.append("the tracking server does not answer")
    else:
        for message in _pending(engine):
            try:
                delivered += deliver_message(engine, message, tracking_uri, actor) is not None
            except EnvironmentFailure as error:
                errors.append(error.message)
                if not reachable(tracking_uri, PATIENCE_SECONDS):
                    break
    with reading(engine) as session:
        pending = outbox.count_pending(session)
    return Synced(delivered, pending, tuple(errors))


def _pending(engine: Engine) -> list[Outbox]:
    with reading(engine) as session:
        return outbox.pending(session, limit=outbox.count_pending(session))
