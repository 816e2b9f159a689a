"""``restore``: a store out of a backup, or a registry out of its snapshot; whole in a new place, or not at all."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from migrations import current, migrate
from migrations.revisions import revision_of
from migrations.snapshots import fill
from registry.backups.manifest import Manifest, read
from registry.backups.reading import check_records, compare, read_through, unpack
from registry.home import Home
from registry.records.database import discard, migrating, open_engine, sqlite_url
from registry.records.database_errors import shown_url
from registry.records.events import Head
from registry.results import Restored
from storage.blobs import Blob
from storage.errors import Conflict, IntegrityFailure, NotFound
from storage.files import copy_file, disk_errors, publish_directory, publish_file, remove_tree, staged_directory
from storage.progress import Progress

REGISTRY = "registry.db"


def check_backup(folder: Path, home: Path, progress: Progress) -> Restored:
    """Read a whole backup and write nothing. Raises as ``restore_store``, for what is wrong with the backup itself."""
    found = read(folder)
    read_through(folder, found, progress)
    return _answer(folder, home, None, found)


def restore_store(folder: Path, home: Path, database: str | None, software: str, progress: Progress) -> Restored:
    """Make the store of a backup in ``home``, a new or empty folder; its registry goes to ``database``, or there too.

    Raises NotFound where there is no backup, IntegrityFailure for a damaged one, Conflict for what is in the way.
    """
    found = read(folder)
    _require_empty(home)
    with staged_directory(home) as staging:
        file = staging / REGISTRY
        unpack(folder, found, staging, file, progress)
        _bring_up(file, software, found)
        if database is None:
            where = shown_url(sqlite_url(home / REGISTRY))
            _publish(staging, home)
        else:
            where = _fill_and_publish(database, file, staging, home)
    return _answer(folder, home, where, found)


def restore_registry(snapshot: Path, home: Path, database: str | None, software: str) -> Restored:
    """Put a snapshot of a registry back, where there is none now; objects stay as they are.

    Raises as ``restore_store``. ``lost`` in the answer names the objects that its records need and ``home`` lacks.
    """
    place, target = Home(home), home / REGISTRY
    if not snapshot.is_file():
        raise NotFound(f"there is neither a backup nor the snapshot of a registry: {snapshot}", hint="check the path")
    if not (home / "objects").is_dir():
        raise NotFound(f"there are no objects in {home}", hint="name the folder of the store with --store DIR")
    if database is None and target.exists():
        raise Conflict(f"there is a registry already: {target}", hint="move it away, with what begins with its name")
    file = place.blobs.scratch("registry")
    try:
        copy_file(snapshot, file)
        head, stored = _bring_up(file, software, None)
        if database is not None:
            with _filled(database, file) as where:
                pass
        else:
            publish_file(file, target)
            where = shown_url(sqlite_url(target))
    finally:
        discard(file)
    absent = sorted(each.digest for each in stored if place.blobs.size(each.digest) != each.size)
    return Restored(
        source=str(snapshot),
        home=str(home),
        database=where,
        checked=False,
        ok=not absent,
        created_at=None,
        objects=len(stored) - len(absent),
        bytes=sum(each.size for each in stored),
        lost=absent,
        audit_head={"sequence": head.sequence, "hash": head.hash},
    )


def _bring_up(file: Path, software: str, manifest: Manifest | None) -> tuple[Head, list[Blob]]:
    """Bring a registry's file to the schema of today, and check it; what it ends with, and which objects it names."""
    engine = open_engine(sqlite_url(file))
    try:
        if current(engine) is None:
            raise IntegrityFailure("what should be the snapshot of a registry holds none", hint="use another backup")
        migrate(engine, software=software)
        if manifest is not None:
            compare(engine, manifest)
        return check_records(engine)
    finally:
        engine.dispose()


def _fill_and_publish(database: str, file: Path, staging: Path, home: Path) -> str:
    """The records into the database, the rest to its place: both, or neither."""
    published = False
    try:
        with _filled(database, file) as where:
            remove_tree(file)
            _publish(staging, home)
            published = True
        return where
    except BaseException:
        if published:
            remove_tree(home)
        raise


@contextlib.contextmanager
def _filled(database: str, file: Path) -> Iterator[str]:
    """A block within the transaction that puts all records into an empty database."""
    engine = open_engine(database)
    try:
        where = shown_url(engine.url)
        with migrating(engine) as connection:
            if revision_of(connection) is not None:
                raise Conflict(f"there is a registry already: {where}", hint="name an empty database")
            fill(file, connection)
            yield where
    finally:
        engine.dispose()


def _require_empty(home: Path) -> None:
    with disk_errors(f"cannot look into {home}"):
        if home.exists() and (not home.is_dir() or any(home.iterdir())):
            raise Conflict(f"{home} is not empty", hint="a store is restored into a new folder: --store DIR")


def _publish(staging: Path, home: Path) -> None:
    with disk_errors(f"cannot write {home}"):
        if home.exists():
            home.rmdir()
    publish_directory(staging, home)


def _answer(folder: Path, home: Path, where: str | None, found: Manifest) -> Restored:
    return Restored(
        source=str(folder),
        home=str(home),
        database=where,
        checked=where is None,
        ok=not found.lost,
        created_at=found.created_at,
        objects=len(found.objects),
        bytes=sum(each.size for each in found.objects),
        lost=list(found.lost),
        audit_head={"sequence": found.head.sequence, "hash": found.head.hash},
    )
