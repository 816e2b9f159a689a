"""Versions out of a store into one file, which another store takes in: what they are, and every byte they need."""

from __future__ import annotations

import hashlib
import heapq
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from blake3 import blake3
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from registry.exchange import document as bundles
from registry.exchange.document import Bundle, Collected, Content, File, Made, Outside, Parent, Part, Score
from registry.home import Home
from registry.opening import open_base, place
from registry.publishing import public_source
from registry.records import events
from registry.records.catalog import resolve
from registry.records.contents import BlobRow, FileRow, load_delta, load_files, load_tensors, record_blobs
from registry.records.database import reading, writing
from registry.records.evaluations import evaluations
from registry.records.identity import store_id
from registry.records.lineage import parents
from registry.records.names import parse_reference
from registry.records.recipes import load_recipe
from registry.records.statistics import load_statistics
from registry.records.tables import Blob, ModelVersion
from registry.results import Exported
from storage import archives
from storage.checkpoints.tensors import listed
from storage.errors import Conflict, IntegrityFailure, UsageError
from storage.files import disk_errors, publish_file, sweep, temporary_path
from storage.pipeline import thread_count
from storage.progress import Progress

ACTION = "bundle.export"
IMPORTED = "imported"
"""The attribute of a version that came out of a bundle: from where, as what, by whom."""
SCORED_BY, SCORED_AT = "scored-by", "scored-at"
"""Details of a score that came out of a bundle."""
_READ = 8 << 20


@dataclass(frozen=True)
class Wanted:
    """Versions by reference, alone or with their whole ``lineage``; bases with their bytes or not."""

    references: Sequence[str]
    lineage: bool = False
    bases: bool = True


@dataclass(frozen=True)
class _Stored:
    """A file to be put into a bundle: where it lies, its kind, and its digest, if that is on record."""

    path: Path
    kind: str
    size: int
    digest: str | None
    reference: str


def export(
    engine: Engine, home: Home, wanted: Wanted, output: Path, actor: str, *, force: bool, progress: Progress
) -> Exported:
    """Write a bundle, durably and whole or not at all, and put on record that it was.

    The same versions give the same bytes, whoever exports them and when. Raises Conflict where the file exists,
    IntegrityFailure for anything that is not what it was when it was registered.
    """
    output = output.absolute()
    if os.path.lexists(output) and not force:
        raise Conflict(f"{output} exists already", hint="choose another file, or pass --force to replace it")
    if not output.parent.is_dir():
        raise UsageError(f"there is no folder {output.parent}", hint="make it first")
    with reading(engine) as session:
        roots, versions = _chosen(session, wanted)
        _check_bases(session, home, versions, progress)
        stored = {id_: _stored(session, home, version) for id_, version in versions.items()}
        blobs = _measured(session, stored, progress)
        bundle = _bundle(session, versions, stored, blobs)
        roots_told = [version.reference for version in roots]
    at = {blobs[file.path][0]: file.path for files in stored.values() for file in files.values()}
    fresh = not os.path.lexists(output)
    digest, size = _write(bundle, at, output, progress)
    try:
        _record(engine, roots_told, bundle, blobs, stored, digest, actor)
    except BaseException:
        if fresh:
            output.unlink(missing_ok=True)
        raise
    outside = sorted({each.outside.reference for part in bundle.parts for each in part.parents if each.outside})
    return Exported(
        path=str(output),
        digest=digest,
        bytes=size,
        versions=[{"name": each.name, "version": each.version, "kind": each.kind, "digest": each.digest}
                  for each in bundle.parts],
        outside=outside,
    )  # fmt: skip


def _chosen(session: Session, wanted: Wanted) -> tuple[list[ModelVersion], dict[int, ModelVersion]]:
    """The versions that were named, and all that go into the bundle, by id."""
    if not wanted.references:
        raise UsageError("nothing is named", hint="for example: mergestore export assistant --lineage -o assistant.tar")
    roots = [resolve(session, parse_reference(reference)) for reference in wanted.references]
    found = {version.id: version for version in roots}
    pending = list(found.values()) if wanted.lineage else []
    while pending:
        for parent, _ in parents(session, pending.pop().id):
            if parent.id not in found and (wanted.bases or parent.kind != "base"):
                found[parent.id] = parent
                pending.append(parent)
    if not wanted.bases and any(version.kind == "base" for version in roots):
        raise UsageError("a base is named, and --without-bases leaves bases out", hint="leave one of them out")
    return roots, found


def _check_bases(session: Session, home: Home, versions: Mapping[int, ModelVersion], progress: Progress) -> None:
    """Weights that are only referenced may have changed since; all others are compared with their digests anyway."""
    from storage.checkpoints.inputs import tensor_digests

    for version in versions.values():
        referenced = any(file.referenced_path for file in load_files(session, version.id))
        if version.kind != "base" or not referenced:
            continue
        base = open_base(session, home, version)
        with closing(base.source):
            told = f"check {version.reference}"
            found = tensor_digests(base.source, thread_count(None), progress, told, version.name)
        recorded = {tensor.name: tensor.digest for tensor in load_tensors(session, version.id)}
        changed = sorted(name for name in recorded if found.get(name) != recorded[name])
        if changed:
            raise IntegrityFailure(
                f"{version.reference}: {listed(changed, 3)} changed where it lies", hint="restore the file"
            )


