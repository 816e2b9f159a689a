"""``gc``: what nothing needs is found, noted, and deleted once it was known for long enough.

See ``registry.records.garbage`` for why this is safe beside running writers. Nothing is done, and nothing told to be
garbage, in a store whose records contradict each other: they might name what seems to be needed by nobody.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from registry.home import Home
from registry.records import events, garbage, leases, objects
from registry.records.columns import batches
from registry.records.database import reading, writing
from registry.records.integrity import verify_records
from registry.results import Collected
from registry.upkeep.eviction import evict
from registry.upkeep.leftovers import clear_up, leftovers
from registry.upkeep.side_by_side import side_by_side
from registry.upkeep.writers import at_work
from registry.wish import Context
from storage.errors import IntegrityFailure
from storage.progress import Progress

DELETED = "objects.delete"
"""What the log calls it that objects were deleted."""

_TICK = timedelta(microseconds=1)
_HOLD = 1.0  # seconds: then others may write, which wait for half a minute at most
_PAUSE = 0.2  # seconds: those who wait for SQLite are in no queue, and look every tenth of a second

Objects = dict[str, int]
"""Sizes in bytes by digest."""


def collect_garbage(
    context: Context, grace: timedelta, cache_limit: int | None, *, apply: bool, progress: Progress
) -> Collected:
    """Find what nothing needs; with ``apply`` note it, and delete what was noted for longer than ``grace``.

    Raises IntegrityFailure where the records contradict each other.
    """
    home = context.home
    with reading(context.engine) as session:
        _require_sound(session)
        unneeded = _unneeded(session, home)
        known = garbage.known(session)
        waiting_for = [lease.acquired_at for lease in at_work(session)]
        at = leases.clock(session)
    found = sorted(unneeded.keys() - known.keys())
    rest = list(leftovers(home, at - grace))
    deleted: Objects = {}
    if apply:
        for batch in batches(found):
            there = [digest for digest in batch if home.blobs.has(digest)]  # maybe by requests: nobody waits for them
            with writing(context.engine) as session:
                # Later than every writer began, also where the clock was set back meanwhile.
                at = max([leases.clock(session), *(lease.acquired_at + _TICK for lease in at_work(session))])
                garbage.condemn(session, there, at)
        deleted = _sweep(context, grace, unneeded, progress)
        rest = clear_up(home, rest)
    return Collected(
        applied=apply,
        grace_seconds=grace.total_seconds(),
        objects=[_told(digest, size, known.get(digest), deleted) for digest, size in sorted(unneeded.items())],
        leftovers=[each.to_dict() for each in rest],
        deleted_bytes=sum(deleted.values()) + (sum(each.bytes for each in rest) if apply else 0),
        waiting_bytes=sum(size for digest, size in unneeded.items() if digest not in deleted),
        writers=len(waiting_for),
        evicted=evict(context, cache_limit, apply=apply) if cache_limit is not None else [],
        strangers=[str(path) for path in home.blobs.strangers()],
    )


def _require_sound(session: Session) -> None:
    problems = verify_records(session)
    if problems:
        raise IntegrityFailure(
            f"nothing is collected from a store whose records are damaged: {problems[0]['what']}"
            + (f", and {len(problems) - 1} more" if len(problems) > 1 else ""),
            hint="run `mergestore verify`, and `mergestore repair`",
            details={"problems": problems},
        )


def _unneeded(session: Session, home: Home) -> Objects:
    """What lies among the objects and is not on record: in sound records everything on record is needed."""
    both = side_by_side(home.blobs.sizes(), objects.sizes(session))
    return {digest: size for digest, size, recorded in both if size is not None and recorded is None}


def _sweep(context: Context, grace: timedelta, sizes: Mapping[str, int], progress: Progress) -> Objects:
    """Delete what was garbage before the grace began, and before any writer did that is still at work."""
    with reading(context.engine) as session:
        left = sorted(garbage.known(session))
    deleted: Objects = {}
    progress.start("delete", len(left))
    try:
        while left:
            batch = next(batches(left))
            context.home.blobs.has(batch[0])  # a server that is away is waited for here, where nobody waits for us
            clock = time.monotonic()
            with writing(context.engine) as session:
                gone, rest = _sweep_batch(session, context, batch, grace, sizes)
            deleted |= gone
            left = [*rest, *left[len(batch) :]]
            progress.advance(len(batch) - len(rest))
            if left:
                time.sleep(min((time.monotonic() - clock) / 4, _PAUSE))
    finally:
        progress.finish()
    return deleted


def _sweep_batch(
    session: Session, context: Context, batch: Sequence[str], grace: timedelta, sizes: Mapping[str, int]
) -> tuple[Objects, list[str]]:
    """In one transaction, which no writer can begin or end in the middle of: what is gone, and what is left.

    Outside of one a writer could look at an object, and rely on it, just before it is deleted.
    """
    deadline = time.monotonic() + _HOLD
    until = min([leases.clock(session) - grace, *(lease.acquired_at for lease in at_work(session))])
    needed, known = garbage.needed(session, batch), garbage.known(session, batch)
    garbage.forget(session, [digest for digest in batch if digest in needed])
    due = [digest for digest in batch if digest not in needed and digest in known and known[digest] <= until]
    gone: Objects = {}
    for digest in due:
        context.home.blobs.remove(digest)
        gone[digest] = sizes.get(digest, 0)
        if time.monotonic() > deadline:
            break
    garbage.forget(session, gone, deleted=True)
    if gone:
        events.append(
            session,
            actor=context.actor,
            action=DELETED,
            subject="objects",
            details={"objects": gone, "bytes": sum(gone.values())},
        )
    return gone, due[len(gone) :]


def _told(digest: str, size: int, found_at: datetime | None, deleted: Mapping[str, int]) -> dict[str, Any]:
    state = "deleted" if digest in deleted else "found" if found_at is None else "waits"
    return {
        "digest": digest,
        "bytes": size,
        "state": state,
        "found_at": found_at.isoformat() if found_at is not None else None,
    }
