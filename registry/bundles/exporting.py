"""Exporting: versions with their bytes and history into one file, which appears whole or not at all."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from registry.bundles.consistency import check_bundle
from registry.bundles.gathering import Chosen, Gathering, choose, needed
from registry.bundles.manifest import (
    LARGEST_MANIFEST,
    MANIFEST,
    ORIGIN,
    Act,
    BlobFacts,
    Bundle,
    Origin,
    blob_member,
)
from registry.bundles.places import BlobPlace
from registry.bundles.reading import moment_text, read_bundle
from registry.home import Home
from registry.opening import open_base, place
from registry.outside import noted
from registry.records import events
from registry.records.columns import batches, now
from registry.records.contents import load_files, load_tensors
from registry.records.database import reading, writing
from registry.records.identity import store_id
from registry.records.tables import Blob, ModelVersion
from registry.results import Exported
from registry.software import package_version
from storage.archive import PIECE, ArchiveWriter, header
from storage.blobs import hash_file, open_blob
from storage.checkpoints.inputs import check_digest, tensor_digests
from storage.digests import Hashes
from storage.errors import Conflict, InputRefused, IntegrityFailure, UsageError
from storage.files import disk_errors, open_to_read, publish_file, regular_size, resolved, sweep, temporary_path
from storage.pipeline import thread_count
from storage.progress import Progress

ACTION = "bundle.export"


@dataclass(frozen=True)
class Scope:
    """What goes along with what is named: its ``lineage``, and the ``bases`` in that. ``force``: replace a file."""

    lineage: bool = False
    bases: bool = True
    force: bool = False


def export(
    engine: Engine, home: Home, references: Sequence[str], path: Path, scope: Scope, actor: str, progress: Progress
) -> Exported:
    """Write a bundle of what is named. Raises Conflict where a file of that name is there, and nothing is forced."""
    if not references:
        raise UsageError("nothing is named to be exported", hint="for example: assistant, math@2, or several")
    if not scope.bases and not scope.lineage:
        raise UsageError("only a lineage has bases to be left out", hint="add --lineage, or export what is named alone")
    path = path.absolute()
    _refuse_within(path, home)
    _refuse_taken(path, scope.force)
    with reading(engine) as session:
        chosen = choose(session, references, lineage=scope.lineage, bases=scope.bases)
        store = store_id(session)
        bundle, places = _gathered(session, home, chosen, store, progress)
    _check_own(bundle)
    origin = Origin(bundle.digest, f"mergestore {package_version('mergestore')}", _act(actor, store))
    fresh = not path.exists()
    with noted(home, path):
        size = _write(path, bundle, origin, places, scope.force, progress)
    try:
        with writing(engine) as session:
            _record(session, chosen, bundle, actor)
    except BaseException:
        if fresh:
            path.unlink(missing_ok=True)
        raise
    return Exported(
        path=str(path),
        bundle=bundle.digest,
        bytes=size,
        blobs=len(bundle.blobs),
        versions=[
            {"name": each.name, "version": each.version, "kind": each.kind, "digest": each.digest, "state": each.state}
            for each in bundle.versions
        ],
        needs=[{"reference": need.reference, "kind": need.kind, "digest": need.digest} for need in bundle.needs],
    )


def _act(actor: str, store: str) -> Act:
    return Act(actor, str(moment_text(now())), store)


def _refuse_taken(path: Path, force: bool) -> None:
    if path.is_dir():
        raise UsageError(f"{path} is a folder", hint="name a file, as in assistant.bundle")
    if os.path.lexists(path) and not force:
        raise Conflict(f"{path} exists already", hint="choose another name, or pass --force to replace it")
    if os.path.lexists(path) and not _is_bundle(path):
        hint = "--force replaces bundles only: choose another name, or delete this one yourself"
        raise Conflict(f"{path} exists and is no bundle", hint=hint)


def _refuse_within(path: Path, home: Home) -> None:
    if (root := resolved(home.root)) in resolved(path).parents:
        raise UsageError(f"{path} lies in the store {root}", hint="name a file outside of the store")


def _is_bundle(path: Path) -> bool:
    """Whether a file begins as a bundle does: with the name of its first member, and zeros up to the end of that."""
    if regular_size(path, follow=False) is None:
        return False
    name = header(MANIFEST, 0)[:100]
    with disk_errors(f"cannot read {path}"), os.fdopen(open_to_read(path), "rb") as file:
        return file.read(len(name)) == name


def _gathered(
    session: Session, home: Home, chosen: Chosen, store: str, progress: Progress
) -> tuple[Bundle, dict[str, BlobPlace]]:
    """The manifest of what was chosen, and where its blobs lie."""
    referenced = {
        file: hash_file(file).digest
        for version in chosen.versions
        for file in _referenced(session, home, version, progress)
    }
    gathering = Gathering(session, home, store, referenced)
    entries = tuple(gathering.entry(version, chosen.parents[version.id]) for version in chosen.versions)
    places: dict[str, BlobPlace] = {}
    for version in chosen.versions:
        places |= gathering.places(version)
    needs = tuple(sorted(map(needed, chosen.needs)))
    return Bundle(chosen.named, entries, needs, _facts(session, places, progress)), places


def _referenced(session: Session, home: Home, version: ModelVersion, progress: Progress) -> list[Path]:
    """The files of a version that lie outside of the store, if they still are what they were."""
    paths = [place(home, file) for file in load_files(session, version.id) if file.blob_digest is None]
    if paths:
        with closing(open_base(session, home, version).source) as source:
            label = f"hash {version.reference}"
            found = tensor_digests(source, thread_count(None), progress, label, version.reference)
        for tensor in load_tensors(session, version.id):
            check_digest(f"{version.reference}: tensor {tensor.name!r}", found[tensor.name], tensor.digest)
    return paths


def _facts(session: Session, places: Mapping[str, BlobPlace], progress: Progress) -> dict[str, BlobFacts]:
    """Size and SHA-256 of every blob: what is on record of it, else what it hashes to."""
    known = {digest: blob.sha256 for digest, blob in _recorded(session, places).items()}
    sizes = {digest: places[digest].size() for digest in sorted(places)}
    progress.start("hash", sum(size for digest, size in sizes.items() if known.get(digest) is None))
    try:
        facts = {}
        for digest, size in sizes.items():
            facts[digest] = BlobFacts(size, known.get(digest) or _sha256(places[digest].path(), digest, progress))
        return facts
    finally:
        progress.finish()


def _sha256(path: Path, digest: str, progress: Progress) -> str:
    hashes = Hashes()
    for _ in _read(path, digest, hashes, progress):
        pass
    return hashes.sha256


def _read(path: Path, digest: str, hashes: Hashes, progress: Progress) -> Iterator[memoryview]:
    """The bytes of a blob, hashed on the way. Raises IntegrityFailure where they are not those of its digest."""
    room = memoryview(bytearray(PIECE))
    fd = open_blob(path)
    with disk_errors(f"cannot read {path}"), os.fdopen(fd, "rb", buffering=0) as file:
        while count := file.readinto(room):
            hashes.update(room[:count])
            progress.advance(count)
            yield room[:count]
    if hashes.blake3 != digest:
        raise IntegrityFailure(
            f"{path} hashes to {hashes.blake3}, recorded is {digest}", hint="run `mergestore verify`"
        )


def _check_own(bundle: Bundle) -> None:
    """What is written can be read: names, texts and sizes that nothing limits elsewhere have limits in a bundle."""
    if len(bundle.data) > LARGEST_MANIFEST:
        raise InputRefused(
            f"{len(bundle.versions):,} versions take {len(bundle.data):,} bytes to tell of, and a bundle has room for "
            f"{LARGEST_MANIFEST:,}",
            hint="export them in several bundles, those first that others were made from",
        )
    check_bundle(read_bundle(bundle.data, "the bundle"), "the bundle")


def _write(
    path: Path, bundle: Bundle, origin: Origin, places: Mapping[str, BlobPlace], force: bool, progress: Progress
) -> int:
    """Write the file beside its name, and give it that when it is on the disk; its size in bytes."""
    temporary = temporary_path(path.parent, f".{path.name}")
    with disk_errors(f"cannot write {path}"):
        sweep(path.parent, f".{glob.escape(path.name)}")
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    progress.start("write bundle", sum(facts.size for facts in bundle.blobs.values()))
    try:
        with disk_errors(f"cannot write {path}"), os.fdopen(fd, "wb", buffering=0):
            writer = ArchiveWriter(fd)
            writer.add(MANIFEST, len(bundle.data), [bundle.data])
            for digest, facts in bundle.blobs.items():
                hashes = Hashes()
                writer.add(blob_member(digest), facts.size, _read(places[digest].path(), digest, hashes, progress))
                if hashes.sha256 != facts.sha256:
                    raise IntegrityFailure(f"{digest} has SHA-256 {hashes.sha256}, recorded is {facts.sha256}")
            writer.add(ORIGIN, len(origin.data), [origin.data])
            writer.finish()
        _refuse_taken(path, force)
        publish_file(temporary, path)
        return writer.size
    finally:
        progress.finish()
        temporary.unlink(missing_ok=True)


def _record(session: Session, chosen: Chosen, bundle: Bundle, actor: str) -> None:
    """Every version that left the store is told of, and the SHA-256 of what left it is kept."""
    for digest, blob in _recorded(session, bundle.blobs).items():
        blob.sha256 = bundle.blobs[digest].sha256
    details = {"bundle": bundle.digest, "named": list(bundle.named)}
    for version in chosen.versions:
        events.append(session, actor=actor, action=ACTION, subject=version.reference, details=details)


def _recorded(session: Session, digests: Iterable[str]) -> dict[str, Blob]:
    """The records of blobs: files that are referenced where they lie have none."""
    found: dict[str, Blob] = {}
    for batch in batches(sorted(digests)):
        found |= {blob.digest: blob for blob in session.scalars(select(Blob).where(Blob.digest.in_(batch)))}
    return found
