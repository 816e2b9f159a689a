"""Importing: a bundle unpacked beside the store's objects, checked to the last byte, then recorded in one transaction.

Until all is checked nothing of it is among the objects, and until it is recorded nothing of it is known.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from registry.bundles.checking import HINT, Unpacked, check
from registry.bundles.consistency import check_bundle
from registry.bundles.gathering import Gathering
from registry.bundles.manifest import (
    LARGEST_MANIFEST,
    LARGEST_ORIGIN,
    MANIFEST,
    ORIGIN,
    Bundle,
    Origin,
    blob_member,
    plain,
)
from registry.bundles.planning import Naming, Plan, Planned, make_plan
from registry.bundles.reading import read_bundle, read_origin
from registry.bundles.recording import Recording
from registry.home import Home
from registry.quota import require_room
from registry.records.database import reading, writing
from registry.records.identity import store_id
from registry.results import Imported
from storage.archive import ArchiveReader, Member
from storage.blobs import Blob
from storage.digests import Hashes, is_digest
from storage.errors import Conflict, InputRefused, IntegrityFailure, UsageError
from storage.files import disk_errors, remove_tree, write_all
from storage.progress import Progress


@dataclass(frozen=True)
class _Opened:
    """A bundle whose members are where they have to be; their bytes are not read yet."""

    bundle: Bundle
    origin: Origin
    members: Mapping[str, Member]


def import_bundle(
    engine: Engine,
    home: Home,
    path: Path,
    naming: Naming,
    *,
    expected: str | None,
    dry_run: bool,
    actor: str,
    progress: Progress,
) -> Imported:
    """Check a bundle, and unless ``dry_run`` record what is new of it. What is known already is recognised.

    ``expected``: the digest that it must have, as somebody told. Raises InputRefused for a file that is no bundle,
    IntegrityFailure for one that is not as it was written or expected; and what ``make_plan`` raises.
    """
    if expected is not None and not (is_digest(expected) and expected.startswith("sha256:")):
        raise UsageError(
            f"{expected!r} is no digest of a bundle", hint="it is sha256: and 64 digits, as `export` tells"
        )
    with ArchiveReader(path) as archive:
        opened = _open(archive)
        if expected not in (None, opened.bundle.digest):
            raise IntegrityFailure(
                f"{path} is the bundle {opened.bundle.digest}, expected is {expected}",
                hint="ask whoever exported it for the digest, and for the file",
            )
        with reading(engine) as session:
            plan = _plan(session, home, opened.bundle, naming)
        absent = [digest for digest in plan.blobs if not home.blobs.has(digest)]
        require_room(engine, home, sum(opened.bundle.blobs[digest].size for digest in absent))
        scratch = home.blobs.scratch("bundle")
        try:
            places = _unpack(archive, opened, plan, scratch, progress)
            checked = check(engine, opened.bundle, plan, Unpacked(path, scratch, places), actor, progress)
            stored = [opened.bundle.blobs[digest].size for digest in sorted(places) if not home.blobs.has(digest)]
            if plan.changes and not dry_run:
                for digest in sorted(places):
                    home.blobs.adopt(places[digest], Blob(digest, opened.bundle.blobs[digest].size))
                with writing(engine) as session:
                    plan = _plan(session, home, opened.bundle, naming)
                    if not plan.blobs.keys() <= places.keys():
                        raise Conflict("versions of this bundle were changed meanwhile", hint="import it again")
                    Recording(session, home, opened.bundle, opened.origin, checked, actor).run(plan)
        finally:
            remove_tree(scratch)
    return Imported(
        path=str(path.absolute()),
        bundle=opened.bundle.digest,
        exported=plain(opened.origin.exported),
        dry_run=dry_run,
        versions=[_answer(each) for each in plan.planned],
        blobs=len(stored),
        bytes=sum(stored),
        notes=list(_notes(plan)),
    )


def _open(archive: ArchiveReader) -> _Opened:
    where = str(archive.path)
    if not archive.begins_with(MANIFEST):
        raise InputRefused(
            f"{where} is not a bundle: it does not begin with {MANIFEST}", hint="give a file that `export` has written"
        )
    member = archive.member(0, MANIFEST, LARGEST_MANIFEST)
    data = archive.read(member)
    bundle = read_bundle(data, where)
    members: dict[str, Member] = {}
    for digest in sorted(bundle.blobs):
        member = archive.member(member.end, blob_member(digest), bundle.blobs[digest].size)
        if member.size != bundle.blobs[digest].size:
            raise IntegrityFailure(f"{where}: {member.name} has {member.size:,} bytes, not as its manifest says")
        members[digest] = member
    last = archive.member(member.end, ORIGIN, LARGEST_ORIGIN)
    archive.check_size(last.end)
    origin = read_origin(archive.read(last), data, where)
    check_bundle(bundle, where)
    return _Opened(bundle, origin, members)


def _plan(session: Session, home: Home, bundle: Bundle, naming: Naming) -> Plan:
    return make_plan(session, Gathering(session, home, store_id(session), {}), bundle, naming)


def _unpack(archive: ArchiveReader, opened: _Opened, plan: Plan, scratch: Path, progress: Progress) -> dict[str, Path]:
    """Read every blob and compare its digests; those that will be stored are written below ``scratch``."""
    wanted = plan.blobs
    places = {digest: scratch / blob_member(digest) for digest in wanted}
    progress.start("read bundle", sum(member.size for member in opened.members.values()))
    try:
        for digest, member in opened.members.items():
            hashes = Hashes()
            with _target(places.get(digest)) as write:
                for piece in archive.pieces(member):
                    hashes.update(piece)
                    write(piece)
                    progress.advance(len(piece))
            told = opened.bundle.blobs[digest]
            if (hashes.blake3, hashes.sha256) != (digest, told.sha256):
                raise IntegrityFailure(
                    f"{archive.path}: {member.name} hashes to {hashes.blake3} and {hashes.sha256}, "
                    f"its SHA-256 should be {told.sha256}",
                    hint=HINT,
                )
        return places
    finally:
        progress.finish()


@contextlib.contextmanager
def _target(path: Path | None) -> Iterator[Callable[[memoryview], None]]:
    if path is None:
        yield lambda piece: None
        return
    with disk_errors(f"cannot write {path}"):
        path.parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        try:
            yield lambda piece: write_all(fd, piece)
        finally:
            os.close(fd)


def _answer(planned: Planned) -> dict[str, object]:
    return {
        "was": planned.entry.reference,
        "name": planned.name,
        "version": planned.version,
        "kind": planned.entry.kind,
        "digest": planned.entry.digest,
        "created": planned.created,
        "added": planned.added,
    }


def _notes(plan: Plan) -> Iterator[str]:
    for planned in plan.planned:
        entry, known, here = planned.entry, planned.known, f"{planned.name}@{planned.version}"
        if planned.created and entry.reason is not None:
            yield f"{here} is yanked: {entry.reason}"
        if known is not None and known.state != entry.state:
            states = f"{known.state} here, and {entry.state} where it comes from"
            yield f"{here} is {states} ({known.reason or entry.reason}): import does not change that"
        if known is not None and known.licence != entry.licence:
            yield f"{here} has the licence {known.licence or 'not stated'} here, {entry.licence or 'not stated'} there"
    for reference, version in plan.needed.items():
        if version.state != "ready":
            yield f"{reference} is {version.reference} here, which is {version.state}: {version.reason}"
