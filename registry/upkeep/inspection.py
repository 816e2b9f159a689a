"""``check`` of a store: its records, whether everything they name is there, and as much of its bytes as is asked for.

What was not read for longest is read first, and what was read is remembered, so that parts and time limits add up to
the whole store in the end.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from registry.home import Home
from registry.records import garbage, objects
from registry.records.database import reading, writing
from registry.records.guards import guard_problems
from registry.records.integrity import verify_records
from registry.records.objects import Stored
from registry.records.read_only import is_read_only
from registry.records.tables import Model, ModelVersion, VersionFile
from registry.results import Inspection
from registry.wish import Context
from storage.errors import IntegrityFailure, MergestoreError, UsageError
from storage.files import is_damage, regular_size
from storage.progress import Progress

Problem = dict[str, Any]

_PERCENT = re.compile(r"(\d+(?:\.\d+)?)%")
_PART = re.compile(r"(\d+)/(\d+)")
_RESTORE = "run `mergestore repair`, restore it from a backup, or register the same content again"
_REMEMBER_EVERY = 10.0  # seconds: what a kill can make be read again


@dataclass(frozen=True)
class Share:
    """Which objects are read: all of them, so many percent of all bytes, or one of several equal parts."""

    percent: float | None = None
    part: int = 1
    parts: int = 1

    def choose(self, stored: list[Stored]) -> list[Stored]:
        """Those of the objects that are meant, in their order. Parts are by digest: together they are the whole."""
        if self.percent is None:
            return [each for each in stored if int(each.digest[-8:], 16) % self.parts == self.part - 1]
        wanted, total, chosen = sum(each.size for each in stored) * self.percent / 100, 0, []
        for each in stored:
            if total >= wanted:
                break
            chosen.append(each)
            total += each.size
        return chosen


def parse_share(text: str) -> Share:
    """A share as people write it: ``5%`` or ``2/7``. Raises UsageError."""
    if (found := _PERCENT.fullmatch(text.strip())) and 0 < float(found[1]) <= 100:
        return Share(percent=float(found[1]))
    if (found := _PART.fullmatch(text.strip())) and 1 <= int(found[1]) <= int(found[2]):
        return Share(part=int(found[1]), parts=int(found[2]))
    raise UsageError(f"{text!r} is no share of the data", hint="write 5%, or 2/7 for the second of seven parts")


@dataclass
class _Read:
    """What came of reading."""

    objects: int = 0
    bytes: int = 0
    problems: list[Problem] = field(default_factory=list)


def inspect_store(context: Context, share: Share | None, seconds: float | None, progress: Progress) -> Inspection:
    """Check a store's structure, and the bytes of a ``share`` of it; nothing new is begun after so many seconds."""
    clock = time.monotonic()
    with reading(context.engine) as session:
        problems = verify_records(session) + guard_problems(session)
        stored = objects.stored(session)
        uses = _uses(session)
        needed = garbage.needed(session)
        problems += _absent(context.home, stored, uses)
        problems += _absent_references(session)
        checked = {"versions": len(session.scalars(select(ModelVersion.id)).all()), "objects": len(stored)}
    unneeded = sum(1 for digest in context.home.blobs.digests() if digest not in needed)
    chosen = share.choose(stored) if share is not None else []
    absent = {problem["digest"] for problem in problems if "digest" in problem}
    due = [each for each in chosen if each.digest not in absent]
    read = _Read()
    if due:
        limit = None if seconds is None else clock + seconds
        read = _read(context, due, uses, limit, progress)
    problems += read.problems
    left = due[read.objects :]
    with reading(context.engine) as session:
        times = [each.verified_at for each in objects.stored(session)]
    known = [at for at in times if at is not None]
    return Inspection(
        ok=not problems,
        checked=checked,
        problems=problems,
        read={"objects": read.objects, "bytes": read.bytes},
        left={"objects": len(left), "bytes": sum(each.size for each in left)},
        never_read=len(times) - len(known),
        read_since=min(known).isoformat() if known and len(known) == len(times) else None,
        unneeded=unneeded,
        strangers=[str(path) for path in context.home.blobs.strangers()],
        seconds=time.monotonic() - clock,
    )


def _uses(session: Session) -> dict[str, list[str]]:
    """Which versions each object is of."""
    query = select(VersionFile.blob_digest, Model.name, ModelVersion.version, VersionFile.path)
    query = query.join(ModelVersion, ModelVersion.id == VersionFile.version_id).join(
        Model, Model.id == ModelVersion.model_id
    )
    found: dict[str, list[str]] = {}
    for digest, name, number, path in session.execute(query.where(VersionFile.blob_digest.is_not(None))):
        found.setdefault(str(digest), []).append(f"{name}@{number}: {path}")
    for record, version in objects.statistics_of(session):
        found.setdefault(record.blob_digest, []).append(f"{version.reference}: {record.kind} statistics")
    return found


def _absent(home: Home, stored: Iterable[Stored], uses: dict[str, list[str]]) -> Iterator[Problem]:
    """Objects that are gone, or of another size: nothing is read for that."""
    present = dict(home.blobs.sizes())
    for each in stored:
        size = present.get(each.digest)
        if size != each.size:
            what = "is missing" if size is None else f"has {size:,} bytes instead of {each.size:,}"
            yield _problem(f"object {each.digest} {what}", each.digest, uses)


def _absent_references(session: Session) -> Iterator[Problem]:
    query = select(VersionFile).where(VersionFile.referenced_path.is_not(None))
    for file in session.scalars(query):
        path = Path(str(file.referenced_path))
        size = regular_size(path)
        if size != file.size:
            what = "is missing" if size is None else f"has {size:,} bytes instead of {file.size:,}"
            version = session.get_one(ModelVersion, file.version_id)
            hint = "restore the file where it was, or register the base again from where it is now"
            yield {"what": f"{path} {what}", "where": version.reference, "kind": "integrity", "hint": hint}


def _read(
    context: Context, due: list[Stored], uses: dict[str, list[str]], limit: float | None, progress: Progress
) -> _Read:
    read, sound, damaged = _Read(), list[str](), list[str]()
    noted = time.monotonic()
    progress.start("read", sum(each.size for each in due))
    try:
        for each in due:
            if limit is not None and time.monotonic() >= limit:
                break
            try:
                context.home.blobs.verify(each.digest, each.sha256)
                sound.append(each.digest)
            except MergestoreError as error:
                if not is_damage(error):
                    raise
                damaged.append(each.digest)
                read.problems.append(_problem(error.message, each.digest, uses, error))
            read.objects += 1
            read.bytes += each.size
            progress.advance(each.size)
            if time.monotonic() > noted + _REMEMBER_EVERY:
                _remember(context, sound, damaged)
                noted = time.monotonic()
    finally:
        progress.finish()
        _remember(context, sound, damaged)
    return read


def _remember(context: Context, sound: list[str], damaged: list[str]) -> None:
    if (sound or damaged) and not is_read_only(context.engine.url):
        with writing(context.engine) as session:
            objects.remember_verified(session, sound, damaged)
        sound.clear()
        damaged.clear()


def _problem(what: str, digest: str, uses: dict[str, list[str]], error: MergestoreError | None = None) -> Problem:
    kind = IntegrityFailure.kind if error is None else error.kind
    where = ", ".join(uses.get(digest, [])) or "an object"
    return {"what": what, "where": where, "kind": kind, "hint": _RESTORE, "digest": digest}
