"""``backup``: a consistent copy of a store while others go on writing.

A writer's lease keeps garbage collection away, the records are taken as they are at one moment, then every object that
they name is copied; what is there by its digest from the backup before is not copied again. The manifest is
written last: until then the backup before is whole, and after it this one.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import Connection, Engine, delete, func, not_, select
from sqlalchemy.orm import Session

from registry.backups.manifest import MANIFEST, Manifest, contents, read, write
from registry.backups.reading import is_whole
from registry.home import Home
from registry.policies.enforcing import policies_of
from registry.records import events, objects
from registry.records.alone import alone, at_place
from registry.records.at_rest import discard, settle
from registry.records.columns import now
from registry.records.database import is_read_only, open_engine, reading, sqlite_url, writing
from registry.records.events import Head
from registry.records.identity import store_id
from registry.records.integrity import verify_records
from registry.records.schema import require_unchanged
from registry.records.tables import Blob as BlobRecord
from registry.records.tables import Garbage, Lease, VersionFile
from registry.results import BackedUp
from registry.upkeep.writers import storing
from registry.wish import Context
from storage.blobs import Blob, BlobStore, hash_file
from storage.errors import Conflict, IntegrityFailure, MergestoreError, UsageError
from storage.files import copy_file, disk_errors, flush, is_damage, open_to_read, resolved, sweep
from storage.locks import locked
from storage.objects.contract import Objects
from storage.progress import Progress

Snapshot = Callable[[Connection, Path], None]
"""Writes the registry that a connection sees into a new SQLite file."""

_SQLITE = b"SQLite format 3\0"
_OURS = {MANIFEST, "objects", "tmp"}


class _Records(NamedTuple):
    """What the records say that are backed up."""

    store_id: str
    head: Head
    objects: list[Blob]
    referenced: int


@dataclass(frozen=True)
class Wish:
    """A backup in ``folder``, by which ``software``, of records in which ``schema``.

    ``read_data``: what the backup before has is read too, and not only looked at for its size.
    """

    folder: Path
    schema: str
    software: str
    read_data: bool = False


def backup(context: Context, wish: Wish, snapshot: Snapshot, progress: Progress) -> BackedUp:
    """Bring the backup in a folder up to date, or begin one there; whoever is at it already is waited for.

    Raises Conflict where there is something else, or a backup of another store; UsageError inside of the store;
    IntegrityFailure where the records are damaged: the backup before stays.
    """
    policies_of(context.home)  # one that cannot be read does not take the place of a good one
    with contextlib.ExitStack() as kept:
        if not is_read_only(context.engine):  # else it cannot be put on record who is at it
            kept.enter_context(alone(context.engine, at_place("backup", wish.folder)))
            kept.enter_context(storing(context.engine, context.home))
        _require_apart(context.home, wish.folder)
        kept.enter_context(locked(wish.folder))
        return _backed_up(context, wish, snapshot, progress)


def _backed_up(context: Context, wish: Wish, snapshot: Snapshot, progress: Progress) -> BackedUp:
    folder = wish.folder
    before = _before(folder)
    place = contents(folder)
    file = place.scratch("registry")
    try:
        with reading(context.engine) as session:
            require_unchanged(session.connection())
            snapshot(session.connection(), file)
        found = _tidied(file)
        if before is not None:
            _require_older(folder, before, found.store_id, context.engine)
        known = {each.digest for each in before.objects} if before is not None else set()
        before = replace(before, objects=()) if before is not None else None  # there are many
        replaced = [each for each in (before.registry, before.policy) if each is not None] if before is not None else []
        damaged = [each.digest for each in replaced if wish.read_data and not is_whole(place, each)]
        done = _copy(context.home, place, found.objects, known, wish.read_data, progress)
        registry, policy = place.adopt(file), _keep_policy(context.home, place)
    finally:
        discard(file)
    lost = set(done.lost)
    kept = tuple(each for each in found.objects if each.digest not in lost)
    manifest = Manifest(
        now().isoformat(timespec="seconds"),
        wish.software,
        found.store_id,
        wish.schema,
        found.head,
        registry,
        policy,
        kept,
        tuple(done.lost),
    )
    write(folder, manifest)
    _forget(place, manifest, before)
    return BackedUp(
        path=str(folder),
        ok=not done.lost,
        created=before is None,
        objects=len(kept),
        bytes=sum(each.size for each in kept),
        copied=len(done.copied),
        copied_bytes=sum(each.size for each in done.copied),
        mended=[*damaged, *done.mended],
        lost=done.lost,
        audit_head={"sequence": found.head.sequence, "hash": found.head.hash},
        notes=list(_notes(context.home, found.referenced)),
    )


def _require_apart(home: Home, folder: Path) -> None:
    """Make the folder of a backup, which is in no store, and no store in it; also by no link from within."""
    store, objects = resolved(home.root), folder / "objects"
    for inside in map(resolved, (folder, objects, *objects.glob("*"), *objects.glob("*/*"))):
        if inside == store or store in inside.parents or inside in store.parents:
            raise UsageError(
                f"{folder} and the store are in one another", hint="choose a folder elsewhere, on another disk"
            )
    with disk_errors(f"cannot write a backup to {folder}"):
        folder.mkdir(parents=True, exist_ok=True)


def _before(folder: Path) -> Manifest | None:
    """The backup before, if there is one, in a folder that may hold backups."""
    with disk_errors(f"cannot write a backup to {folder}"):
        sweep(folder, MANIFEST)
        names = {each.name for each in folder.iterdir()} - _OURS
        if strange := sorted(name for name in names if not name.startswith(f"{MANIFEST}.")):
            raise Conflict(f"{folder} holds something else: {strange[0]}", hint="choose a new folder")
        there = os.path.lexists(folder / MANIFEST)
    try:
        return read(folder) if there else None
    except MergestoreError as error:
        if not is_damage(error):
            raise
        raise IntegrityFailure(
            error.message,
            hint=f"delete {folder / MANIFEST}: all else is read then, and what is whole kept",
        ) from error


def _require_older(folder: Path, before: Manifest, store: str, engine: Engine) -> None:
    """Raise Conflict where the store does not know the end of what the backup has: it went back, or is another."""
    if before.store_id != store:
        raise Conflict(f"{folder} has the backup of another store", hint="choose another folder")
    with reading(engine) as session:
        known = events.hash_of(session, before.head.sequence)
    if known != before.head.hash:
        raise Conflict(
            f"{folder} has what this store has not: audit event {before.head.sequence} is not in its log",
            hint="the store went back, or two go on from one backup: keep this one, and choose another folder",
        )


def _tidied(file: Path) -> _Records:
    """What the records say; what only matters to running processes is taken out of them, and what is garbage."""
    engine = open_engine(sqlite_url(file))
    try:
        with writing(engine) as session:
            session.execute(delete(Lease))
            session.execute(delete(Garbage))
            session.execute(delete(BlobRecord).where(not_(objects.used())))
        with reading(engine) as session:
            found = _told(session)
    finally:
        engine.dispose()
    settle(file)
    return found


def _told(session: Session) -> _Records:
    head = events.head(session)
    if problems := verify_records(session):
        raise IntegrityFailure(
            f"a store whose records are damaged is not backed up: {problems[0]['what']}",
            hint="the backup before stays as it was; run `mergestore verify`",
            details={"problems": problems},
        )
    assert head is not None  # else a problem
    stored = [Blob(*each) for each in objects.sizes(session)]
    referenced = session.scalar(select(func.count()).where(VersionFile.referenced_path.is_not(None)))
    return _Records(store_id(session), head, stored, referenced or 0)


class _Copies(NamedTuple):
    """What became of objects: ``copied`` just now; ``mended``, of these, what the backup before had; ``lost``."""

    copied: list[Blob]
    mended: list[str]
    lost: list[str]


def _copy(
    home: Home, place: BlobStore, wanted: list[Blob], known: set[str], thorough: bool, progress: Progress
) -> _Copies:
    """Copy what the backup does not have yet.

    Copies are flushed together at the end, which takes a tenth of the time where they are many and small. So one that
    no manifest names (``known``) may be half of it, left there by a power cut, and is read before it is relied on.
    """
    relied = known if not thorough else set()
    unsure = [each for each in wanted if place.size(each.digest) != each.size or each.digest not in relied]
    done, found = _Copies([], [], []), list[Blob]()
    progress.start("backup", sum(each.size for each in unsure))
    try:
        for each in unsure:
            if is_whole(place, each):
                found.append(each)
            elif _copy_one(home.blobs, place, each):
                done.copied.append(each)
                if each.digest in known:
                    done.mended.append(each.digest)
            else:
                done.lost.append(each.digest)
            progress.advance(each.size)
    finally:
        progress.finish()
    with disk_errors("cannot write the backup"):
        flush([place.path(each.digest) for each in (*found, *done.copied)], place.folders)
    return done


def _copy_one(source: Objects, place: BlobStore, wanted: Blob) -> bool:
    """Copy one object and read the copy: blocks may be shared with the store's, damage is not."""
    target, temporary = place.path(wanted.digest), place.scratch("object")
    try:
        try:
            if source.size(wanted.digest) != wanted.size:
                return False
            copy_file(source.path(wanted.digest), temporary)
            if hash_file(temporary) != wanted:
                return False
        except MergestoreError as error:
            if not is_damage(error) or is_whole(source, wanted):  # else it is the backup's disk that fails
                raise
            return False
        with disk_errors(f"cannot store {target}"):
            target.parent.mkdir(parents=True, exist_ok=True)
            temporary.rename(target)
        return True
    finally:
        temporary.unlink(missing_ok=True)


def _keep_policy(home: Home, place: BlobStore) -> Blob | None:
    if not home.policy.is_file():
        return None
    temporary = place.scratch("policy")
    copy_file(home.policy, temporary)
    return place.adopt(temporary)


def _forget(place: BlobStore, manifest: Manifest, before: Manifest | None) -> None:
    """Delete the policy and the registry of the backup before, and registries of backups that were cut short."""
    named = {each.digest for each in manifest.blobs()}
    if before is not None and before.policy is not None and before.policy.digest not in named:
        place.remove(before.policy.digest)
    for digest in place.digests():
        if digest not in named and _is_registry(place.path(digest)):
            place.remove(digest)


def _is_registry(path: Path) -> bool:
    try:
        with os.fdopen(open_to_read(path), "rb") as file:
            return file.read(len(_SQLITE)) == _SQLITE
    except OSError:
        return False  # nothing of ours, or nothing that can be told of it just now


def _notes(home: Home, referenced: int) -> list[str]:
    notes = []
    if referenced:
        files = "1 file" if referenced == 1 else f"{referenced:,} files"
        notes.append(f"not in the backup: {files} of bases, referenced where registered")
    if home.tracking.exists():
        notes.append("mlflow.db is MLflow's own and is not in the backup")
    return notes
