"""A store's registry opened, with its schema and its objects' place as they must be; or refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine
from sqlalchemy.engine import URL

import migrations
from migrations import Migrated
from migrations.belonging import forget, lies_elsewhere, require_same, require_unclaimed
from migrations.guarding import put_back
from registry.home import Home
from registry.records.database import open_engine, reading, sqlite_url, writing
from registry.records.identity import store_id
from registry.records.location import choose_storage, object_storage
from registry.records.schema import opened_with
from registry.upkeep.writers import refuse_writers
from storage.errors import Conflict, EnvironmentFailure, IntegrityFailure
from storage.files import disk_errors, make_folder
from storage.objects.bucket import Bucket
from storage.objects.owner import claim, owner

_ANOTHER_PREFIX = (
    "give each store a prefix of its own; a store that has lost its registry gets it back by `mergestore restore`"
)
_PATIENCE = 3.0  # seconds for an object storage to answer, when a store is put there


@dataclass(frozen=True)
class Wish:
    """How a store is opened: whether one is made where there is none, by whom, with which software.

    ``objects``: the object storage that it must have; ``usual``: the one that a new store has where none is named.
    """

    create: bool
    actor: str
    software: str
    objects: str | None = None
    usual: str | None = None


@dataclass(frozen=True)
class Place:
    """Where a store is: its folder, and the URL of its registry unless that is in the folder."""

    home: Path
    database: str | None

    @property
    def url(self) -> str | URL:
        """The registry's URL."""
        return self.database or sqlite_url(self.home / "registry.db")

    def exists(self) -> bool:
        """Whether there is something to open: connecting to a missing SQLite file would make it."""
        if self.database is None:
            return (self.home / "registry.db").exists()
        kind, _, path = self.database.partition(":///")
        return self.home.is_dir() and (kind != "sqlite" or Path(path).exists())


def open_registry(place: Place, wish: Wish) -> tuple[Engine, Migrated]:
    """The registry's database, with its schema and the objects' place brought about, and what was done to it.

    Raises EnvironmentFailure where there is no store and none is to be made, IntegrityFailure where there are objects
    and the records of them are gone.
    """
    home, create = place.home, wish.create
    wanted = wish.objects if wish.objects is not None else wish.usual
    with disk_errors(f"cannot open the store {home}"):
        filled = _has_objects(home)  # before the database is looked for, which is made before any object
        there = place.exists()
    if filled and not there:
        raise _lost_registry(home)
    if not create and not there:
        hint = "make one with: mergestore init, or name another with --store DIR"
        raise EnvironmentFailure(f"there is no store in {home}", hint=hint)
    elsewhere = place.database if lies_elsewhere(place.database, home) else None
    # Before anything is made.
    if elsewhere and not there:
        require_unclaimed(home, elsewhere)
    storage = answering(wanted) if wish.objects is not None or (create and not there) else None
    if storage is not None and not there:
        _require_free(storage, lambda found: place.exists())  # then another process has made it just now
    engine, backups = _connect(place), Home(home).backups
    try:
        found = migrations.current(engine)
        if filled and found is None:
            raise _lost_registry(home)
        new = create and found is None
        if elsewhere and new:
            require_unclaimed(home, elsewhere)
        if new and storage is None:
            storage = answering(wanted)
        if new and storage is not None:
            _require_free(storage, lambda found: migrations.current(engine) is not None)
        done = Migrated(found, migrations.head())
        if create:
            done = migrations.migrate(engine, backups, software=wish.software)
            if done.before not in (None, done.after):
                put_back(engine, wish.actor)  # one that a store lost long ago
        elif found != done.after:
            migrations.require_current(engine, backups)
        opened_with(engine, done.after)
        if elsewhere:
            require_same(engine, home)
        if storage is not None and (wish.objects is not None or new):
            _require_free(storage, lambda found: _is_own(engine, storage, found))
            locate_objects(engine, storage, wish.actor)
    except BaseException:
        engine.dispose()
        raise
    return engine, done


def take_back(place: Place, schema: str) -> tuple[Engine, Migrated]:
    """The registry's database with an older schema, and what was done to it. Raises as ``migrations.downgrade``."""
    if not place.exists():
        raise EnvironmentFailure(f"there is no store in {place.home}", hint="name one with --store DIR")
    engine = _connect(place)
    try:
        if lies_elsewhere(place.database, place.home) and migrations.current(engine) == migrations.head():
            require_same(engine, place.home)
        done = migrations.downgrade(engine, schema, Home(place.home).backups)
        forget(place.home)
        return engine, done
    except BaseException:
        engine.dispose()
        raise


def answering(objects: str | None) -> str | None:
    """The object storage that is meant, after it has answered."""
    if objects is None:
        return None
    bucket = Bucket(objects, patience=_PATIENCE)
    bucket.answer()
    return bucket.url


def locate_objects(engine: Engine, storage: str, actor: str) -> None:
    """Put on record where the objects of a store go, while nobody stores any. Raises Conflict otherwise."""
    with writing(engine) as session:
        if (chosen := object_storage(session)) != storage:
            refuse_writers(session, "an object storage is not chosen")
        choose_storage(session, storage, actor=actor)
        if chosen != storage:  # last: no place says that it is of a store that may not have it
            claim(Bucket(storage, patience=_PATIENCE), store_id(session), lambda digests: False)


def _require_free(storage: str, ours: Callable[[str | None], bool]) -> None:
    """Raise Conflict where an object storage is another store's.

    ``ours``: whether it may be our own all the same, by the store that it says it is of.
    """
    bucket = Bucket(storage, patience=_PATIENCE)
    found = owner(bucket)
    if (found is None and next(iter(bucket.list()), None) is None) or ours(found):
        return
    told = f"there are objects in {storage} already" if found is None else f"{storage} is the place of store {found}"
    raise Conflict(told, hint=_ANOTHER_PREFIX)


def _is_own(engine: Engine, storage: str, found: str | None) -> bool:
    with reading(engine) as session:
        return found == store_id(session) or object_storage(session) == storage


def _connect(place: Place) -> Engine:
    with disk_errors(f"cannot make the store {place.home}"):
        make_folder(place.home)
    return open_engine(place.url)


def _has_objects(home: Path) -> bool:
    return next((home / "objects").glob("*/??/*"), None) is not None


def _lost_registry(home: Path) -> IntegrityFailure:
    """A registry made anew would know none of the objects, and all of them would be garbage."""
    return IntegrityFailure(
        f"{home} has objects, but the registry database that names them is not there, or is empty",
        hint="restore a backup into a new folder (`mergestore restore`), or a snapshot of the registry into this one, "
        "or name the one that it has (--database, $MERGESTORE_DATABASE); for a new store choose another folder",
    )
