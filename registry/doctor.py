"""A look at everything around a store that could give trouble, each finding with what to do."""

from __future__ import annotations

import importlib.util
import os
import sqlite3
from collections.abc import Iterator
from typing import Any

from sqlalchemy import Engine, text

from registry.home import Home
from registry.provenance.mlflow import reachable
from registry.publishing import free_space
from registry.quota import limit
from registry.records import outbox, quota
from registry.records.database import reading
from registry.records.guards import GUARDS_HINT, broken_guards, count_guards
from storage.errors import MergestoreError

Check = dict[str, Any]
_PATIENCE = 3.0  # seconds for an object storage to answer
_LITTLE_SPACE = 5_000_000_000
_WAL_RESET_FIXED = (3, 51, 3)


def examine(engine: Engine, home: Home, tracking_uri: str) -> dict[str, Any]:
    """``ok`` and one entry a check: name, level (ok, warning, error), detail, hint. Changes nothing."""
    checks = []
    for look in (_database, _sqlite, _triggers, _home, _objects, _policy, _space, _quota, _torch, _mlflow, _outbox):
        try:
            checks += list(look(engine, home, tracking_uri))
        except MergestoreError as error:
            checks.append(_check(look.__name__.strip("_"), "error", error.message, error.hint))
    return {"ok": all(check["level"] != "error" for check in checks), "checks": checks}


def _database(engine: Engine, home: Home, tracking_uri: str) -> Iterator[Check]:
    with reading(engine) as session:
        session.execute(text("select 1"))
    yield _check("database", "ok", f"{engine.dialect.name} answers")


def _sqlite(engine: Engine, home: Home, tracking_uri: str) -> Iterator[Check]:
    if engine.dialect.name != "sqlite":
        return
    version = sqlite3.sqlite_version
    if sqlite3.sqlite_version_info < _WAL_RESET_FIXED:
        yield _check(
            "sqlite",
            "warning",
            f"SQLite {version} has a known bug that can, rarely, lose the last transactions of a WAL file",
            "fixed in SQLite 3.51.3; back the store up, or use PostgreSQL",
        )
    else:
        yield _check("sqlite", "ok", f"SQLite {version}")


def _triggers(engine: Engine, home: Home, tracking_uri: str) -> Iterator[Check]:
    with reading(engine) as session:
        broken, count = list(broken_guards(session)), count_guards(session)
    for what, _ in broken:
        yield _check("triggers", "error", what, GUARDS_HINT)
    if not broken:
        yield _check("triggers", "ok", f"{count} triggers guard the records")


def _home(engine: Engine, home: Home, tracking_uri: str) -> Iterator[Check]:
    writable = os.access(home.root, os.W_OK)
    level = "ok" if writable else "error"
    detail = f"{home.root} {'can' if writable else 'cannot'} be written"
    yield _check("home", level, detail, None if writable else "check the folder's permissions")


def _objects(engine: Engine, home: Home, tracking_uri: str) -> Iterator[Check]:
    if home.storage is None:
        return
    from storage.objects.bucket import Bucket

    Bucket(home.storage, patience=_PATIENCE).answer()
    yield _check("objects", "ok", f"{home.storage} answers")


def _policy(engine: Engine, home: Home, tracking_uri: str) -> Iterator[Check]:
    from registry.policies.enforcing import policies_of  # methods stand behind it, whose names policies may hold

    held = policies_of(home)
    yield _check("policy", "ok", f"policy.yaml, {held[0].digest}" if held else "there is none")
    for name in ("policy.yml", "policy.json"):
        if (home.root / name).exists():
            yield _check("policy", "warning", f"{name} is not read", "name it policy.yaml, which may hold JSON too")


def _space(engine: Engine, home: Home, tracking_uri: str) -> Iterator[Check]:
    free = free_space(home.root)
    little = free < _LITTLE_SPACE
    hint = "materialized models in the cache folder can be deleted" if little else None
    yield _check("disk space", "warning" if little else "ok", f"{free / 1e9:.1f} GB free", hint)


def _quota(engine: Engine, home: Home, tracking_uri: str) -> Iterator[Check]:
    with reading(engine) as session:
        used, most = quota.used(session), limit(session, home)
    if most is None:
        yield _check("quota", "ok", f"none; {used:,} bytes of objects on record")
    else:
        little = used > 0.9 * most
        hint = "find garbage with `mergestore gc`, or raise it with `mergestore init --quota SIZE`" if little else None
        yield _check("quota", "warning" if little else "ok", f"{used:,} of {most:,} bytes are used", hint)


def _torch(engine: Engine, home: Home, tracking_uri: str) -> Iterator[Check]:
    if importlib.util.find_spec("torch") is None:
        hint = "pip install 'mergestore[torch]' for GPUs, pickled checkpoints and models in memory"
        yield _check("torch", "warning", "torch is not installed", hint)
        return
    from merging.engines.torch_engine import available_devices

    yield _check("torch", "ok", f"devices: {', '.join(available_devices())}")


def _mlflow(engine: Engine, home: Home, tracking_uri: str) -> Iterator[Check]:
    if importlib.util.find_spec("mlflow") is None:
        hint = "pip install 'mergestore[mlflow]'; until then provenance waits in the outbox"
        yield _check("mlflow", "warning", "MLflow is not installed", hint)
    elif not reachable(tracking_uri):
        hint = "provenance waits in the outbox; deliver it later with `mergestore sync`"
        yield _check("mlflow", "warning", "the tracking server does not answer", hint)
    else:
        yield _check("mlflow", "ok", "the tracking store can be reached")


def _outbox(engine: Engine, home: Home, tracking_uri: str) -> Iterator[Check]:
    with reading(engine) as session:
        waiting = outbox.count_pending(session)
    hint = "run `mergestore sync`" if waiting else None
    yield _check("outbox", "warning" if waiting else "ok", f"{waiting} records wait for delivery", hint)


def _check(name: str, level: str, detail: str, hint: str | None = None) -> Check:
    return {"name": name, "ok": level == "ok", "level": level, "detail": detail, "hint": hint}
