"""``check`` of a store: its records, whether everything they name is there, and as much of its bytes as is asked for.

What was not read for longest is read first, and what was read is remembered, so that parts and time limits add up to
the whole store in the end.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from registry.home import Home
from registry.opening import RESTORE_REFERENCED
from registry.records import objects
from registry.records.database import is_read_only, reading, writing
from registry.records.guards import guard_problems
from registry.records.integrity import verify_records
from registry.records.objects import Stored
from registry.records.tables import ModelVersion, VersionFile
from registry.results import Inspection
from registry.upkeep.side_by_side import side_by_side
from registry.wish import Context
from storage.blobs import RESTORE
from storage.errors import EnvironmentFailure, IntegrityFailure, MergestoreError, UsageError
from storage.files import is_damage, is_shortage, is_withheld, regular_size
from storage.progress import Progress

Problem = dict[str, Any]
Uses = dict[str, list[tuple[str, str]]]

_PERCENT = re.compile(r"(\d+(?:\.\d+)?)%")
_PART = re.compile(r"(\d+)/(\d+)")
_REMEMBER_EVERY = 10.0  # seconds: what a kill can make be read again


@dataclass(frozen=True)
class Share:
    """Which objects are read: all of them, so many percent of all bytes, or one of several equal parts."""

    percent: float | None = None
    part: int = 1
    parts: int = 1

    def choose(self, stored: list[Stored]) -> list[Stored]:
        """Those of the objects that are meant, in their order. Parts are by digest: together they are the whole.

        What is known to be damaged comes last, and beside the percentage: it keeps nothing else from being read.
        """
        known = [each for each in stored if each.damaged]
        others = [each for each in stored if not each.damaged]
        if self.percent is None:
            return [each for each in others + known if int(each.digest[-8:], 16) % self.parts == self.part - 1]
        wanted, total, chosen = sum(each.size for each in stored) * self.percent / 100, 0, []
        for each in others:
            if total >= wanted:
                break
            chosen.append(each)
            total += each.size
        return chosen + known

    def others(self, stored: list[Stored], chosen: list[Stored]) -> Iterator[Stored]:
        """What is read in the stead of such as cannot be read, in its order: of a percentage only."""
        if self.percent is not None:
            taken = {each.digest for each in chosen}
            yield from (each for each in stored if each.digest not in taken)


def parse_share(text: str) -> Share:
    """A share as people write it: ``5%`` or ``2/7``. Raises UsageError."""
    given = str(text).strip()  # programs give numbers too, which are no shares
    if (found := _PERCENT.fullmatch(given)) and 0 < float(found[1]) <= 100:
        return Share(percent=float(found[1]))
    if (found := _PART.fullmatch(given)) and 1 <= int(found[1]) <= int(found[2]):
        return Share(part=int(found[1]), parts=int(found[2]))
    raise UsageError(f"{text!r} is no share of the data", hint="write 5%, or 2/7 for the second of seven parts")


@dataclass
class _Read:
    """What came of reading; ``tried``: also what could not be read."""

    tried: int = 0
    objects: int = 0
    bytes: int = 0
    problems: list[Problem] = field(default_factory=list)


def inspect_store(context: Context, share: Share | None, seconds: float | None, progress: Progress) -> Inspection:
    """Check a store's structure, and the bytes of a ``share`` of it; nothing new is begun after so many seconds."""
    clock = time.monotonic()
    with reading(context.engine) as session:
        problems = verify_records(session) + guard_problems(session)
        there = _Compared(context.home, session)
        problems += there.problems(session)
        problems += absent_references(session)
        checked = {"versions": session.scalar(select(func.count(ModelVersion.id))) or 0, "objects": there.objects}
        references = count_references(session)
        out = {*there.absent, *there.withheld}
        present = [each for each in objects.stored(session) if each.digest not in out] if share else []
    due = share.choose(present) if share is not None else []
    read = _Read()
    if share is not None and due:
        limit = None if seconds is None else clock + seconds
        read = _read(context, due, share.others(present, due), limit, progress)
    problems += read.problems
    left = due[read.tried :]
    with reading(context.engine) as session:
        never, since = objects.last_read(session)
    return Inspection(
        ok=not problems,
        checked=checked,
        problems=problems,
        read={"objects": read.objects, "bytes": read.bytes},
        left={"objects": len(left), "bytes": sum(each.size for each in left)},
        references=references,
        never_read=never,
        read_since=since.isoformat() if since is not None and not never and not there.absent else None,
        unneeded=there.unneeded,
        strangers=[str(path) for path in context.home.blobs.strangers()],
        seconds=time.monotonic() - clock,
    )


