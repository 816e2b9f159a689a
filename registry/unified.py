"""Merges by EMR: the vector that all their skills share, stored with the merge; making it, and opening it again."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from merging.methods import METHODS, Unified
from registry.home import Home
from registry.merges import record_merge, resolve_expression
from registry.opening import open_base, open_skill
from registry.quota import record_within, require_room
from registry.records.catalog import find_version_by_digest, refuse_other_kind
from registry.records.contents import BlobRow, FileRow, add_files, load_deltas, load_files
from registry.records.database import reading, writing
from registry.records.readiness import refuse_unready
from registry.records.tables import ModelVersion
from registry.resolved import Choices, ResolvedMerge
from registry.results import Merged
from storage.blobs import Blob
from storage.errors import IntegrityFailure
from storage.files import remove_tree
from storage.pipeline import thread_count
from storage.progress import Progress

if TYPE_CHECKING:
    from pathlib import Path

    from merging.passes.unified_writer import Written
    from storage.deltas.unified import UnifiedFile

FILE = "unified.safetensors"
KIND = "delta"
"""The file holds deltas, those of all skills at once."""


def keeps_vector(method: str | None) -> bool:
    """Whether merges by this method store a vector that all their skills share."""
    return method in METHODS and isinstance(METHODS[method].how, Unified)


def merge_unified(
    engine: Engine, home: Home, name: str, expression: str, choices: Choices, actor: str, progress: Progress
) -> Merged:
    """Name and version the recipe of an expression, and store its vector: first the bytes, then the records.

    The same recipe under the same name again is recognised; where its vector is damaged, it is made anew.
    """
    with reading(engine) as session:
        refuse_other_kind(session, name, "merge")
        resolved = _resolve(session, home, expression, choices)
        known = _known(session, home, name, resolved)
    if known:
        with writing(engine) as session:
            return record_merge(session, name, resolved, actor=actor)
    blob, told = _store(engine, home, resolved, progress)
    with writing(engine) as session:
        # As the names were meant when it began, whatever they have come to mean meanwhile.
        merged = record_merge(session, name, resolved, actor=actor, unified=told)
        version = find_version_by_digest(session, name, merged.recipe_digest)
        assert version is not None
        if merged.created:
            record_within(session, home, [BlobRow(blob.digest, blob.size, KIND)])
            add_files(session, version, [FileRow(FILE, KIND, blob.size, blob_digest=blob.digest)], actor=actor)
        elif _file(session, version).blob_digest != blob.digest:
            raise IntegrityFailure(
                f"the vector of {version.reference} is damaged, and is compressed otherwise when it is made anew",
                hint="restore the file from a backup, or merge under another name",
            )
    return merged


def open_unified(session: Session, home: Home, version: ModelVersion, *, verified: bool = False) -> UnifiedFile:
    """The stored vector of a merge; unless just ``verified``, its bytes are compared with their digest first.

    Raises IntegrityFailure when it is missing or damaged.
    """
    from storage.deltas.unified import UnifiedFile  # compiled kernels stand behind it

    digest = _file(session, version).blob_digest
    assert digest is not None
    blobs = home.blobs
    return UnifiedFile.open((blobs.path if verified else blobs.checked)(digest))


def check_recipe(file: UnifiedFile, resolved: ResolvedMerge) -> None:
    """Raise IntegrityFailure for a vector of other skills, or of another base, than the recipe's."""
    recipe = resolved.recipe
    skills = tuple(term.skill for term in recipe.terms)
    if (file.manifest.base, file.manifest.skills) != (recipe.base, skills):
        raise IntegrityFailure(
            f"{file.path} holds the vector of other skills than those of {resolved.expression!r}",
            hint="run `mergestore verify`",
        )


def _resolve(session: Session, home: Home, expression: str, choices: Choices) -> ResolvedMerge:
    resolved = resolve_expression(session, home, expression, choices)
    refuse_unready(session, *resolved.inputs)
    return resolved


def _known(session: Session, home: Home, name: str, resolved: ResolvedMerge) -> bool:
    """Whether this merge is there already, with a sound vector."""
    version = find_version_by_digest(session, name, resolved.recipe.digest)
    if version is None or version.kind != "merge":
        return False
    try:
        with open_unified(session, home, version) as file:
            check_recipe(file, resolved)
            return True
    except IntegrityFailure:
        return False


def _file(session: Session, version: ModelVersion) -> FileRow:
    found = next((file for file in load_files(session, version.id) if file.path == FILE), None)
    if found is None:
        raise IntegrityFailure(f"{version.reference}: the record of its file {FILE} is missing")
    return found


def write_vector(engine: Engine, home: Home, resolved: ResolvedMerge, path: Path, progress: Progress) -> Written:
    """Compute the vector of a merge into a file."""
    from merging.passes.unified_writer import write_unified
    from merging.plans.planning import make_plan

    with ExitStack() as stack:
        with reading(engine) as session:
            base = open_base(session, home, resolved.base)
            stack.callback(base.source.close)
            deltas = {skill.digest: stack.enter_context(open_skill(session, home, skill)) for skill in resolved.skills}
        plan = make_plan(resolved.recipe, base.source, base.digests, deltas)
        return write_unified(plan, path, thread_count(None), progress)


def _store(engine: Engine, home: Home, resolved: ResolvedMerge, progress: Progress) -> tuple[Blob, dict[str, Any]]:
    """The vector as a blob on the disk, and what is to be told of it."""
    scratch = home.blobs.scratch("unified")
    try:
        written = write_vector(engine, home, resolved, scratch, progress)
        require_room(engine, home, scratch.stat().st_size)
        blob = home.blobs.adopt(scratch)
    finally:
        remove_tree(scratch)
    with reading(engine) as session:
        sizes = load_deltas(session, (skill.id for skill in resolved.skills))
    return blob, _told(resolved, written, blob, {id_: delta.stored_bytes for id_, delta in sizes.items()})


def _told(resolved: ResolvedMerge, written: Written, blob: Blob, sizes: dict[int, int]) -> dict[str, Any]:
    """The vector's identity and size, that of the skills by themselves, and every skill's share."""
    shares = zip(resolved.skills, written.shares, strict=True)
    return {
        "digest": written.manifest.digest,
        "stored_bytes": blob.size,
        "vector_bytes": written.nbytes,
        "skills_bytes": sum(sizes[skill.id] for skill in resolved.skills),
        "skills": [
            {
                "skill": skill.reference,
                "scale": share.scale,
                "agreeing": share.agreeing / share.changed if share.changed else 0.0,
                "stored_bytes": share.nbytes,
                "skill_bytes": sizes[skill.id],
            }
            for skill, share in shares
        ],
    }
