"""``repair``: what is damaged is found by reading everything, and mended from copies, from where it came, or by making
it again. What cannot be is named, with all that it touches. Nothing that is sound is changed, and nothing deleted:
damaged objects are moved to ``quarantine/``.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from registry.audits.impact import impact
from registry.directories import lasting_problems
from registry.records import events, garbage, objects
from registry.records.catalog import resolve
from registry.records.database import reading, writing
from registry.records.guards import guard_problems
from registry.records.integrity import verify_records
from registry.records.objects import Stored
from registry.results import Repaired
from registry.upkeep.copies import Copies, origins
from registry.upkeep.eviction import drop
from registry.upkeep.inspection import Problem, absent_references, count_references, problem_of
from registry.upkeep.remaking import remade
from registry.upkeep.writers import storing
from registry.wish import Context
from storage.blobs import Blob
from storage.errors import EnvironmentFailure, MergestoreError
from storage.files import copy_file, is_withheld, remove_tree
from storage.progress import Progress

REPAIR = "objects.repair"
"""What the log calls it that objects were mended."""


@dataclass(frozen=True)
class _Broken:
    """An object that is not as it was stored. ``uses``: (version, path in it); ``found``: the bytes that mend it."""

    stored: Stored
    was: str
    uses: tuple[tuple[str, str], ...]
    found: Path | None = None
    how: str | None = None


def repair(context: Context, copies: Iterable[Path], *, apply: bool, progress: Progress) -> Repaired:
    """Find what is damaged and what would mend it; with ``apply`` mend it. Raises NotFound for copies not there."""
    named = Copies(copies)
    with reading(context.engine) as session:
        stored = objects.stored(session)
        records = verify_records(session) + guard_problems(session)
        references, referenced = list(absent_references(session)), count_references(session)
    unreadable: list[Problem] = []
    broken = list(_damaged(context, stored, unreadable, progress))
    broken = [_from_copies(each, named, _sources(context, each)) for each in broken]
    caches = list(_damaged_caches(context, unreadable, progress))
    with storing(context.engine, context.home), _on_record(context) as mended:
        done = mended if apply else None
        broken = [_mended(context, each, progress, done) for each in broken]
        # What stands on what was mended just now can be made again in its turn.
        broken = [each if each.how else _mended(context, each, progress, done) for each in broken]
    for path in caches if apply else ():
        drop(context, path)
    lost = [each for each in broken if each.how is None]
    return Repaired(
        applied=apply,
        ok=not lost and not records and not references and not unreadable and (apply or not broken),
        objects=[_told(each, applied=apply) for each in broken],
        lost=_touched(context, {version for each in lost for version, _ in each.uses}),
        caches=[str(path) for path in caches],
        records=records,
        references=references,
        unreadable=unreadable,
        referenced=referenced,
    )


def _sources(context: Context, broken: _Broken) -> dict[str, str | None]:
    """Where the versions came from that an object is of."""
    with reading(context.engine) as session:
        return {version: resolve(session, version).source for version, _ in broken.uses}


def _damaged(
    context: Context, stored: list[Stored], unreadable: list[Problem], progress: Progress
) -> Iterator[_Broken]:
    """The objects that are not as they were stored; what this process may not read is told, and not of them."""
    blobs = context.home.blobs
    sound, damaged = [], []
    progress.start("read", sum(each.size for each in stored))
    try:
        for each in stored:
            try:
                blobs.verify(each.digest)
                sound.append(each.digest)
            except MergestoreError as error:
                problem = problem_of(context, each.digest, error)
                if is_withheld(error):
                    unreadable.append(problem)
                    continue
                damaged.append(each.digest)
                was = (
                    "damaged" if blobs.size(each.digest) is not None else blobs.absence(each.digest).removeprefix("is ")
                )
                with reading(context.engine) as session:
                    uses = objects.uses(session, [each.digest])
                yield _Broken(each, was, tuple(uses.get(each.digest, ())))
            progress.advance(each.size)
    finally:
        progress.finish()
    with writing(context.engine) as session:
        objects.remember_verified(session, sound, damaged)


def _from_copies(broken: _Broken, copies: Copies, sources: dict[str, str | None]) -> _Broken:
    stored = broken.stored
    if (path := copies.find(stored.digest, stored.size)) is not None:
        return replace(broken, found=path, how=f"copied from {path}")
    for version, name in broken.uses:
        path = origins(sources, version, name)
        if path is not None and Copies([path]).find(stored.digest, stored.size) is not None:
            return replace(broken, found=path, how=f"copied from {path}, where {version} came from")
    return broken


def _mended(context: Context, broken: _Broken, progress: Progress, done: dict[str, str] | None) -> _Broken:
    """With how it is mended, if it can be; it is, unless ``done`` is None, and noted there.

    What lay in its place is kept in quarantine.
    """
    stored, blobs = broken.stored, context.home.blobs
    scratch = blobs.scratch("repair")
    try:
        how = broken.how
        if broken.found is not None:
            if done is None:
                return broken
            copy_file(broken.found, scratch)
        else:
            how = next(filter(None, (remade(context, each, stored, scratch, progress) for each in broken.uses)), None)
        if how is None or done is None:
            return replace(broken, how=how)
        _quarantine(context, stored.digest)
        if blobs.adopt(scratch) != Blob(stored.digest, stored.size):
            return replace(broken, how=None)
        done[stored.digest] = how
        return replace(broken, how=how)
    finally:
        remove_tree(scratch)


def _quarantine(context: Context, digest: str) -> None:
    """Move what lies in an object's place away: it may be of use to somebody who knows more."""
    context.home.blobs.set_aside(digest, context.home.quarantine / digest.replace(":", "-"))


def _damaged_caches(context: Context, unreadable: list[Problem], progress: Progress) -> Iterator[Path]:
    """Results in the cache that are not what their manifests say: they are computed again when they are asked for."""
    folder = context.home.cache
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if not path.is_dir() or path.name.endswith(".tmp"):
            continue
        try:
            if lasting_problems(path, progress):
                yield path
        except EnvironmentFailure as error:
            if not is_withheld(error):
                raise
            unreadable.append({"what": error.message, "where": str(path), "kind": error.kind, "hint": error.hint})


@contextlib.contextmanager
def _on_record(context: Context) -> Iterator[dict[str, str]]:
    """A block that notes which objects it has mended, and how: on record afterwards, also where it was cut short."""
    mended: dict[str, str] = {}
    try:
        yield mended
    finally:
        if mended:
            with writing(context.engine) as session:
                garbage.forget(session, mended)
                objects.remember_verified(session, mended)
                details = {"objects": mended}
                events.append(session, actor=context.actor, action=REPAIR, subject="objects", details=details)


def _touched(context: Context, versions: set[str]) -> list[dict[str, Any]]:
    """What contains versions that are not whole any more."""
    with reading(context.engine) as session:
        found = [impact(session, reference) for reference in sorted(versions)]
    return [
        {
            "version": f"{each.name}@{each.version}",
            "kind": each.kind,
            "contained_in": [node["id"] for node in each.versions],
            "aliases": each.aliases,
            "materializations": each.counts["materializations"],
        }
        for each in found
    ]


def _told(broken: _Broken, *, applied: bool) -> dict[str, Any]:
    state = "lost" if broken.how is None else "mended" if applied else "can be mended"
    return {
        "digest": broken.stored.digest,
        "bytes": broken.stored.size,
        "was": broken.was,
        "of": [f"{version}: {path}" for version, path in broken.uses],
        "state": state,
        "how": broken.how,
    }
