"""Registering base models: files first, durably, then one transaction with everything about them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine

from registry.catalog import create_model_version, find_version_by_digest
from registry.contents import (
    BlobRow,
    FileRow,
    TensorRow,
    add_files,
    add_tensors,
    record_blobs,
)
from registry.database import writing
from registry.declaration import Who, read_licence
from registry.home import Home
from registry.names import validate_name
from registry.results import RegisteredBase
from storage.blobs import Blob, BlobStore
from storage.checkpoint import Checkpoint
from storage.digests import json_digest
from storage.errors import InputRefused
from storage.inputs import pieces, source_digest, tensor_digests
from storage.pipeline import thread_count
from storage.progress import Progress
from storage.safetensors_file import SafetensorsWriter, layout
from storage.safetensors_header import read_header
from storage.tensors import TensorEntry, TensorSource


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
    validate_name(name)
    ingest = _reference if reference else _ingest
    files, tensors = ingest(home.blobs, checkpoint, progress)
    where = _Where(tuple(files), tensors)
    digests = tensor_digests(where.open(home), thread_count(None), progress, "hash base", str(checkpoint.root))
    digest = source_digest(tensors, digests)
    attributes = {"files": companions_digest(files), "config": (checkpoint.config or {}).get("model_type")}
    licence = who.licence or read_licence(checkpoint.root)
    with writing(engine) as session:
        version = find_version_by_digest(session, name, digest)
        created = version is None or version.attributes.get("files") != attributes["files"]
        if version is None or created:
            version = create_model_version(
                session,
                name=name,
                kind="base",
                digest=digest,
                actor=who.actor,
                licence=licence,
                source=source,
                attributes=attributes,
            )
            record_blobs(session, _blob_rows(files))
            add_files(session, version, files, actor=who.actor)
            add_tensors(session, version, [_tensor_row(entry, digests) for entry in tensors.values()], actor=who.actor)
        return RegisteredBase(
            name=name,
            version=version.version,
            digest=digest,
            tensors=len(tensors),
            parameters=sum(entry.elements for entry in tensors.values()),
            bytes=sum(entry.nbytes for entry in tensors.values()),
            created=created,
            referenced=reference,
            licence=version.licence,
            source=version.source or source,
        )


@dataclass(frozen=True)
class _Where:
    """Files of a base that is being registered, and the tensors in them by the files' own paths."""

    files: tuple[FileRow, ...]
    tensors: Mapping[str, TensorEntry]

    def open(self, home: Home) -> TensorSource:
        from registry.opening import place
        from storage.checkpoint import SafetensorsSource

        at = {file.path: str(place(home, file)) for file in self.files}
        entries = [
            TensorEntry(each.name, each.dtype, each.shape, at[each.file], each.offset, each.nbytes)
            for each in self.tensors.values()
        ]
        return SafetensorsSource(Path("/"), entries)


def _ingest(
    blobs: BlobStore, checkpoint: Checkpoint, progress: Progress
) -> tuple[list[FileRow], dict[str, TensorEntry]]:
    files = [_file_row(path, "companion", blobs.ingest(checkpoint.root / path)) for path in checkpoint.companions]
    if checkpoint.format == "pickle":
        blob, tensors = _convert(blobs, checkpoint.source)
        return [*files, _file_row(Path("model.safetensors"), "weights", blob)], tensors
    progress.start("copy base", sum((checkpoint.root / path).stat().st_size for path in checkpoint.files))
    try:
        for path in checkpoint.files:
            blob = blobs.ingest(checkpoint.root / path)
            files.append(_file_row(path, "weights", blob))
            progress.advance(blob.size)
    finally:
        progress.finish()
    return files, dict(checkpoint.source.entries)


def _convert(blobs: BlobStore, source: TensorSource) -> tuple[Blob, dict[str, TensorEntry]]:
    """A pickled checkpoint is kept as one safetensors file, so that its tensors can be read by position."""
    scratch = blobs.scratch("convert")
    try:
        specs = [(entry.name, entry.dtype, entry.shape) for entry in source.entries.values()]
        with SafetensorsWriter(scratch, specs, {"format": "pt"}) as writer:
            for name, _, _ in layout(specs):
                for piece in pieces(source, source.entries[name]):
                    writer.write(name, piece)
        entries, _ = read_header(scratch)
        found = {name: _in_file(entry, "model.safetensors") for name, entry in entries.items()}
        return blobs.adopt(scratch), found
    finally:
        scratch.unlink(missing_ok=True)


def _reference(
    blobs: BlobStore, checkpoint: Checkpoint, progress: Progress
) -> tuple[list[FileRow], dict[str, TensorEntry]]:
    if checkpoint.format == "pickle":
        raise InputRefused(
            f"{checkpoint.root}: a pickled model cannot be referenced in place",
            hint="register it without --reference: the store then keeps it as safetensors",
        )
    files = [_file_row(path, "companion", blobs.ingest(checkpoint.root / path)) for path in checkpoint.companions]
    for path in checkpoint.files:
        at = (checkpoint.root / path).resolve()
        files.append(FileRow(path.as_posix(), "weights", at.stat().st_size, referenced_path=str(at)))
    return files, dict(checkpoint.source.entries)


def companions_digest(files: Iterable[FileRow]) -> str:
    """Digest of the files that travel with a base's weights: sorted (path, digest) of each."""
    return json_digest(sorted([file.path, file.digest] for file in files if file.kind == "companion"))


def _blob_rows(files: Iterable[FileRow]) -> list[BlobRow]:
    return [BlobRow(file.blob_digest, file.size, file.kind) for file in files if file.blob_digest is not None]


def _file_row(path: Path, kind: str, blob: Blob) -> FileRow:
    return FileRow(path.as_posix(), kind, blob.size, blob_digest=blob.digest)


def _tensor_row(entry: TensorEntry, digests: Mapping[str, str]) -> TensorRow:
    return TensorRow(
        entry.name, entry.dtype, entry.shape, digests[entry.name], entry.nbytes, file=entry.file, offset=entry.offset
    )


def _in_file(entry: TensorEntry, file: str) -> TensorEntry:
    return TensorEntry(entry.name, entry.dtype, entry.shape, file, entry.offset, entry.nbytes)
