"""Which store a part of a bucket is of: it says so itself, under a key beside the objects.

To the ``gc`` of one store the objects of another are garbage. The key is written under the condition that there is
none, so of two stores that choose one place at the same moment one has it. Two that are restored from one backup have
one identifier, and so may share a place.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice

from storage.blobs import digest_of
from storage.errors import Conflict
from storage.objects.bucket import Bucket

KEY = "store-id"
"""What is stored here: the identifier of the store, and a line break."""

_LOOKED_AT = 500  # objects of a place that does not say whose it is


def owner(bucket: Bucket) -> str | None:
    """Which store a place is of, as it says; None for one that does not yet."""
    data = bucket.get(KEY)
    return data.decode(errors="replace").strip() if data is not None else None


def claim(bucket: Bucket, store: str, known: Callable[[list[str]], bool]) -> None:
    """Have a place say that it is of this store. Raises Conflict where it is of another.

    ``known``: whether these objects seem to be the store's, asked where there are objects and nothing says whose.
    """
    found = owner(bucket)
    if found is None:
        names = (digest_of(key) for key, _ in bucket.list())
        digests = list(islice((each for each in names if each is not None), _LOOKED_AT))
        if digests and not known(digests):
            hint = "give each store a prefix of its own: to the `gc` of one the objects of another are garbage"
            raise Conflict(f"there are objects in {bucket.url} already, of another store than {store}", hint=hint)
        data = f"{store}\n".encode()
        if bucket.create(KEY, data, len(data)):
            return
        found = owner(bucket)
    if found != store:
        raise Conflict(
            f"{bucket.url} is the place of store {found}, and this is {store}",
            hint="give each store a prefix of its own; a store that has lost its registry gets it back by `mergestore "
            f"restore`; if the other store is no more, delete {bucket.url}/{KEY} and its objects",
        )
