"""Registering base models: files first, durably, then one transaction with everything about them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from registry.home import Home
from registry.provenance.messages import add_training
from registry.quota import record_within, require_room
from registry.records.catalog import create_model_version, refuse_other_kind, versions
from registry.records.contents import (
    FileRow,
    TensorRow,
    add_files,
    add_tensors,
)
from registry.records.database import reading, writing
from registry.records.imports import IMPORTED
from registry.records.names import validate_name
from registry.records.readiness import refuse_unready
from registry.records.tables import ModelVersion
from registry.registering.declaration import Who, recorded_notes, stated_licence
from registry.registering.merged_input import link_merge
from registry.registering.training import read_training
from registry.results import RegisteredBase
from registry.tokens.companion_files import blob_rows, companions_digest
from storage.blobs import Blob
from storage.checkpoints.checkpoint import Checkpoint, SafetensorsSource
from storage.checkpoints.copying import copy_hashed
from storage.checkpoints.inputs import pieces, source_digest, tensor_digests
from storage.checkpoints.safetensors_file import SafetensorsWriter, layout
from storage.checkpoints.safetensors_header import read_header
from storage.checkpoints.shards import SINGLE
from storage.checkpoints.tensors import TensorEntry, TensorSource
from storage.errors import InputRefused
from storage.objects.contract import Objects
from storage.pipeline import thread_count
from storage.progress import Progress


def register_base(
    engine: Engine,
    home: Home,
    name: str,
    checkpoint: Checkpoint,
    who: Who,
    source: str,
    *,
    reference: bool,
    progress: Progress,
) -> RegisteredBase:
    """Take a base model into the store, or note where it lies. The same content again is recognised."""
    with reading(engine) as session:
        refuse_other_kind(session, validate_name(name), "base")
    kept = checkpoint.companions if reference else (*checkpoint.companions, *checkpoint.files)
    require_room(engine, home, sum((checkpoint.root / path).stat().st_size for path in kept))
    with ExitStack() as stack:
        staged = _stage(home.blobs, checkpoint, stack, progress, reference=reference)
        files = staged.adopt(home.blobs)
    digests = staged.digests
    digest = source_digest(staged.tensors, digests)
    # The same weights with other files beside them, or in another place where they are only referenced, are another
    # version.
    attributes = {
        "files": companions_digest(files),
        "config": (checkpoint.config or {}).get("model_type"),
        "referenced": str(checkpoint.root.resolve()) if reference else None,
    }
    training, unread = read_training(checkpoint.root, who.meta)
    licence, unclear = stated_licence(who.licence, training)
    with writing(engine) as session:
        known = [each for each in versions(session, name) if _is_known(each, digest, attributes)]
        version = known[-1] if known else None
        created = version is None
        if version is None:
            version = create_model_version(
                session,
                name=name,
                kind="base",
                digest=digest,
                actor=who.actor,
                licence=licence,
                source=source,
                attributes=attributes | ({"training": training} if training else {}),
            )
            record_within(session, home, blob_rows(files))
            add_files(session, version, files, actor=who.actor)
            tensors = [tensor_row(entry, digests) for entry in staged.tensors.values()]
            add_tensors(session, version, tensors, actor=who.actor)
            link_merge(session, version, checkpoint.root, digest, actor=who.actor)
        refuse_unready(session, version)
        add_training(session, version)
        return RegisteredBase(
            name=name,
            version=version.version,
            digest=digest,
            tensors=len(staged.tensors),
            parameters=sum(entry.elements for entry in staged.tensors.values()),
            bytes=sum(entry.nbytes for entry in staged.tensors.values()),
            created=created,
            referenced=reference,
            licence=version.licence,
            source=version.source or source,
            notes=[*unread, *unclear, *recorded_notes(version, licence, training)],
        )


def _is_known(version: ModelVersion, digest: str, attributes: Mapping[str, Any]) -> bool:
    own = {key: value for key, value in version.attributes.items() if key not in ("training", IMPORTED)}
    return (version.digest, own) == (digest, attributes)


@dataclass(frozen=True)
class _StagedFile:
    """A file of the base to be: its path in the model, and the copy (or the referenced original) to read.

    ``blob`` is what the copy hashes to, where that was taken while it was written.
    """

    path: str
    kind: str
    at: Path
    blob: Blob | None = None
    referenced: bool = False


@dataclass(frozen=True)
class _Staged:
    """Everything of a base in temporary files, checked; nothing of it counts before it is adopted."""

    files: tuple[_StagedFile, ...]
    tensors: Mapping[str, TensorEntry]
    digests: Mapping[str, str]

    def adopt(self, blobs: Objects) -> list[FileRow]:
        """Make the files objects of the store."""
        rows = []
        for file in self.files:
            if file.referenced:
                rows.append(FileRow(file.path, file.kind, file.at.stat().st_size, referenced_path=str(file.at)))
            else:
                blob = blobs.adopt(file.at, file.blob)
                rows.append(FileRow(file.path, file.kind, blob.size, blob_digest=blob.digest))
        return rows


def _stage(blobs: Objects, checkpoint: Checkpoint, stack: ExitStack, progress: Progress, *, reference: bool) -> _Staged:
    """Copy what is to be copied, and hash every tensor: in the same reading, unless the weights are not copied."""
    root, tensors = checkpoint.root, checkpoint.source.entries
    in_place = reference or checkpoint.format == "pickle"
    digests: dict[str, str] = {}

    def refuse_changed(name: str) -> None:
        if isinstance(checkpoint.source, SafetensorsSource):
            checkpoint.source.refuse_changed(name)

    def stage(path: Path, kind: str) -> _StagedFile:
        name, scratch = path.as_posix(), _scratch(blobs, stack)
        held = [entry for entry in tensors.values() if entry.file == name] if kind == "weights" else []
        try:
            copied = copy_hashed(
                root / path, scratch, held, where=str(root), threads=thread_count(None), advance=progress.advance
            )
        except InputRefused:
            refuse_changed(name)  # that is then what is wrong
            raise
        refuse_changed(name)  # or what was read stands under another file's header
        digests.update(copied.tensors)
        return _StagedFile(name, kind, scratch, copied.blob)

    weights = () if in_place else checkpoint.files
    progress.start(
        "copy and hash base", sum((root / path).stat().st_size for path in (*checkpoint.companions, *weights))
    )
    try:
        files = [stage(path, "companion") for path in checkpoint.companions]
        files += [stage(path, "weights") for path in weights]
    finally:
        progress.finish()
    if not in_place:
        return _Staged(tuple(files), dict(tensors), digests)
    kept = _referenced(checkpoint) if reference else [_converted(checkpoint.source, _scratch(blobs, stack))]
    return _hashed(files, kept, checkpoint, progress)


def _scratch(blobs: Objects, stack: ExitStack) -> Path:
    scratch = blobs.scratch("base")
    stack.callback(scratch.unlink, missing_ok=True)
    return scratch


def _referenced(checkpoint: Checkpoint) -> list[_StagedFile]:
    if checkpoint.format == "pickle":
        raise InputRefused(
            f"{checkpoint.root}: a pickled model cannot be referenced in place",
            hint="register it without --reference: the store then keeps it as safetensors",
        )
    root = checkpoint.root
    return [
        _StagedFile(path.as_posix(), "weights", (root / path).resolve(), referenced=True) for path in checkpoint.files
    ]


def _converted(source: TensorSource, scratch: Path) -> _StagedFile:
    """A pickled checkpoint is kept as one safetensors file, so that its tensors can be read by position."""
    specs = [(entry.name, entry.dtype, entry.shape) for entry in source.entries.values()]
    with SafetensorsWriter(scratch, specs, {"format": "pt"}) as writer:
        for name, _, _ in layout(specs):
            for piece in pieces(source, source.entries[name]):
                writer.write(name, piece)
    return _StagedFile(SINGLE, "weights", scratch)


def _hashed(
    companions: Sequence[_StagedFile], weights: Sequence[_StagedFile], checkpoint: Checkpoint, progress: Progress
) -> _Staged:
    """Weights that lie where they will be read, with the digests of their tensors."""
    tensors: dict[str, TensorEntry] = {}
    for file in weights:
        entries, _ = read_header(file.at)
        tensors |= {name: dataclasses.replace(entry, file=file.path) for name, entry in entries.items()}
    at = {file.path: str(file.at) for file in weights}
    located = [dataclasses.replace(entry, file=at[entry.file]) for entry in tensors.values()]
    with closing(SafetensorsSource(Path("/"), located)) as opened:
        digests = tensor_digests(opened, thread_count(None), progress, "hash base", str(checkpoint.root))
    return _Staged((*companions, *weights), tensors, digests)


def tensor_row(entry: TensorEntry, digests: Mapping[str, str]) -> TensorRow:
    """What is recorded of a tensor of a base."""
    return TensorRow(
        entry.name, entry.dtype, entry.shape, digests[entry.name], entry.nbytes, file=entry.file, offset=entry.offset
    )
