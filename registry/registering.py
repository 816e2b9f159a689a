"""Registering base models and skills: bytes first, durably, then one transaction with everything about them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from registry.catalog import create_model_version, find_version_by_digest, resolve
from registry.contents import (
    BlobRow,
    DeltaRow,
    FileRow,
    TensorRow,
    add_delta,
    add_files,
    add_tensors,
    load_delta,
    record_blobs,
)
from registry.database import reading, writing
from registry.home import Home
from registry.lineage import add_lineage
from registry.names import parse_reference, validate_name
from registry.opening import open_base, refuse_unready
from registry.records import ModelVersion
from registry.results import RegisteredBase, RegisteredSkill, VersionRef
from storage.adapter import is_adapter, open_adapter
from storage.blobs import Blob, BlobStore
from storage.build import BaseModel, Built, build_delta
from storage.build_adapter import build_adapter_delta
from storage.checkpoint import Checkpoint, open_checkpoint
from storage.digests import json_digest
from storage.encode import EXACT, Coding, dare_coding
from storage.errors import InputRefused, UsageError
from storage.files import remove_tree
from storage.inputs import pieces, source_digest, tensor_digests
from storage.pipeline import thread_count
from storage.progress import Progress
from storage.safetensors_file import SafetensorsWriter, layout
from storage.safetensors_header import read_header
from storage.tensors import TensorEntry, TensorSource

_LICENCE = re.compile(r"^licen[sc]e:[ \t]*[\"']?([^\s\"'#]+)", re.MULTILINE)
ENCODINGS = ("dare", "exact", "lora")


@dataclass(frozen=True)
class Who:
    """Who registers, and under which licence the content comes."""

    actor: str
    licence: str | None = None


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


def register_skill(
    engine: Engine,
    home: Home,
    name: str,
    path: Path,
    who: Who,
    source: str,
    *,
    base: str,
    encoding: str | None,
    values: str,
    drop_rate: float,
    seed: int,
    allow_missing: bool,
    progress: Progress,
) -> RegisteredSkill:
    """Store the delta of a fine-tune as a skill of ``base``. The same delta again is recognised."""
    validate_name(name)
    adapter = is_adapter(path)
    chosen, coding = choose_coding(encoding, values, drop_rate, seed, adapter=adapter)
    with reading(engine) as session:
        base_version = resolve(session, parse_reference(base), kinds=("base",))
        refuse_unready(base_version)
        model = open_base(session, home, base_version)
    scratch = home.blobs.scratch("skill")
    try:
        with closing(model.source):
            built = _build(path, adapter, model, chosen, coding, scratch, progress, allow_missing)
        blob = home.blobs.adopt(scratch)
    finally:
        remove_tree(scratch)
    licence = who.licence or read_licence(path)
    with writing(engine) as session:
        return _record_skill(
            session, name, base_version, built, blob, Who(who.actor, licence), source, _elements(model.source)
        )


def choose_coding(
    encoding: str | None, values: str, drop_rate: float, seed: int, *, adapter: bool
) -> tuple[str, Coding]:
    """The encoding and coding that the options mean. Raises UsageError where they cannot go together."""
    chosen = encoding or ("lora" if adapter else "dare")
    if chosen not in ENCODINGS:
        raise UsageError(f"unknown encoding {chosen!r}", hint=f"choose one of {', '.join(ENCODINGS)}")
    if adapter != (chosen == "lora"):
        kind, fits = ("an adapter", "lora") if adapter else ("a checkpoint", "dare or exact")
        raise UsageError(f"{kind} cannot be stored with encoding {chosen!r}", hint=f"use {fits}, or leave it out")
    return chosen, dare_coding(drop_rate, seed, values) if chosen == "dare" else EXACT


def _build(
    path: Path,
    adapter: bool,
    base: BaseModel,
    encoding: str,
    coding: Coding,
    scratch: Path,
    progress: Progress,
    allow_missing: bool,
) -> Built:
    threads = thread_count(None)
    if adapter:
        with closing(open_adapter(path)) as opened:
            return build_adapter_delta(base, opened, scratch, threads=threads, progress=progress)
    with closing(open_checkpoint(path)) as checkpoint:
        return build_delta(
            base,
            checkpoint,
            encoding,
            coding,
            scratch,
            threads=threads,
            progress=progress,
            allow_missing=allow_missing,
        )


def _record_skill(
    session: Session, name: str, base: ModelVersion, built: Built, blob: Blob, who: Who, source: str, elements: int
) -> RegisteredSkill:
    manifest = built.manifest
    version = find_version_by_digest(session, name, manifest.digest)
    created = version is None
    if version is not None:
        refuse_unready(version)
    else:
        version = create_model_version(
            session,
            name=name,
            kind="skill",
            digest=manifest.digest,
            actor=who.actor,
            licence=who.licence,
            source=source,
            attributes={"notes": list(built.notes), "head": sorted(manifest.head)},
        )
        record_blobs(session, [BlobRow(blob.digest, blob.size, "delta")])
        add_files(
            session,
            version,
            [FileRow("delta.safetensors", "delta", blob.size, blob_digest=blob.digest)],
            actor=who.actor,
        )
        add_tensors(session, version, _skill_tensors(built), actor=who.actor)
        add_delta(session, version, _delta_row(base, built, blob), actor=who.actor)
        add_lineage(session, version, [(base, "base")], actor=who.actor)
    delta = load_delta(session, version.id)
    assert delta is not None
    return RegisteredSkill(
        name=name,
        version=version.version,
        digest=manifest.digest,
        base=VersionRef(base.name, base.version, base.digest),
        encoding=delta.encoding,
        values=delta.values,
        drop_rate=delta.drop_rate,
        seed=delta.seed,
        stored_bytes=delta.stored_bytes,
        bits_per_parameter=8 * delta.stored_bytes / max(1, elements),
        statistics=built.statistics,
        notes=list(built.notes),
        created=created,
        licence=version.licence,
        source=version.source or source,
    )


def _delta_row(base: ModelVersion, built: Built, blob: Blob) -> DeltaRow:
    manifest, coding = built.manifest, built.manifest.coding
    dare = coding if manifest.encoding == "dare" else None
    return DeltaRow(
        base_version_id=base.id,
        encoding=manifest.encoding,
        blob_digest=blob.digest,
        stored_bytes=blob.size,
        values=dare.values if dare else None,
        drop_rate=dare.drop_rate if dare else None,
        seed=dare.seed if dare else None,
        parameters={"prefix": manifest.prefix, "dropped_prefix": manifest.dropped_prefix},
        statistics={key: built.statistics[key] for key in ("total", "advice")},
    )


def _skill_tensors(built: Built) -> list[TensorRow]:
    statistics: Mapping[str, Any] = built.statistics["tensors"]
    return [
        TensorRow(name, each.fine_tuned_dtype, each.shape, each.fine_tuned, 0, statistics=statistics.get(name))
        for name, each in built.manifest.tensors.items()
    ]


def _elements(source: TensorSource) -> int:
    return sum(entry.elements for entry in source.entries.values())


def companions_digest(files: Iterable[FileRow]) -> str:
    """Digest of the files that travel with a base's weights: sorted (path, digest) of each."""
    return json_digest(sorted([file.path, file.digest] for file in files if file.kind == "companion"))


def read_licence(root: Path) -> str | None:
    """The licence that a model card beside the weights declares, in the Hugging Face front matter."""
    card = root / "README.md"
    try:
        text = card.read_text(errors="replace") if card.is_file() else ""
    except OSError:
        return None
    parts = text.split("---", 2)
    match = _LICENCE.search(parts[1]) if len(parts) == 3 and not parts[0].strip() else None
    return match[1] if match else None


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
