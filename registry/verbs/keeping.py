"""Verbs that keep the house: garbage, and what is there compared with what should be."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

from registry.own_place import require_own_place
from registry.records.database import require_writable
from registry.results import Collected, Inspection, Repaired
from registry.verbs.opened import Opened
from registry.wish import Context
from storage.errors import UsageError
from storage.paths import as_paths
from storage.progress import Progress, Silent
from storage.sizes import check_bytes

GRACE = timedelta(days=14)
"""How long what nothing needs stays, unless it is said otherwise."""


class Keeping(Opened):
    """The verbs that keep a store in order."""

    def check_store(
        self,
        *,
        read_data: bool = False,
        share: str | None = None,
        seconds: float | None = None,
        progress: Progress | None = None,
    ) -> Inspection:
        """Check the store: its records, and that everything they name is there; with ``read_data`` all stored bytes.

        ``share``: read a part only, ``"5%"`` of all bytes (those that were not read for longest) or ``"2/7"``, the
        second of seven parts. ``seconds``: begin to read nothing more after that. When each object was last read is
        remembered. Raises UsageError for a share or a time that is none.
        """
        from registry.upkeep.inspection import Share, inspect_store, parse_share

        chosen = parse_share(share) if share is not None else Share() if read_data else None
        if seconds is not None and chosen is None:
            raise UsageError("a time limit is for reading data", hint="say too how much of it is to be read")
        if seconds is not None and not (isinstance(seconds, int | float) and seconds >= 0):
            raise UsageError(f"a time limit cannot be {seconds!r}", hint="give seconds as a number from 0 on")
        context = Context(self.engine, self.home, self.tracking_uri, self.actor)
        return inspect_store(context, chosen, seconds, progress or Silent())

    def repair(
        self, *, copies: Iterable[str | Path] = (), apply: bool = False, progress: Progress | None = None
    ) -> Repaired:
        """Read everything, and tell what is damaged or missing and what would mend it; with ``apply`` mend it.

        Bytes come from ``copies`` (folders, files, other stores' folders), from the folders that versions were
        registered from, or are made again: a skill's delta from its fine-tune, a merge's vector from its skills. Only
        what is the same to the bit is taken. Damaged objects go to ``quarantine/``. Raises NotFound for absent copies.
        """
        from registry.upkeep.repairing import repair

        require_writable(self.engine)  # what would mend something is tried out
        context = Context(self.engine, self.home, self.tracking_uri, self.actor)
        return repair(context, as_paths("copies", copies), apply=apply, progress=progress or Silent())

    def metrics(self) -> dict[str, Any]:
        """Numbers about the store for whoever watches it: versions, bytes, quota, garbage, what waits, since when."""
        from registry.upkeep.metrics import metrics

        return metrics(Context(self.engine, self.home, self.tracking_uri, self.actor))

    def collect_garbage(
        self,
        *,
        grace: timedelta = GRACE,
        cache_limit: int | None = None,
        apply: bool = False,
        progress: Progress | None = None,
    ) -> Collected:
        """Tell which objects no record needs and what work that was cut short has left; with ``apply`` clear up.

        What is found is noted, and deleted by the first run that comes ``grace`` later, if nothing has come to need it.
        ``cache_limit``: results in the cache that were not used for longest go too, until it takes so many bytes at
        most. Safe beside running writers. Raises IntegrityFailure where the records contradict each other, Conflict
        where the objects are in another store's place.
        """
        from registry.upkeep.collecting_garbage import collect_garbage

        if not isinstance(grace, timedelta):
            raise UsageError(
                f"a grace cannot be {grace!r}", hint="give a datetime.timedelta, such as timedelta(days=14)"
            )
        if grace < timedelta(0):
            raise UsageError(f"a grace of {grace} lies in the future", hint="0 deletes at once")
        if cache_limit is not None:
            check_bytes("the limit of the cache", cache_limit)
        if apply:
            require_writable(self.engine)
            require_own_place(self.engine, self.home)
        context = Context(self.engine, self.home, self.tracking_uri, self.actor)
        return collect_garbage(context, grace, cache_limit, apply=apply, progress=progress or Silent())
