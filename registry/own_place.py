"""Whether the object storage on record is this store's own: asked before anything is stored or deleted there.

One that was chosen before it said so is known by its objects, and says so from then on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import Engine

from registry.home import Home
from registry.records.database import reading
from registry.records.identity import store_id
from registry.records.objects import mostly_known

if TYPE_CHECKING:
    from storage.objects.bucket import Bucket


def require_own_place(engine: Engine, home: Home) -> None:
    """Raise Conflict where the objects of this store are in another store's place."""
    if home.storage is not None:
        from storage.objects.bucket import Bucket

        claim_for(engine, Bucket(home.storage))


def claim_for(engine: Engine, bucket: Bucket) -> None:
    """Have a place say that it is of this registry's store. Raises Conflict where it is of another."""
    from storage.objects.owner import claim

    def known(digests: list[str]) -> bool:
        with reading(engine) as session:
            return mostly_known(session, digests)

    with reading(engine) as session:
        own = store_id(session)
    claim(bucket, own, known)
