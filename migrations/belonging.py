"""Whether a folder and a registry that lies elsewhere are of one store.

One mistyped URL would do else, and ``gc`` would find every object in the folder to be garbage; or a second machine
would store into a folder of its own. So the folder keeps the identifier of its store; one that does not yet is known by
its objects.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sqlite3
from itertools import islice
from pathlib import Path

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from registry.records.database import is_read_only, parse_url, reading, writing
from registry.records.database_errors import shown_url
from registry.records.identity import STORE_ID_KEY, store_id
from registry.records.location import first_folder, object_storage
from registry.records.objects import LOOKED_AT, mostly_known, some
from storage.blobs import BlobStore
from storage.errors import Conflict
from storage.files import disk_errors, regular_size, resolved, write_file

FILE, REGISTRY = "store-id", "registry.db"
_LONGEST = 64
_HINT = "name the database that this store has (--database, $MERGESTORE_DATABASE), or another folder (--store)"
_HINT_OBJECTS = "name that folder (--store); machines that use one store share its folder, or have the objects on S3"


def lies_elsewhere(database: str | None, home: Path) -> bool:
    """Whether a registry is not the file in the folder itself."""
    if database is None:
        return False
    url = parse_url(database)
    return url.drivername != "sqlite" or resolved(Path(url.database or "")) != resolved(home / REGISTRY)


def require_unclaimed(home: Path, database: str) -> None:
    """Raise Conflict where a new registry would be made for a folder that is a store's already."""
    if (known := _known(home)) is not None:
        where = shown_url(parse_url(database))
        raise Conflict(f"{home} is the folder of store {known}; there is no registry in {where}", hint=_HINT)


def require_same(engine: Engine, home: Path) -> None:
    """Raise Conflict unless a folder is that of the registry's store; one that does not say so yet does from now on."""
    where, known = shown_url(engine.url), _known(home)
    with reading(engine) as session:
        own = store_id(session)
        strange = _strangeness(session, home, where) if known is None else None
    if strange is not None:
        known = _known(home)  # or objects of somebody who has opened the store just now, for the first time
        if known is None:
            what, hint = strange
            raise Conflict(what, hint=f"{hint}; if they do belong together, write {own} into {home / FILE}")
    if known not in (None, own):
        raise Conflict(f"{home} is the folder of store {known}; {where} is the registry of {own}", hint=_HINT)
    if regular_size(home / REGISTRY):
        raise Conflict(
            f"{home} has a registry of its own, {REGISTRY}, and {where} is another one of the same store",
            hint=f"two that go on from one are two stores: leave --database and $MERGESTORE_DATABASE out; or, if that "
            f"one has taken its place, move {REGISTRY} away",
        )
    if not (home / FILE).exists() and os.access(home, os.W_OK):
        if not is_read_only(engine):
            _require_first(engine, home, own)
        claim(home, own)


def _require_first(engine: Engine, home: Path, own: str) -> None:
    """Raise Conflict where another folder came first to a registry that has no objects on record yet."""
    here = f"{socket.gethostname()}:{resolved(home)}"
    with writing(engine) as session:
        first = first_folder(session, here)
    if first not in (None, here):
        raise Conflict(
            f"the objects of the store in {shown_url(engine.url)} go into another folder, {first}, not into {home}",
            hint=f"{_HINT_OBJECTS}; where {home} is to have them, write {own} into {home / FILE}",
        )


def require_free(home: Path, own: str) -> None:
    """Raise Conflict where the registry of store ``own`` is to be put into the folder of another."""
    if (known := _known(home)) not in (None, own):
        raise Conflict(f"{home} is the folder of store {known}; this is the registry of {own}", hint=_HINT)


def claim(home: Path, own: str) -> None:
    """Let a folder say that it is of store ``own``, whose registry lies elsewhere."""
    write_file(home / FILE, f"{own}\n".encode())


def forget(home: Path) -> None:
    """Let a folder say no more whose it is: an older schema knows no identifier, and the next one draws another."""
    with disk_errors(f"cannot change {home}"):
        (home / FILE).unlink(missing_ok=True)


def _strangeness(session: Session, home: Path, where: str) -> tuple[str, str] | None:
    """Why the objects in a folder seem to be of another store than the records, as far as they are looked at."""
    blobs = BlobStore(home / "objects", home / "tmp")
    if not mostly_known(session, list(islice(blobs.digests(), LOOKED_AT))):
        return f"most of the objects in {home} are not on record in {where}", _HINT
    recorded = some(session) if object_storage(session) is None else []
    if recorded and 2 * sum(map(blobs.has, recorded)) <= len(recorded):
        return f"most of the objects on record in {where} are not in {home}", _HINT_OBJECTS
    return None


def _known(home: Path) -> str | None:
    """Which store a folder is of: as it says, or the registry that lies in it."""
    if regular_size(home / FILE):
        with (home / FILE).open("rb") as file:
            return file.read(_LONGEST).decode(errors="replace").strip()
    registry = home / REGISTRY
    with contextlib.suppress(sqlite3.Error):
        if regular_size(registry):
            uri = f"{registry.absolute().as_uri()}?mode=ro"
            with contextlib.closing(sqlite3.connect(uri, uri=True)) as opened:
                found = opened.execute("SELECT value FROM store_meta WHERE key = ?", [STORE_ID_KEY]).fetchone()
                return str(found[0]) if found else None
    return None
