"""``restore``: a store out of a backup, or a registry out of its snapshot; whole in a new place, or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from migrations import current, migrate
from migrations.belonging import claim, lies_elsewhere, require_free
from migrations.guarding import put_back
from migrations.recognizing import require_own_schema
from migrations.revisions import require_free_names
from migrations.snapshots import fill
from registry.backups.manifest import Manifest, read
from registry.backups.reading import check_records, compare, read_through, unpack, unpack_registry
from registry.home import Home
from registry.records.at_rest import discard, parts, settle
from registry.records.database import migrating, open_engine, reading, sqlite_url, writing
from registry.records.database_errors import shown_url
from registry.records.events import Head
from registry.records.identity import store_id
from registry.records.location import LOCATION_KEY, move_objects
from registry.records.schema import revision_of
from registry.results import Restored
from storage.blobs import Blob
from storage.errors import Conflict, EnvironmentFailure, IntegrityFailure, NotFound, Undecided, UsageError
from storage.files import (
    copy_file,
    disk_errors,
    publish_directory,
    publish_file,
    regular_size,
    remove_tree,
    resolved,
    staged_directory,
)
from storage.objects.bucket import Bucket
from storage.objects.owner import claim as claim_place
from storage.progress import Progress

REGISTRY = "registry.db"


@dataclass(frozen=True)
class Wish:
    """What is made: a store in ``home``, new or empty; its registry in ``database``, or there too.

    ``objects``: the object storage that its objects go to; None: ``home``. ``actor`` is who does it, with which
    ``software``. ``partial``: objects that are not whole in the backup are left out.
    """

    home: Path
    database: str | None
    objects: str | None
    actor: str
    software: str
    partial: bool = False


def check_backup(folder: Path, wish: Wish, progress: Progress) -> Restored:
    """Read a whole backup, its records too, from a copy that is temporary; write nothing else.

    Raises as ``restore_store``, for what is wrong with the backup itself.
    """
    found = read(folder)
    read_through(folder, found, progress)
    with tempfile.TemporaryDirectory(prefix="mergestore-") as scratch:
        file = Path(scratch) / REGISTRY
        unpack_registry(folder, found, file)
        _bring_up(file, wish, found)
    return _answer(folder, replace(wish, database=None), None, found)


def restore_store(folder: Path, wish: Wish, progress: Progress) -> Restored:
    """Make the store of a backup, whose objects may have been elsewhere: their new place goes on record.

    Raises NotFound where there is no backup, IntegrityFailure for a damaged one, Conflict for what is in the way.
    """
    found, home = read(folder), resolved(wish.home)
    _require_empty(home)
    if resolved(folder) in home.parents:
        raise UsageError(f"{home} is in the backup", hint="a store is restored into a folder elsewhere: --store DIR")
    with staged_directory(home) as staging:
        file, place = staging / REGISTRY, Home(staging, storage=wish.objects)
        place.prepare()
        unpack_registry(folder, found, file)
        _bring_up(file, wish, found)
        if wish.objects is not None and not wish.partial:
            read_through(folder, found, progress)  # before anything is elsewhere, where nobody would clear it up
        if wish.objects is not None:
            _claim_place(wish.objects, found.store_id, found.objects)
        own = {each.digest for each in found.objects}
        unneeded = sum(digest not in own for digest, _ in place.blobs.sizes())
        if damaged := set(unpack(folder, found, place, progress, partial=wish.partial)):
            kept = tuple(each for each in found.objects if each.digest not in damaged)
            found = replace(found, objects=kept, lost=(*found.lost, *sorted(damaged)))
        _relocate(file, wish)
        if lies_elsewhere(wish.database, home):
            claim(staging, found.store_id)
        _like(staging, home)
        if wish.database is None:
            where = shown_url(sqlite_url(home / REGISTRY))
            _publish(staging, home)
        else:
            where = _fill_and_publish(wish.database, file, staging, home)
    return _answer(folder, replace(wish, home=home), where, found, unneeded)


def restore_registry(snapshot: Path, wish: Wish) -> Restored:
    """Put a snapshot of a registry back, where there is none now; objects stay as they are, and where they are.

    Raises as ``restore_store``. ``lost`` in the answer names the objects that its records need and that are not there.
    """
    if not snapshot.is_file():
        raise NotFound(f"there is neither a backup nor the snapshot of a registry: {snapshot}", hint="check the path")
    _require_at_rest(snapshot)
    require_own_schema(snapshot)
    home, database = wish.home, wish.database
    place, target = Home(home, storage=_storage(snapshot)), home / REGISTRY
    if not home.is_dir() or (place.storage is None and not (home / "objects").is_dir()):
        raise NotFound(f"there are no objects in {home}", hint="name the folder of the store with --store DIR")
    if database is None and (there := parts(target)):
        raise Conflict(f"there is a registry already: {there[0]}", hint="move it away, with what begins with its name")
    file = place.blobs.scratch("registry")
    try:
        copy_file(snapshot, file)
        head, stored = _bring_up(file, wish, None)
        own = _identity(file)
        require_free(home, own)
        if place.storage is not None:
            _claim_place(place.storage, own, stored)
        if database is not None:
            with _filled(database, file) as where:  # noted before it is committed: what it says is true without
                if lies_elsewhere(database, home):
                    claim(home, own)
        else:
            publish_file(file, target)
            where = shown_url(sqlite_url(target))
    finally:
        discard(file)
    present = dict(place.blobs.sizes())
    absent = sorted(each.digest for each in stored if present.get(each.digest) != each.size)
    return Restored(
        source=str(snapshot),
        home=str(home),
        database=where,
        elsewhere=lies_elsewhere(database, home),
        checked=False,
        ok=not absent,
        created_at=None,
        objects=len(stored) - len(absent),
        bytes=sum(each.size for each in stored),
        lost=absent,
        unneeded=len(present.keys() - {each.digest for each in stored}),
        audit_head={"sequence": head.sequence, "hash": head.hash},
    )


def _claim_place(objects: str, store: str, recorded: Iterable[Blob]) -> None:
    """Have the object storage say that it is of this store. Raises Conflict where it is of another."""
    own = {each.digest for each in recorded}
    claim_place(Bucket(objects), store, lambda digests: 2 * len(own.intersection(digests)) > len(digests))


def _require_at_rest(snapshot: Path) -> None:
    """Refuse a registry's file beside which SQLite has kept what is not in it yet."""
    for ending in ("-wal", "-journal"):
        if regular_size(beside := snapshot.with_name(snapshot.name + ending)):
            raise Conflict(
                f"{snapshot} is not all of a registry: SQLite has kept a part of it in {beside}",
                hint="name the snapshot that `init` made in backups/, or the folder of a backup",
            )


