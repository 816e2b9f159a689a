"""Delivering provenance: from the outbox to MLflow, while a materialization waits no longer than it must.

The record is committed with the materialization; delivery comes after, and may come much later (``sync``).
"""

from __future__ import annotations

import threading
import uuid
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine

from registry import leases, outbox
from registry.database import reading, writing
from registry.provenance import deliver, reachable, warm
from registry.recipes import set_mlflow_run
from registry.records import Outbox
from storage.errors import EnvironmentFailure, MergestoreError

KIND = "materialization"
REQUEST_SECONDS = 10.0
"""The longest a single request may take. A server that is merely slow keeps being waited for."""
PATIENCE_SECONDS = 0.75
"""How long a server may stay silent before a materialization stops waiting for it."""
_PROBE_SECONDS = 0.25
_LEASE_SECONDS = 120.0


@dataclass(frozen=True)
class Synced:
    """What ``sync`` did: messages delivered, still pending, and why some failed."""

    delivered: int
    pending: int
    errors: tuple[str, ...]


class Courier:
    """Delivers one materialization's record on a thread of its own.

    Made when the work begins, so that MLflow is imported meanwhile. ``hand_over`` then waits as long as the server
    answers, and at most about a second once it does not.
    """

    def __init__(self, engine: Engine, tracking_uri: str, actor: str):
        self._engine, self._tracking_uri, self._actor = engine, tracking_uri, actor
        self._committed = threading.Event()
        self._abandoned = False
        self._key: str | None = None
        self._run_id: str | None = None
        self._error: str | None = None
        self._thread = threading.Thread(target=self._run, name="mergestore-provenance", daemon=True)
        self._thread.start()

    def hand_over(self, key: str) -> tuple[str | None, str | None]:
        """Deliver the message of this key: (MLflow run id, None), or (None, why not yet)."""
        self._key = key
        self._committed.set()
        while self._thread.is_alive():
            self._thread.join(_PROBE_SECONDS)
            if self._thread.is_alive() and not reachable(self._tracking_uri, PATIENCE_SECONDS):
                return self._run_id, "the tracking server stopped answering"
        return self._run_id, self._error

    def abandon(self) -> None:
        """There is nothing to deliver after all."""
        self._abandoned = True
        self._committed.set()

    def _run(self) -> None:
        if not reachable(self._tracking_uri):
            self._error = "the tracking server does not answer"
            return
        warm(self._tracking_uri, REQUEST_SECONDS)
        self._committed.wait()
        if self._abandoned or self._key is None:
            return
        try:
            with reading(self._engine) as session:
                message = outbox.find(session, KIND, self._key)
            if message is not None:
                self._run_id = deliver_message(self._engine, message, self._tracking_uri, self._actor)
        except MergestoreError as error:
            self._error = error.message


def deliver_message(engine: Engine, message: Outbox, tracking_uri: str, actor: str) -> str | None:
    """Deliver one message and note it; None when another process is at it. Raises EnvironmentFailure."""
    holder, lease = uuid.uuid4().hex, f"{outbox.LEASE}:{message.id}"
    with writing(engine) as session:
        if not leases.acquire(session, lease, holder, _LEASE_SECONDS):
            return None
    try:
        delivered = deliver(message.payload, tracking_uri, timeout=REQUEST_SECONDS)
    except MergestoreError as error:
        with writing(engine) as session:
            outbox.mark_failed(session, message.id, error.message)
            leases.release(session, lease, holder)
        raise
    with writing(engine) as session:
        outbox.mark_delivered(session, message.id)
        set_mlflow_run(session, message.key, delivered.run_id, actor=actor)
        leases.release(session, lease, holder)
    return delivered.run_id


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


def _pending(engine: Engine) -> list[Any]:
    with reading(engine) as session:
        return outbox.pending(session, limit=outbox.count_pending(session))
