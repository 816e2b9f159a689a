"""One process at a time, and the others wait: a lease that a thread keeps alive as long as the work takes.

A process that is killed keeps the others waiting until its lease has run out, a minute; on the same host not at all.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sqlalchemy import Engine

from registry.records import leases
from registry.records.database import writing
from storage.digests import sha256_digest
from storage.errors import MergestoreError
from storage.files import resolved
from storage.journal import note

SECONDS = 60.0
"""How long a lease lasts that nobody prolongs."""
_PROLONG = 20.0
_FIRST, _MOST = 0.05, 1.0  # seconds between looks
_kept: dict[str, str] = {}  # leases of this process that could not be given back, and their holders


def at_place(what: str, path: Path) -> str:
    """The name of a lease on a file or folder, by whichever way it is named."""
    return f"{what}:{sha256_digest(os.fsencode(resolved(path)))}"


@contextmanager
def alone(engine: Engine, name: str) -> Iterator[float]:
    """A block that of all processes only one is in at a time; how many seconds it waited for the others."""
    clock, pause = time.monotonic(), _FIRST
    holder = leases.new_holder()
    while not _take(engine, name, holder):
        note("lease.waiting", lease=name, seconds=round(time.monotonic() - clock, 3))
        time.sleep(pause)
        pause = min(2 * pause, _MOST)
    with _held(engine, name, holder):
        yield time.monotonic() - clock


@contextmanager
def if_free(engine: Engine, name: str) -> Iterator[bool]:
    """The same, for who does not wait: whether the block is in alone, or somebody else is."""
    holder = leases.new_holder()
    if not _take(engine, name, holder):
        yield False
        return
    with _held(engine, name, holder):
        yield True


def _take(engine: Engine, name: str, holder: str) -> bool:
    kept = _kept.get(name)
    with writing(engine) as session:
        if kept is not None:
            leases.release(session, name, kept)
        taken = leases.acquire(session, name, holder, SECONDS)
    _kept.pop(name, None)
    return taken


@contextmanager
def repeating(label: str, seconds: float, step: Callable[[], object]) -> Iterator[None]:
    """A block beside which a thread takes ``step`` every so many seconds: the next time, where the database is away."""
    done = threading.Event()

    def repeat() -> None:
        while not done.wait(seconds):
            with suppress(MergestoreError):
                step()

    thread = threading.Thread(target=repeat, name=label, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


@contextmanager
def _held(engine: Engine, name: str, holder: str) -> Iterator[None]:
    try:
        with repeating(f"keeps {name}", _PROLONG, lambda: _take(engine, name, holder)):
            yield
    finally:
        _give_back(engine, name, holder)


def _give_back(engine: Engine, name: str, holder: str) -> None:
    """Work that is done is done, also where the database cannot be written to by now: then the lease runs out."""
    try:
        with writing(engine) as session:
            leases.release(session, name, holder)
    except MergestoreError:
        _kept[name] = holder