def _stored(session: Session, home: Home, version: ModelVersion) -> dict[str, _Stored]:
    """The files of a version, and its statistics, by what they are in it."""
    found = {
        f"file {file.path}": _Stored(place(home, file), file.kind, file.size, file.blob_digest, version.reference)
        for file in load_files(session, version.id)
    }
    for each in load_statistics(session, [version.id]):
        blob = session.get_one(Blob, each.blob_digest)
        path = home.blobs.path(blob.digest)
        found[f"statistics {each.digest}"] = _Stored(path, "statistics", blob.size, blob.digest, version.reference)
    return found


def _measured(
    session: Session, stored: Mapping[int, Mapping[str, _Stored]], progress: Progress
) -> dict[Path, tuple[str, Content]]:
    """Digest, size and SHA-256 of every file, each read once and compared with what is on record."""
    files = {file.path: file for each in stored.values() for file in each.values()}
    progress.start("read what is exported", sum(file.size for file in files.values()))
    try:
        return {path: _measure(files[path], progress) for path in sorted(files)}
    finally:
        progress.finish()


def _measure(file: _Stored, progress: Progress) -> tuple[str, Content]:
    own, public, size = blake3(max_threads=blake3.AUTO), hashlib.sha256(), 0
    for piece in _pieces(file.path, file.reference):
        own.update(piece)
        public.update(piece)
        size += len(piece)
        progress.advance(len(piece))
    digest = f"blake3:{own.hexdigest()}"
    if size != file.size or (file.digest is not None and digest != file.digest):
        raise IntegrityFailure(
            f"{file.reference}: {file.path} is damaged: it hashes to {digest}, recorded is {file.digest}",
            hint="run `mergestore verify`: nothing was exported",
        )
    return digest, Content(size, f"sha256:{public.hexdigest()}")


def _pieces(path: Path, reference: str) -> Iterator[bytes]:
    if not path.is_file():
        raise IntegrityFailure(f"{reference}: {path} is missing", hint="run `mergestore verify`: nothing was exported")
    with disk_errors(f"cannot read {path}"), path.open("rb", buffering=0) as file:
        while piece := file.read(_READ):
            yield piece


def _bundle(
    session: Session,
    versions: Mapping[int, ModelVersion],
    stored: Mapping[int, Mapping[str, _Stored]],
    blobs: Mapping[Path, tuple[str, Content]],
) -> Bundle:
    made_of = {id_: parents(session, id_) for id_ in versions}
    order = _ordered(versions, made_of)
    places = {version.id: at for at, version in enumerate(order)}
    own = store_id(session)
    parts = []
    for version in order:
        files = {name: blobs[file.path] for name, file in stored[version.id].items()}
        parts.append(_part(session, version, made_of[version.id], places, files, own))
    held = dict(blobs[file.path] for each in stored.values() for file in each.values())
    return Bundle(tuple(parts), held)


def _ordered(
    versions: Mapping[int, ModelVersion], made_of: Mapping[int, Sequence[tuple[ModelVersion, str]]]
) -> list[ModelVersion]:
    """Parents first, and else by name and number: not by ids, which differ from store to store."""
    waiting = {id_: {parent.id for parent, _ in made_of[id_]} & versions.keys() for id_ in versions}
    children: dict[int, list[int]] = {}
    for id_, needed in waiting.items():
        for parent in needed:
            children.setdefault(parent, []).append(id_)
    ready = [(version.name, version.version, id_) for id_, version in versions.items() if not waiting[id_]]
    heapq.heapify(ready)
    order = []
    while ready:
        _, _, id_ = heapq.heappop(ready)
        order.append(versions[id_])
        for child in children.get(id_, ()):
            waiting[child].discard(id_)
            if not waiting[child]:
                heapq.heappush(ready, (versions[child].name, versions[child].version, child))
    return order