class _Compared:
    """What lies among the objects, held against the records; nothing is read for that."""

    def __init__(self, home: Home, session: Session):
        self.objects = self.unneeded = 0
        self.absent: dict[str, str] = {}
        """What is with objects that are gone, or of another size."""
        self.withheld: dict[str, EnvironmentFailure] = {}
        """Why objects cannot be looked at."""
        for digest, size, recorded in side_by_side(home.blobs.sizes(lenient=True), objects.sizes(session)):
            if recorded is None:
                self.unneeded += 1
                continue
            self.objects += 1
            # Asked for by itself: it may have come, or been replaced, since the others were listed.
            try:
                if size != recorded and (size := home.blobs.size(digest)) != recorded:
                    other = f"has {size:,} bytes instead of {recorded:,}" if size is not None else None
                    self.absent[digest] = other or home.blobs.absence(digest)
            except EnvironmentFailure as error:
                if not is_withheld(error):
                    raise
                self.withheld[digest] = error

    def problems(self, session: Session) -> Iterator[Problem]:
        """The objects that are not there as they should be."""
        uses = objects.uses(session, {*self.absent, *self.withheld})
        for digest, what in self.absent.items():
            yield _problem(f"object {digest} {what}", digest, uses)
        for digest, error in self.withheld.items():
            yield _problem(error.message, digest, uses, error)


def count_references(session: Session) -> int:
    """How many files lie where they were registered."""
    return session.scalar(select(func.count()).where(VersionFile.referenced_path.is_not(None))) or 0


def absent_references(session: Session) -> Iterator[Problem]:
    """Files that lie where they were registered, and are not there, or not in their size; they are not read."""
    query = select(VersionFile).where(VersionFile.referenced_path.is_not(None))
    for file in session.scalars(query):
        path = Path(str(file.referenced_path))
        version = session.get_one(ModelVersion, file.version_id)
        try:
            size = regular_size(path)
        except EnvironmentFailure as error:
            if is_shortage(error):
                raise
            yield {"what": error.message, "where": version.reference, "kind": error.kind, "hint": error.hint}
            continue
        if size != file.size:
            what = "is missing" if size is None else f"has {size:,} bytes instead of {file.size:,}"
            told = {"where": version.reference, "kind": IntegrityFailure.kind, "hint": RESTORE_REFERENCED}
            yield {"what": f"{path} {what}", **told}


def _read(
    context: Context, due: list[Stored], others: Iterator[Stored], limit: float | None, progress: Progress
) -> _Read:
    """Read what is due, and of the others as much as there cannot be read of that: they are added to it."""
    read, sound, damaged = _Read(), list[str](), list[str]()
    noted = time.monotonic()
    progress.start("read", sum(each.size for each in due))
    try:
        for each in due:
            if limit is not None and time.monotonic() >= limit:
                break
            read.tried += 1
            try:
                context.home.blobs.verify(each.digest, each.sha256)
                sound.append(each.digest)
            except MergestoreError as error:
                read.problems.append(problem_of(context, each.digest, error))
                if is_withheld(error):
                    due += _as_large(others, each.size)
                    continue
                damaged.append(each.digest)
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


def problem_of(context: Context, digest: str, error: MergestoreError) -> Problem:
    """What is told of an object that could not be read; what says nothing of it alone is raised again."""
    if not is_damage(error) and not is_withheld(error):
        raise error
    with reading(context.engine) as session:
        return _problem(error.message, digest, objects.uses(session, [digest]), error)


def _as_large(others: Iterator[Stored], size: int) -> Iterator[Stored]:
    """The next of the others, until they are so large."""
    while size > 0 and (each := next(others, None)) is not None:
        yield each
        size -= each.size


def _remember(context: Context, sound: list[str], damaged: list[str]) -> None:
    if (sound or damaged) and not is_read_only(context.engine):
        with writing(context.engine) as session:
            objects.remember_verified(session, sound, damaged)
        sound.clear()
        damaged.clear()


def _problem(what: str, digest: str, uses: Uses, error: MergestoreError | None = None) -> Problem:
    where = ", ".join(f"{version}: {path}" for version, path in uses.get(digest, ())) or "an object"
    if error is not None and is_withheld(error):
        return {"what": what, "where": where, "kind": error.kind, "hint": error.hint, "digest": digest}
    # What the disk fails to read is damage too.
    kind = IntegrityFailure.kind if error is None or isinstance(error, OSError) else error.kind
    return {"what": what, "where": where, "kind": kind, "hint": RESTORE, "digest": digest}
