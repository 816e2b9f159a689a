"""A store of any number of versions with its objects on the disk: its bytes are few, but they are there.

A tenth as many skills as versions, ten versions each, and as many materializations as versions; every tenth skill has
an alias, one version in a thousand is yanked. Objects of skills are a line of text each, named by its digest as any
object, so that whatever lists, reads, checks, copies or deletes objects has them all to do with. The base ``tiny``,
the skills ``real-0`` to ``real-2`` and the merge ``mix`` are real, and materialized once into the cache.
"""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path

from sqlalchemy.orm import Session

import mergestore
from benchmarks import store_samples
from benchmarks.models import write_model
from benchmarks.store_samples import ACTOR
from mergestore import Store
from registry import merges
from registry.home import Home
from registry.records import aliases, catalog, readiness
from registry.records.contents import BlobRow
from registry.records.database import writing
from storage.digests import blake3_digest

VERSIONS = 10  # of each skill
MIX = "tiny + 0.5*real-0 + 0.3*real-1 + 0.2*real-2"
_AT_ONCE = 1000  # versions a transaction
_NOWHERE = Home(Path())


def make(home: Path, versions: int, models: Path) -> None:
    """Make the store of this many versions, if an earlier run did not; one that was cut short is made anew."""
    done = home / "made"
    if done.exists():
        return
    shutil.rmtree(home, ignore_errors=True)
    started = time.perf_counter()
    with mergestore.open(home / "store", actor=ACTOR) as store:
        _real(store, models)
        skills = versions // VERSIONS
        for version in range(1, VERSIONS + 1):
            for first in range(0, skills, _AT_ONCE):
                with writing(store.engine) as session:
                    for number in range(first, min(first + _AT_ONCE, skills)):
                        _version(session, store, number, version)
        for first in range(0, skills, _AT_ONCE // VERSIONS):
            with writing(store.engine) as session:
                for number in range(first, min(first + _AT_ONCE // VERSIONS, skills)):
                    _merge(session, number)
    done.touch()
    print(f"  {versions:,} versions written in {time.perf_counter() - started:.0f} s", file=sys.stderr)


def litter(store: Store, count: int, word: str) -> None:
    """Put objects among the others that no record names."""
    for number in range(count):
        _object(store, f"garbage {word} {number}")


def _real(store: Store, models: Path) -> None:
    store.register_base("tiny", write_model(models / "base", "tiny"), licence="Apache-2.0")
    for number in range(3):
        store.register_skill(f"real-{number}", write_model(models / f"tuned{number}", "tiny", number), base="tiny")
    store.merge("mix", MIX)
    store.materialize("mix")


def _version(session: Session, store: Store, number: int, version: int) -> None:
    blob = _object(store, f"{number} {version}")
    base = catalog.resolve(session, "tiny")
    made = store_samples.record_version(session, base, number, version, blob)
    if version == VERSIONS and number % 10 == 9:
        aliases.set_alias(session, made, "prod", actor=ACTOR)
    if version == VERSIONS - 1 and number % 100 == 99:
        readiness.yank(session, made, "trained on the test set", actor=ACTOR)


def _object(store: Store, word: str) -> BlobRow:
    """A small object, under its name; not flushed, as no real one is written."""
    content = f"mergestore benchmark object {word}\n".encode()
    digest = blake3_digest(content)
    path = store.home.blobs.path(digest)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return BlobRow(digest, len(content), "delta")


def _merge(session: Session, number: int) -> None:
    """A merge of a skill, materialized ten times."""
    name = f"merge-{number:05}"
    resolved = merges.resolve_expression(
        session, _NOWHERE, f"tiny + 0.7*{store_samples.skill_name(number)}@1 + 0.3*real-0", merges.Choices("linear")
    )
    merges.record_merge(session, name, resolved, actor=ACTOR)
    version = catalog.resolve(session, name)
    for turn in range(VERSIONS):
        store_samples.record_materialization(session, name, resolved.recipe.digest, version, turn)
