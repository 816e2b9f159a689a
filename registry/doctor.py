"""A look at everything around a store that could give trouble, each finding with what to do."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import text

from registry import surroundings
from registry.finding import Check, Patient, check
from registry.provenance.mlflow import examine as examine_tracking
from registry.quota import limit
from registry.records import outbox, quota
from registry.records.database import reading
from registry.records.guards import GUARDS_HINT, broken_guards, count_guards
from registry.records.objects import some
from registry.records.pages import INDEX_HINT, page_fault
from storage.errors import EnvironmentFailure, MergestoreError
from storage.files import disk_errors

_PATIENCE = 3.0  # seconds for an object storage to answer
_SKEW = timedelta(minutes=5)  # S3 refuses what was signed by a clock that is 15 minutes off


def examine(of: Patient) -> dict[str, Any]:
    """``ok`` and one entry a check: name, level (ok, warning, error), detail, hint. Changes nothing.

    Why the registry cannot be opened is told once, and what else would be looked at in it is left out.
    """
    checks: list[Check] = []
    for look in _LOOKS:
        try:
            with disk_errors(f"cannot look at {of.home.root}"):
                checks += look(of)
        except MergestoreError as error:
            if error is not of.opened or look is _database:
                checks.append(check(look.__name__.strip("_"), "error", error.message, error.hint))
    return {"ok": all(each["level"] != "error" for each in checks), "checks": checks}


def _database(of: Patient) -> Iterator[Check]:
    with reading(of.registry) as session:
        session.execute(text("select 1"))
        fault = page_fault(session) if of.on_sqlite else None
    if fault is None:
        yield check("database", "ok", f"{of.registry.dialect.name} answers")
    else:
        told = f"{of.url.database} is damaged, and its tables can be read whole: {fault}"
        yield check("database", "error", told, INDEX_HINT)


def _triggers(of: Patient) -> Iterator[Check]:
    with reading(of.registry) as session:
        broken, count = list(broken_guards(session)), count_guards(session)
    for what, _ in broken:
        yield check("triggers", "error", what, GUARDS_HINT)
    if not broken:
        yield check("triggers", "ok", f"{count} triggers guard the records")


def _home(of: Patient) -> Iterator[Check]:
    if not of.home.root.exists():
        return  # why there is no store is told already
    refused = [each for each in of.home.written if os.access(each, os.F_OK) and not os.access(each, os.W_OK | os.X_OK)]
    if refused:
        told = f"{', '.join(map(str, refused))} cannot be written"
        yield check("home", "error", told, "give this user the right to write it, or ask who owns it")
    else:
        yield check("home", "ok", f"{of.home.root} can be written")


def _objects(of: Patient) -> Iterator[Check]:
    if of.home.storage is None:
        yield from _objects_here(of)
        return
    from storage.objects.bucket import Bucket

    bucket = Bucket(of.home.storage, patience=_PATIENCE)
    bucket.answer()
    yield check("objects", "ok", f"{of.home.storage} answers")
    there = bucket.clock(_PATIENCE)
    if there is not None and abs(there - datetime.now(UTC)) > _SKEW:
        told = f"this machine's clock and that of {of.home.storage} differ by {abs(there - datetime.now(UTC))}"
        yield check("objects", "warning", told, "set the clock, by NTP best: S3 refuses requests 15 minutes off")


def _objects_here(of: Patient) -> Iterator[Check]:
    with reading(of.registry) as session:
        recorded = some(session)
    missing = sum(not of.home.blobs.has(digest) for digest in recorded)
    level = "error" if 2 * missing > len(recorded) else "warning" if missing else "ok"
    told = f"{len(recorded) - missing} of {len(recorded)} that were looked for are in {of.home.root / 'objects'}"
    hint = (
        "is this the folder that has them (--store), its disk mounted? `mergestore repair --from` brings lost ones back"
    )
    yield check("objects", level, told, hint if missing else None)


def _policy(of: Patient) -> Iterator[Check]:
    from registry.policies.enforcing import policies_of  # methods stand behind it, whose names policies may hold

    held = policies_of(of.home)
    yield check("policy", "ok", f"policy.yaml, {held[0].digest}" if held else "there is none")
    for name in ("policy.yml", "policy.json"):
        if (of.home.root / name).exists():
            yield check("policy", "warning", f"{name} is not read", "name it policy.yaml, which may hold JSON too")


def _quota(of: Patient) -> Iterator[Check]:
    with reading(of.registry) as session:
        used, most = quota.used(session), limit(session, of.home)
    if most is None:
        yield check("quota", "ok", f"none; {used:,} bytes of objects on record")
    else:
        little = used > 0.9 * most
        hint = "find garbage with `mergestore gc`, or raise it with `mergestore init --quota SIZE`" if little else None
        yield check("quota", "warning" if little else "ok", f"{used:,} of {most:,} bytes are used", hint)


def _torch(of: Patient) -> Iterator[Check]:
    if importlib.util.find_spec("torch") is None:
        hint = "pip install 'mergestore[torch]' for GPUs, pickled checkpoints and models in memory"
        yield check("torch", "warning", "torch is not installed", hint)
        return
    from merging.engines.torch_engine import available_devices

    yield check("torch", "ok", f"devices: {', '.join(available_devices())}")


def _mlflow(of: Patient) -> Iterator[Check]:
    if importlib.util.find_spec("mlflow") is None:
        hint = "pip install 'mergestore[mlflow]'; until then provenance waits in the outbox"
        yield check("mlflow", "warning", "MLflow is not installed", hint)
        return
    try:
        examine_tracking(of.tracking_uri)
    except EnvironmentFailure as error:
        yield check("mlflow", "warning", error.message, error.hint)
    else:
        yield check("mlflow", "ok", "the tracking store can be reached")


def _outbox(of: Patient) -> Iterator[Check]:
    with reading(of.registry) as session:
        waiting = outbox.count_pending(session)
    hint = "run `mergestore sync`" if waiting else None
    what = "1 record waits" if waiting == 1 else f"{waiting} records wait"
    yield check("outbox", "warning" if waiting else "ok", f"{what} for delivery", hint)


_LOOKS: tuple[Callable[[Patient], Iterable[Check]], ...] = (
    *(_database, surroundings.sqlite, _triggers, _home, _objects, _policy),
    *(surroundings.filesystem, surroundings.space, surroundings.limits, surroundings.kernels, surroundings.clock),
    *(_quota, _torch, _mlflow, _outbox),
)