def _part(
    session: Session,
    version: ModelVersion,
    made_of: Sequence[tuple[ModelVersion, str]],
    places: Mapping[int, int],
    files: Mapping[str, tuple[str, Content]],
    own: str,
) -> Part:
    attributes: dict[str, Any] = {key: value for key, value in version.attributes.items() if key != IMPORTED}
    if "referenced" in attributes:
        attributes["referenced"] = None  # whoever takes it in has its bytes
    before = version.attributes.get(IMPORTED)
    made = (
        Made(**before["made"])
        if before
        else Made(own, version.name, version.version, version.created_by, version.created_at.isoformat())
    )
    told = sorted(((_parent(each, role, places), each.id) for each, role in made_of), key=lambda pair: repr(pair[0]))
    delta = load_delta(session, version.id)
    own_base = (
        None
        if delta is None
        else next(
            place for place, (parent, id_) in enumerate(told) if parent.role == "base" and id_ == delta.base_version_id
        )
    )
    return Part(
        kind=version.kind,
        name=version.name,
        version=version.version,
        digest=version.digest,
        licence=version.licence,
        source=public_source(version.source),
        attributes=attributes,
        made=made,
        parents=tuple(parent for parent, _ in told),
        scores=_scores(session, version),
        base=own_base,
        files=tuple(
            File(file.path, file.kind, content.size, digest)
            for file in load_files(session, version.id)
            for digest, content in [files[f"file {file.path}"]]
        ),
        statistics=tuple(
            Collected(
                each.kind, each.digest, each.blob_digest, each.model_digest, each.data_digest, each.examples,
                each.settings,
            )
            for each in sorted(load_statistics(session, [version.id]), key=lambda each: each.digest)
        ),
        recipe=load_recipe(session, version.digest).canonical if version.kind == "merge" else None,
        yanked=version.reason if version.state == "yanked" else None,
    )  # fmt: skip


def _scores(session: Session, version: ModelVersion) -> tuple[Score, ...]:
    """What a version scored, by whom and when it was measured first, wherever that was."""
    recipes = [version.digest] if version.kind == "merge" else []
    found = []
    for each in evaluations(session, [version.id], recipes):
        details = {key: value for key, value in each.details.items() if key not in (SCORED_BY, SCORED_AT)}
        by = each.details.get(SCORED_BY, each.created_by)
        at = each.details.get(SCORED_AT, each.created_at.isoformat())
        found.append(Score(each.metric, each.value, each.dataset, details, by, at))
    return tuple(sorted(found, key=repr))


def _parent(parent: ModelVersion, role: str, places: Mapping[int, int]) -> Parent:
    if parent.id in places:
        return Parent(role, at=places[parent.id])
    files = parent.attributes.get("files")
    return Parent(role, outside=Outside(parent.kind, parent.name, parent.version, parent.digest, files))


def _write(bundle: Bundle, at: Mapping[str, Path], output: Path, progress: Progress) -> tuple[str, int]:
    """The file under its name, and its SHA-256 digest and size."""
    sweep(output.parent, f".{output.name}")
    temporary = temporary_path(output.parent, f".{output.name}")
    hasher, size = hashlib.sha256(), 0
    told = bundle.to_bytes()
    if len(told) > bundles.LARGEST:
        raise UsageError("so many versions do not fit into one bundle", hint="export fewer of them at a time")
    progress.start("write the bundle", sum(content.size for content in bundle.blobs.values()))
    try:
        with disk_errors(f"cannot write {temporary}"), temporary.open("xb") as file:
            for piece in _archive(bundle, told, at, progress):
                hasher.update(piece)
                size += len(piece)
                _put(file, piece)
        publish_file(temporary, output)
    finally:
        temporary.unlink(missing_ok=True)
        progress.finish()
    return f"sha256:{hasher.hexdigest()}", size


def _put(file: BinaryIO, piece: bytes) -> None:
    file.write(piece)


def _archive(bundle: Bundle, told: bytes, at: Mapping[str, Path], progress: Progress) -> Iterator[bytes]:
    yield archives.header(bundles.NAME, len(told))
    yield told
    yield archives.padding(len(told))
    for name, digest, size in bundle.members:
        yield archives.header(name, size)
        hasher = blake3(max_threads=blake3.AUTO)
        for piece in _pieces(at[digest], name):
            hasher.update(piece)
            progress.advance(len(piece))
            yield piece
        if f"blake3:{hasher.hexdigest()}" != digest:
            raise IntegrityFailure(f"{at[digest]} changed while it was exported", hint="run the same command again")
        yield archives.padding(size)
    yield archives.finish()


def _record(
    engine: Engine,
    roots: Sequence[str],
    bundle: Bundle,
    blobs: Mapping[Path, tuple[str, Content]],
    stored: Mapping[int, Mapping[str, _Stored]],
    digest: str,
    actor: str,
) -> None:
    """That it left, and the SHA-256 under which it did."""
    kinds = {file.path: file for files in stored.values() for file in files.values()}
    known = [
        BlobRow(each, content.size, kinds[path].kind, content.sha256)
        for path, (each, content) in blobs.items()
        if kinds[path].digest is not None
    ]
    with writing(engine) as session:
        record_blobs(session, known)
        for root in roots:
            details = {"bundle": digest, "versions": [part.reference for part in bundle.parts]}
            events.append(session, actor=actor, action=ACTION, subject=root, details=details)


def files_of(part: Part) -> list[FileRow]:
    """The files of a version out of a bundle, as they are recorded."""
    return [FileRow(file.path, file.kind, file.size, blob_digest=file.blob) for file in part.files]