def _storage(snapshot: Path) -> str | None:
    """Where a snapshot says that its objects are; what is no snapshot is refused later."""
    query = "SELECT value FROM store_meta WHERE key = ?"
    uri = f"{snapshot.absolute().as_uri()}?mode=ro&immutable=1"
    try:
        with contextlib.closing(sqlite3.connect(uri, uri=True)) as opened:
            found = opened.execute(query, [LOCATION_KEY]).fetchone()
    except (sqlite3.Error, ValueError):  # ValueError: text that is none
        return None
    return str(found[0]) if found else None


def _relocate(file: Path, wish: Wish) -> None:
    engine = open_engine(sqlite_url(file))
    try:
        with writing(engine) as session:
            move_objects(session, wish.objects, actor=wish.actor)
    finally:
        engine.dispose()
    settle(file)


def _identity(file: Path) -> str:
    engine = open_engine(sqlite_url(file))
    try:
        with reading(engine) as session:
            return store_id(session)
    finally:
        engine.dispose()
        settle(file)


def _bring_up(file: Path, wish: Wish, manifest: Manifest | None) -> tuple[Head, list[Blob]]:
    """Bring a registry's file to the schema of today, and check it; what it ends with, and which objects it names.

    Triggers and indexes that it lacks are put back, as ``init`` does.
    """
    require_own_schema(file)
    engine = open_engine(sqlite_url(file))
    try:
        if current(engine) is None:
            raise IntegrityFailure("what should be the snapshot of a registry holds none", hint="use another backup")
        migrate(engine, software=wish.software)
        if manifest is not None:
            compare(engine, manifest)
        found = check_records(engine)
        put_back(engine, wish.actor)
    finally:
        engine.dispose()
    settle(file)
    return found


def _fill_and_publish(database: str, file: Path, staging: Path, home: Path) -> str:
    """The records into the database, the rest to its place: both, or neither.

    Where it is not known whether the records are there, the rest stays: it is not had again from them.
    """
    published = False
    try:
        with _filled(database, file) as where:
            remove_tree(file)
            _publish(staging, home)
            published = True
        return where
    except Undecided:
        raise
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
            require_free_names(connection)
            fill(file, connection)
            yield where
    finally:
        engine.dispose()


def _require_empty(home: Path) -> None:
    with disk_errors(f"cannot look into {home}"):
        if home.exists() and (not home.is_dir() or any(home.iterdir())):
            raise _not_empty(home)
        if home.is_mount():
            raise Conflict(f"a filesystem is mounted at {home}", hint="a store is restored into a folder in it")


def _not_empty(home: Path) -> Conflict:
    return Conflict(f"{home} is not empty", hint="a store is restored into a new folder: --store DIR")


def _like(staging: Path, home: Path) -> None:
    """Give the folder that will be ``home`` the owner and the permissions of the empty one that it replaces."""
    if home.exists():
        with disk_errors(f"cannot write {home}"):
            meant = home.stat()
            with contextlib.suppress(PermissionError):  # another's folder, into which one may write
                os.chown(staging, meant.st_uid, meant.st_gid)
            shutil.copystat(home, staging)


def _publish(staging: Path, home: Path) -> None:
    try:
        with disk_errors(f"cannot write {home}"), contextlib.suppress(FileNotFoundError):
            home.rmdir()
        publish_directory(staging, home)
    except (Conflict, EnvironmentFailure) as error:  # another process was faster
        if isinstance(error, EnvironmentFailure) and error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        raise _not_empty(home) from error


def _answer(folder: Path, wish: Wish, where: str | None, found: Manifest, unneeded: int = 0) -> Restored:
    return Restored(
        source=str(folder),
        home=str(wish.home),
        database=where,
        elsewhere=lies_elsewhere(wish.database, wish.home),
        checked=where is None,
        ok=not found.lost,
        created_at=found.created_at,
        objects=len(found.objects),
        bytes=sum(each.size for each in found.objects),
        lost=list(found.lost),
        unneeded=unneeded,
        audit_head={"sequence": found.head.sequence, "hash": found.head.hash},
    )
