"""Where the objects of a store lie, unless in its own folder: on record once, for every opening after that."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from registry.records import events
from registry.records.tables import Blob, StoreMeta
from storage.errors import Conflict

LOCATION_KEY = "objects"
FOLDER_KEY = "folder"
LOCATED = "store.objects"
"""What the log calls it that an object storage was chosen."""


def object_storage(session: Session) -> str | None:
    """``s3://bucket/prefix``; None for a store whose objects lie in its own folder."""
    found = session.get(StoreMeta, LOCATION_KEY)
    return found.value if found is not None else None


def is_settled(session: Session) -> bool:
    """Whether it is decided for good where the objects lie: there are some, or a storage was chosen."""
    return object_storage(session) is not None or _has_objects(session)


def _has_objects(session: Session) -> bool:
    return session.scalar(select(Blob.digest).limit(1)) is not None


def first_folder(session: Session, folder: str) -> str | None:
    """In which folder of which machine the objects will lie: the first that comes, on record from then on.

    None once that can be told by the objects, or they are in an object storage.
    """
    if is_settled(session):
        return None
    found = session.get(StoreMeta, FOLDER_KEY)
    if found is None:
        found = StoreMeta(key=FOLDER_KEY, value=folder)
        session.add(found)
    return found.value


def choose_storage(session: Session, url: str, *, actor: str) -> None:
    """Put an object storage on record. Raises Conflict for a store whose objects are elsewhere."""
    known = object_storage(session)
    if known == url:
        return
    hint = "make another store there; `export` and `import` bring over what this one holds"
    if known is not None:
        raise Conflict(f"the objects of this store are in {known}, not in {url}", hint=hint)
    if _has_objects(session):
        raise Conflict(f"this store has objects in its own folder, and none in {url}", hint=hint)
    session.add(StoreMeta(key=LOCATION_KEY, value=url))
    events.append(session, actor=actor, action=LOCATED, subject="objects", details={"objects": url})


def move_objects(session: Session, url: str | None, *, actor: str) -> None:
    """Put on record that all objects are now in an object storage, or in the store's own folder."""
    found = session.get(StoreMeta, LOCATION_KEY)
    if url == (found.value if found is not None else None):
        return
    if found is not None:
        session.delete(found)
        session.flush()
    if url is not None:
        session.add(StoreMeta(key=LOCATION_KEY, value=url))
    events.append(session, actor=actor, action=LOCATED, subject="objects", details={"objects": url})
