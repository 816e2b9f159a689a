"""Registering base models: files first, durably, then one transaction with everything about them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine

from registry.declaration import Who, read_licence
from registry.home import Home
from registry.merged_input import link_merge
from registry.opening import refuse_unready
from registry.records.catalog import create_model_version, refuse_other_kind, versions
from registry.records.contents import (
    BlobRow,
    FileRow,
    TensorRow,
    add_files,
    add_tensors,
    record_blobs,
)
from registry.records.database import reading, writing
from registry.records.names import validate_name
from registry.results import RegisteredBase
from storage.blobs import BlobStore
from storage.checkpoints.checkpoint import Checkpoint, SafetensorsSource
from storage.checkpoints.inputs import pieces, source_digest, tensor_digests
from storage.checkpoints.safetensors_file import SafetensorsWriter, layout
from storage.checkpoints.safetensors_header import read_header
from storage.checkpoints.shards import SINGLE
from storage.checkpoints.tensors import TensorEntry, TensorSource
from storage.digests import json_digest
from storage.errors import InputRefused
from storage.files import copy_file
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
    with ExitStack() as stack:
        staged = _stage(home.blobs, checkpoint, stack, progress, reference=reference)
        opened = SafetensorsSource(Path("/"), staged.located())
        stack.callback(opened.close)
        digests = tensor_digests(opened, thread_count(None), progress, "hash base", str(checkpoint.root))
        files = staged.adopt(home.blobs)
    digest = source_digest(staged.tensors, digests)
    # The same weights with other files beside them, or in another place where they are only referenced, are another
    # version.
    attributes = {
        "files": companions_digest(files),
        "config": (checkpoint.config or {}).get("model_type"),
        "referenced": str(checkpoint.root.resolve()) if reference else None,
    }
    with writing(engine) as session:
        known = [each for each in versions(session, name) if (each.digest, each.attributes) == (digest, attributes)]
        version = known[-1] if known else None
        created = version is None
        if version is None:
            version = create_model_version(
                session,
                name=name,
                kind="base",
                digest=digest,
                actor=who.actor,
                licence=who.licence or read_licence(checkpoint.root),
                source=source,
                attributes=attributes,
            )
            record_blobs(session, _blob_rows(files))
            add_files(session, version, files, actor=who.actor)
            tensors = [_tensor_row(entry, digests) for entry in staged.tensors.values()]
            add_tensors(session, version, tensors, actor=who.actor)
            link_merge(session, version, checkpoint.root, digest, actor=who.actor)
        refuse_unready(version)
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
        )


@dataclass(frozen=True)
class _StagedFile:
    """A file of the base to be: its path in the model, and the copy (or the referenced original) to read."""

    path: str
    kind: str
    at: Path
    referenced: bool = False


@dataclass(frozen=True)
class _Staged:
    """Everything of a base in temporary files; nothing of it counts before it is checked and adopted."""

    files: tuple[_StagedFile, ...]
    tensors: Mapping[str, TensorEntry]

    def located(self) -> list[TensorEntry]:
        """The tensors where they can be read now."""
        at = {file.path: str(file.at) for file in self.files}
        return [dataclasses.replace(entry, file=at[entry.file]) for entry in self.tensors.values()]

    def adopt(self, blobs: BlobStore) -> list[FileRow]:
        """Make the files objects of the store."""
        rows = []
        for file in self.files:
            if file.referenced:
                rows.append(FileRow(file.path, file.kind, file.at.stat().st_size, referenced_path=str(file.at)))
            else:
                blob = blobs.adopt(file.at)
                rows.append(FileRow(file.path, file.kind, blob.size, blob_digest=blob.digest))
        return rows


def _stage(
    blobs: BlobStore, checkpoint: Checkpoint, stack: ExitStack, progress: Progress, *, reference: bool
) -> _Staged:
    def stage(path: Path, kind: str) -> _StagedFile:
        scratch = _scratch(blobs, stack)
        copy_file(checkpoint.root / path, scratch)
        progress.advance(scratch.stat().st_size)
        return _StagedFile(path.as_posix(), kind, scratch)

    copied = [*checkpoint.companions, *(() if reference or checkpoint.format == "pickle" else checkpoint.files)]
    progress.start("copy base", sum((checkpoint.root / path).stat().st_size for path in copied))
    try:
        companions = [stage(path, "companion") for path in checkpoint.companions]
        if reference:
            return _Staged((*companions, *_referenced(checkpoint)), dict(checkpoint.source.entries))
        if checkpoint.format == "pickle":
            return _converted(companions, checkpoint.source, _scratch(blobs, stack))
        weights = [stage(path, "weights") for path in checkpoint.files]
        return _Staged((*companions, *weights), dict(checkpoint.source.entries))
    finally:
        progress.finish()


def _scratch(blobs: BlobStore, stack: ExitStack) -> Path:
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
    return [_StagedFile(path.as_posix(), "weights", (root / path).resolve(), True) for path in checkpoint.files]


def _converted(companions: list[_StagedFile], source: TensorSource, scratch: Path) -> _Staged:
    """A pickled checkpoint is kept as one safetensors file, so that its tensors can be read by position."""
    specs = [(entry.name, entry.dtype, entry.shape) for entry in source.entries.values()]
    with SafetensorsWriter(scratch, specs, {"format": "pt"}) as writer:
        for name, _, _ in layout(specs):
            for piece in pieces(source, source.entries[name]):
                writer.write(name, piece)
    entries, _ = read_header(scratch)
    tensors = {name: dataclasses.replace(entry, file=SINGLE) for name, entry in entries.items()}
    return _Staged((*companions, _StagedFile(SINGLE, "weights", scratch)), tensors)


def companions_digest(files: Iterable[FileRow]) -> str:
    """Digest of the files that travel with a base's weights: sorted (path, digest) of each."""
    return json_digest(sorted([file.path, file.digest] for file in files if file.kind == "companion"))


def _blob_rows(files: Iterable[FileRow]) -> list[BlobRow]:
    return [BlobRow(file.blob_digest, file.size, file.kind) for file in files if file.blob_digest is not None]


def _tensor_row(entry: TensorEntry, digests: Mapping[str, str]) -> TensorRow:
    return TensorRow(
        entry.name, entry.dtype, entry.shape, digests[entry.name], entry.nbytes, file=entry.file, offset=entry.offset
    )
