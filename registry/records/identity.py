"""Which store this is: an identifier that was drawn when its schema was made, and stays for its life."""

from __future__ import annotations

from sqlalchemy.orm import Session

from registry.records.tables import StoreMeta
from storage.errors import IntegrityFailure

STORE_ID_KEY = "store_id"
WRITTEN_BY_KEY = "written_by"
"""Which mergestore gave the records the schema that they have, for whoever meets one that he does not know."""


def store_id(session: Session) -> str:
    """32 hexadecimal digits. Raises IntegrityFailure where the record of it is lost."""
    found = find_store_id(session)
    if found is None:
        raise IntegrityFailure("the store's own identifier is lost", hint="restore a backup of the registry")
    return found


def find_store_id(session: Session) -> str | None:
    """The same; None where the record of it is lost."""
    meta = session.get(StoreMeta, STORE_ID_KEY)
    return meta.value if meta is not None else None
