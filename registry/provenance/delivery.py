"""Delivering provenance: from the outbox to MLflow. A message is committed with what it tells of; delivery comes
after, and may come much later (``sync``).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from registry.provenance import messages
from registry.provenance.mlflow import deliver, keep_in_step, link_training, reachable
from registry.provenance.own_tracking import bring_here
from registry.provenance.standing import came_of, pointed_at, standing
from registry.records import events, leases, outbox
from registry.records.database import reading, writing
from registry.records.identity import store_id
from registry.records.recipes import set_mlflow_run
from registry.records.tables import Outbox
from storage.errors import Conflict, EnvironmentFailure, MergestoreError, NotFound
from storage.journal import WARNING, note

REQUEST_SECONDS = 10.0
"""The longest a single request may take. A server that is merely slow keeps being waited for."""
PATIENCE_SECONDS = 0.75
"""How long a server may stay silent before nobody waits for it."""
_LEASE_SECONDS = 60.0

S = TypeVar("S")
R = TypeVar("R")


@dataclass(frozen=True)
class Synced:
    """What ``sync`` did: messages delivered, still pending, and why some failed."""

    delivered: int
    pending: int
    errors: tuple[str, ...]


@dataclass(frozen=True)
class Receipt:
    """A message has arrived; ``run_id`` only of a materialization."""

    run_id: str | None = None


def deliver_message(
    engine: Engine, message: Outbox, tracking_uri: str, actor: str, holder: str | None = None
) -> Receipt | None:
    """Deliver one message and note it; None when another process is at it.

    Raises EnvironmentFailure for what may be tried again; NotFound and Conflict for what cannot be delivered at all,
    and waits no more.
    """
    with _leased(engine, messages.lease_name(message.kind, message.key), holder or leases.new_holder()) as mine:
        if not mine:
            return None
        try:
            receipt = _DELIVER[message.kind](engine, message, tracking_uri, actor)
            note("provenance.delivered", kind=message.kind, key=message.key, run=receipt.run_id)
            return receipt
        except MergestoreError as error:
            note("provenance.failed", WARNING, kind=message.kind, key=message.key, message=error.message)
            with writing(engine) as session:
                outbox.mark_failed(session, message.id, error.message)
                if message.kind != messages.MATERIALIZATION and isinstance(error, (NotFound, Conflict)):
                    beginning = messages.begins(message.kind, messages.about(message.kind, message.key))
                    outbox.settle(session, message.kind, beginning, refused=error.message)
            raise


def deliver_following(engine: Engine, message: Outbox, tracking_uri: str, actor: str) -> None:
    """Deliver what the delivery of a materialization has put into the outbox; what fails is left to ``sync``."""
    merge = message.payload.get("merge")
    if not merge:
        return
    with reading(engine) as session:
        told = outbox.beginning(session, messages.REGISTERED, messages.begins(messages.REGISTERED, merge["name"]))
    for following in [each for each in told if each.delivered_at is None][-1:]:
        with contextlib.suppress(MergestoreError):
            deliver_message(engine, following, tracking_uri, actor)


def sync(engine: Engine, tracking_uri: str, own_tracking: Path, actor: str) -> Synced:
    """Deliver everything that is pending, oldest first, and repair what was moved in MLflow.

    Stops at the first sign that nobody listens.
    """
    delivered, errors = 0, []
    if obstacle := _obstacle(tracking_uri, own_tracking):
        errors.append(obstacle)
    else:
        for step in _steps(engine, tracking_uri, actor):
            try:
                delivered += step()
            except MergestoreError as error:
                errors.append(error.message)
                if isinstance(error, EnvironmentFailure) and not reachable(tracking_uri, PATIENCE_SECONDS):
                    break
    with reading(engine) as session:
        pending = outbox.count_pending(session)
    return Synced(delivered, pending, tuple(errors))


def _obstacle(tracking_uri: str, own_tracking: Path) -> str | None:
    """Why nothing can be delivered now, if it cannot."""
    if not reachable(tracking_uri, PATIENCE_SECONDS):
        note("provenance.unreachable", WARNING)
        return "the tracking server does not answer"
    try:
        bring_here(tracking_uri, own_tracking, REQUEST_SECONDS)
    except EnvironmentFailure as error:
        note("provenance.failed", WARNING, message=error.message)
        return error.message
    return None


def _steps(engine: Engine, tracking_uri: str, actor: str) -> Iterator[Callable[[], bool]]:
    """Each delivers one message, or keeps one merge in step; whether it did anything."""
    last = 0
    while batch := _pending(engine, last):
        for message in batch:
            last = message.id
            yield partial(_deliver_waiting, engine, message, tracking_uri, actor)
    with reading(engine) as session:
        names = pointed_at(session)
    for name in names:
        yield partial(_repair, engine, name, tracking_uri)


def _deliver_waiting(engine: Engine, message: Outbox, tracking_uri: str, actor: str) -> bool:
    with reading(engine) as session:
        waits = session.get_one(Outbox, message.id).delivered_at is None
    # One delivery may have settled several.
    return waits and deliver_message(engine, message, tracking_uri, actor) is not None


def _pending(engine: Engine, after: int) -> list[Outbox]:
    with reading(engine) as session:
        return outbox.pending(session, after=after)


def _repair(engine: Engine, name: str, tracking_uri: str) -> bool:
    """Bring a registered model in step that nothing waits for; one of another store was told of before."""
    key = messages.begins(messages.REGISTERED, name)
    lease = messages.lease_name(messages.REGISTERED, key)
    with contextlib.suppress(Conflict), _leased(engine, lease, leases.new_holder()) as mine:
        return mine and _keep(engine, name, tracking_uri)
    return False


@contextlib.contextmanager
def _leased(engine: Engine, name: str, holder: str) -> Iterator[bool]:
    """A lease for the time of the block; False where another process has it."""
    with writing(engine) as session:
        mine = leases.acquire(session, name, holder, _LEASE_SECONDS)
    try:
        yield mine
    finally:
        if mine:
            with writing(engine) as session:
                leases.release(session, name, holder)


def _materialization(engine: Engine, message: Outbox, tracking_uri: str, actor: str) -> Receipt:
    page = _page(engine, message.payload)
    delivered = deliver(message.payload, tracking_uri, timeout=REQUEST_SECONDS, page=page)
    with writing(engine) as session:
        outbox.mark_delivered(session, message.id)
        set_mlflow_run(session, message.key, delivered.run_id, delivered.registered_version, actor=actor)
        messages.add_if_pointed_at(session, message.key)
    return Receipt(delivered.run_id)


def _page(engine: Engine, payload: dict[str, Any]) -> str | None:
    """The audit of what was made, as MLflow shows it; None where the records are damaged: the rest is told anyway."""
    from registry.audits import page
    from registry.audits.audit import audit

    merge = payload["merge"]
    with reading(engine) as session, contextlib.suppress(MergestoreError):
        target = f"{merge['name']}@{merge['version']}" if merge else payload["recipe_digest"]
        return page.render(audit(session, target, _NEWEST))
    return None


_NEWEST = 50  # of what grows with use, so much stands on the page


def _registered(engine: Engine, message: Outbox, tracking_uri: str, actor: str) -> Receipt:
    _keep(engine, messages.about(message.kind, message.key), tracking_uri)
    return Receipt()


def _keep(engine: Engine, name: str, tracking_uri: str) -> bool:
    return _in_step(
        engine,
        lambda session: standing(session, name),
        lambda now: keep_in_step(now, tracking_uri, timeout=REQUEST_SECONDS),
        lambda session: outbox.settle(session, messages.REGISTERED, messages.begins(messages.REGISTERED, name)),
    )


def _training(engine: Engine, message: Outbox, tracking_uri: str, actor: str) -> Receipt:
    run = messages.about(message.kind, message.key)

    def settle(session: Session) -> None:
        outbox.settle(session, messages.TRAINING, messages.begins(messages.TRAINING, run))
        subject, details = message.payload["reference"], {"mlflow_run_id": run}
        events.append(session, actor=actor, action="provenance.link", subject=subject, details=details)

    _in_step(
        engine,
        lambda session: (came_of(session, run), store_id(session)),
        lambda now: link_training(run, *now, tracking_uri, timeout=REQUEST_SECONDS),
        settle,
    )
    return Receipt()


def _in_step(
    engine: Engine, read: Callable[[Session], S], write: Callable[[S], R], settle: Callable[[Session], None]
) -> R:
    """Tell how something stands until that is how it stands still; then no message about it needs to wait."""
    with reading(engine) as session:
        now = read(session)
    while True:
        result = write(now)
        with writing(engine) as session:
            told, now = now, read(session)
            if now == told:
                settle(session)
                return result


_DELIVER: dict[str, Callable[[Engine, Outbox, str, str], Receipt]] = {
    messages.MATERIALIZATION: _materialization,
    messages.REGISTERED: _registered,
    messages.TRAINING: _training,
}
