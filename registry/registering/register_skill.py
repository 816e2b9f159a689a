"""Registering skills: a fine-tune becomes a delta on disk, then a version with its base, statistics and lineage."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from registry.home import Home
from registry.opening import open_base
from registry.provenance.messages import add_training
from registry.quota import record_within, require_room
from registry.records.catalog import create_model_version, refuse_other_kind, resolve, versions
from registry.records.contents import (
    FileRow,
    add_delta,
    add_files,
    add_tensors,
    load_delta,
    load_files,
)
from registry.records.database import reading, writing
from registry.records.lineage import add_lineage
from registry.records.names import parse_reference, validate_name
from registry.records.readiness import refuse_unready
from registry.records.tables import ModelVersion
from registry.registering.adapter_content import adapter_content
from registry.registering.coding_options import CodingOptions, choose_coding
from registry.registering.declaration import Who, recorded_notes, stated_licence
from registry.registering.merged_input import link_merge
from registry.registering.skill_rows import delta_row, skill_tensors
from registry.registering.training import read_training
from registry.results import RegisteredSkill, VersionRef
from registry.tokens.companion_files import blob_rows, companions_digest, keep_companions
from registry.tokens.vocabulary import added_tokens
from storage.checkpoints.adapter import is_adapter, open_adapter
from storage.checkpoints.checkpoint import open_checkpoint
from storage.checkpoints.companions import companions
from storage.checkpoints.tensors import TensorSource
from storage.deltas.build import BaseModel, Built, build_delta
from storage.deltas.build_adapter import build_adapter_delta
from storage.encodings.coding import Coding
from storage.files import remove_tree
from storage.pipeline import thread_count
from storage.progress import Progress, Silent

Kept = tuple[Path, Sequence[Path]]  # a folder, and the files in it that are kept

DELTA_FILE = "delta.safetensors"


def register_skill(
    engine: Engine,
    home: Home,
    name: str,
    path: Path,
    who: Who,
    source: str,
    *,
    base: str,
    options: CodingOptions,
    allow_missing: bool,
    progress: Progress,
) -> RegisteredSkill:
    """Store the delta of a fine-tune as a skill of ``base``. The same delta again is recognised."""
    validate_name(name)
    adapter = is_adapter(path)
    chosen, coding = choose_coding(options, adapter=adapter)
    with reading(engine) as session:
        refuse_other_kind(session, name, "skill")
        base_version = resolve(session, parse_reference(base), kinds=("base",))
        refuse_unready(session, base_version)
        model = open_base(session, home, base_version)
        base_files = load_files(session, base_version.id)
    scratch = home.blobs.scratch("skill")
    try:
        with closing(model.source):
            built, kept = build(path, adapter, model, chosen, coding, scratch, progress, allow_missing)
        require_room(engine, home, scratch.stat().st_size)
        files = keep_companions(home.blobs, *kept)
        blob = home.blobs.adopt(scratch)
    finally:
        remove_tree(scratch)
    training, unread = read_training(path, who.meta)
    licence, unclear = stated_licence(who.licence, training)
    tokens, note = added_tokens(home, base_files, files)
    content = adapter_content(path, Silent()) if adapter else None
    built = dataclasses.replace(built, notes=(*built.notes, *filter(None, [note]), *unread, *unclear))
    with writing(engine) as session:
        return _record_skill(
            session,
            home,
            name,
            base_version,
            built,
            ({"tokens": len(tokens)} if tokens else {}) | ({"adapter": content} if content else {}),
            [*files, FileRow(DELTA_FILE, "delta", blob.size, blob_digest=blob.digest)],
            Who(who.actor, licence),
            training,
            source,
            path,
            _elements(model.source),
        )


def build(
    path: Path,
    adapter: bool,
    base: BaseModel,
    encoding: str,
    coding: Coding,
    scratch: Path,
    progress: Progress,
    allow_missing: bool,
) -> tuple[Built, Kept]:
    """The delta in ``scratch``, and the files beside the weights that are kept with it."""
    threads = thread_count(None)
    if adapter:
        with closing(open_adapter(path)) as opened:
            built = build_adapter_delta(base, opened, scratch, threads=threads, progress=progress)
            return built, (opened.root, companions(opened.root, None, sentence_transformers=False))
    with closing(open_checkpoint(path)) as checkpoint:
        built = build_delta(
            base,
            checkpoint,
            encoding,
            coding,
            scratch,
            threads=threads,
            progress=progress,
            allow_missing=allow_missing,
        )
        return built, (checkpoint.root, checkpoint.companions)


def _record_skill(
    session: Session,
    home: Home,
    name: str,
    base: ModelVersion,
    built: Built,
    more: Mapping[str, Any],
    files: Sequence[FileRow],
    who: Who,
    training: Mapping[str, Any],
    source: str,
    path: Path,
    elements: int,
) -> RegisteredSkill:
    manifest = built.manifest
    # The same delta with other files beside it is another version, as it is of a base.
    attributes: dict[str, Any] = {
        "notes": list(built.notes),
        "head": sorted(manifest.head),
        "fine_tuned": manifest.fine_tuned,
    }
    attributes |= {"files": companions_digest(files)} if len(files) > 1 else {}
    attributes |= {"grown": list(manifest.grown)} if manifest.grown else {}
    attributes |= more
    attributes |= {"training": dict(training)} if training else {}
    known = [each for each in versions(session, name) if _is_known(each, manifest.digest, attributes)]
    version = known[-1] if known else None
    created = version is None
    if version is not None:
        refuse_unready(session, version)
    else:
        version = create_model_version(
            session,
            name=name,
            kind="skill",
            digest=manifest.digest,
            actor=who.actor,
            licence=who.licence,
            source=source,
            attributes=attributes,
        )
        record_within(session, home, blob_rows(files))
        add_files(session, version, files, actor=who.actor)
        add_tensors(session, version, skill_tensors(manifest, built.statistics), actor=who.actor)
        add_delta(session, version, delta_row(base.id, manifest, built.statistics, files[-1]), actor=who.actor)
        add_lineage(session, version, [(base, "base")], actor=who.actor)
        link_merge(session, version, path, manifest.fine_tuned, actor=who.actor)
        refuse_unready(session, version)  # what came of something that is out of use is out of use itself
    add_training(session, version)
    delta = load_delta(session, version.id)
    assert delta is not None
    base = session.get_one(ModelVersion, delta.base_version_id)
    notes = list(built.notes)
    notes += recorded_notes(version, who.licence, training)
    return RegisteredSkill(
        name=name,
        version=version.version,
        digest=manifest.digest,
        base=VersionRef(base.name, base.version, base.digest),
        encoding=delta.encoding,
        values=delta.values,
        drop_rate=delta.drop_rate,
        seed=delta.seed,
        density=delta.parameters.get("density"),
        trim=delta.parameters.get("trim"),
        stored_bytes=delta.stored_bytes,
        bits_per_parameter=8 * delta.stored_bytes / max(1, elements),
        statistics=built.statistics,
        notes=notes,
        created=created,
        licence=version.licence,
        source=version.source or source,
    )


def _is_known(version: ModelVersion, digest: str, attributes: Mapping[str, Any]) -> bool:
    return version.digest == digest and version.attributes.get("files") == attributes.get("files")


def _elements(source: TensorSource) -> int:
    return sum(entry.elements for entry in source.entries.values())
