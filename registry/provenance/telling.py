"""Telling MLflow at once what a verb has put into the outbox: by a child process, while somebody listens."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Engine

from registry.provenance.courier import Courier
from registry.records import outbox
from registry.records.database import reading


def tell(
    engine: Engine, tracking_uri: str, own_tracking: Path, actor: str, kind: str, key: str | None, *, wait: bool
) -> list[str]:
    """Deliver a message, if there is such and it waits; what a person should know of it.

    Waits as long as the tracking server answers, at most about a second once it does not; without ``wait`` not at all.
    """
    with reading(engine) as session:
        message = outbox.find(session, kind, key) if key is not None else None
    if message is None or message.delivered_at is not None:
        return []
    if not wait:
        return ["MLflow is told by `mergestore sync`"]
    _, problem = Courier(engine, tracking_uri, own_tracking, actor).hand_over(kind, message.key)
    if problem is None:
        return []
    with reading(engine) as session:
        waits = session.get_one(type(message), message.id).delivered_at is None
    return [f"MLflow was not told: {problem}" + ("; run `mergestore sync` later" if waits else "")]
