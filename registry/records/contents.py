"""What a version is made of: its files and their blobs, its tensors, and the delta of a skill.

Order matters: the version first, then its files, then the tensors that lie in them, then its delta.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from registry.records import events, leases
from registry.records.columns import Known, batches
from registry.records.tables import Blob, Delta, ModelVersion, Tensor, VersionFile
from storage.errors import InputRefused


@dataclass(frozen=True)
class BlobRow:
    """A stored file: BLAKE3 digest, bytes, its kind (weights, companion, delta, statistics), SHA-256 if known."""

    digest: str
    size: int
    kind: str
    sha256: str | None = None


@dataclass(frozen=True)
class FileRow:
    """A file of a version, by its path in it: in the blob of this digest, or where it lies outside."""

    path: str
    kind: str
    size: int
    blob_digest: str | None = None
    referenced_path: str | None = None
    referenced_digest: str | None = None

    @property
    def digest(self) -> str | None:
        """Digest of the file's bytes; None for a referenced file that was not hashed as a whole."""
        return self.blob_digest or self.referenced_digest


@dataclass(frozen=True)
class TensorRow:
    """A tensor of a version; ``file`` and ``offset`` (bytes) are None when its bytes lie nowhere by themselves."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    digest: str
    nbytes: int
    file: str | None = None
    offset: int | None = None
    statistics: dict[str, Any] | None = None


@dataclass(frozen=True)
class DeltaRow:
    """How a skill's delta is stored, and what was measured on it. ``values`` to ``seed`` are DARE's."""

    base_version_id: int
    encoding: str
    blob_digest: str
    stored_bytes: int
    values: str | None
    drop_rate: float | None
    seed: int | None
    parameters: dict[str, Any]
    statistics: dict[str, Any]


def record_blobs(session: Session, blobs: Iterable[BlobRow]) -> None:
    """Make sure that every blob has its row; one that is known only gains a SHA-256 it lacked.

    Has no audit event of its own: a blob means nothing until a version names it. Raises Conflict where whoever stored
    them stood still for so long that they may be deleted by now.
    """
    leases.require_relied(session)
    wanted = {blob.digest: blob for blob in blobs}
    for batch in batches(sorted(wanted)):
        for known in session.scalars(select(Blob).where(Blob.digest.in_(batch))):
            again = wanted.pop(known.digest)
            known.sha256 = known.sha256 or again.sha256
    session.add_all(Blob(**asdict(blob)) for blob in wanted.values())
    session.flush()


def recorded_sha256(session: Session, digests: Iterable[str]) -> dict[str, str]:
    """The SHA-256 of those of these blobs that it was taken of."""
    found: dict[str, str] = {}
    for batch in batches(sorted(set(digests))):
        rows = session.execute(select(Blob.digest, Blob.sha256).where(Blob.digest.in_(batch)))
        found |= {digest: sha256 for digest, sha256 in rows if sha256 is not None}
    return found


def add_files(session: Session, version: ModelVersion, files: Sequence[FileRow], *, actor: str) -> None:
    """Record the files of a version; their blobs must be recorded before."""
    rows = [{"version_id": version.id, **asdict(file)} for file in files]
    if rows:
        session.execute(insert(VersionFile), rows)
    named = {file.path: file.digest for file in files}
    details = {"files": named, "rows": events.fingerprint(map(asdict, files))}
    events.append(session, actor=actor, action="files.add", subject=version.reference, details=details)


def load_files(session: Session, version_id: int) -> list[FileRow]:
    """The files of a version, in order of their paths."""
    query = select(VersionFile).where(VersionFile.version_id == version_id)
    rows = (
        FileRow(each.path, each.kind, each.size, each.blob_digest, each.referenced_path, each.referenced_digest)
        for each in session.scalars(query)
    )
    return sorted(rows, key=lambda row: row.path)


def add_tensors(session: Session, version: ModelVersion, tensors: Sequence[TensorRow], *, actor: str) -> None:
    """Record the tensors of a version in bulk; InputRefused for a name that a database cannot hold."""
    for tensor in tensors:
        if "\x00" in tensor.name:
            raise InputRefused(f"the tensor name {tensor.name!r} holds a NUL character")
    rows = [{"version_id": version.id, **asdict(tensor), "shape": list(tensor.shape)} for tensor in tensors]
    if rows:
        session.execute(insert(Tensor), rows)
    details = {"tensors": len(tensors), "rows": events.fingerprint(map(asdict, tensors))}
    events.append(session, actor=actor, action="tensors.add", subject=version.reference, details=details)


def load_tensors(session: Session, version_id: int) -> list[TensorRow]:
    """The tensors of a version, in order of their names (by code point, as everywhere)."""
    columns = (
        Tensor.name,
        Tensor.dtype,
        Tensor.shape,
        Tensor.digest,
        Tensor.nbytes,
        Tensor.file,
        Tensor.offset,
        Tensor.statistics,
    )
    found = session.execute(select(*columns).where(Tensor.version_id == version_id)).all()
    rows = (TensorRow(row[0], row[1], tuple(row[2]), *row[3:]) for row in found)
    return sorted(rows, key=lambda row: row.name)


def add_delta(session: Session, version: ModelVersion, delta: DeltaRow, *, actor: str) -> Delta:
    """Record the delta that makes a version a skill; its blob must be recorded before."""
    record = Delta(version_id=version.id, **asdict(delta))
    session.add(record)
    session.flush()
    details = {
        "base": session.get_one(ModelVersion, delta.base_version_id).reference,
        "blob": delta.blob_digest,
        "encoding": delta.encoding,
        "values": delta.values,
        "drop_rate": delta.drop_rate,
        "seed": delta.seed,
        "rows": events.fingerprint([asdict(delta)]),
    }
    events.append(session, actor=actor, action="delta.add", subject=version.reference, details=details)
    return record


def coding_facts(delta: Delta) -> dict[str, Any]:
    """How a skill's delta is stored, as JSON-ready values; None where its encoding has no such choice."""
    return {
        "encoding": delta.encoding,
        "values": delta.values,
        "drop_rate": delta.drop_rate,
        "seed": delta.seed,
        "density": delta.parameters.get("density"),
        "trim": delta.parameters.get("trim"),
    }


def load_delta(session: Session, version_id: int) -> Delta | None:
    """The delta of a skill's version; None for any other kind."""
    return session.get(Delta, version_id)


def load_deltas(session: Session, version_ids: Iterable[int]) -> dict[int, Delta]:
    """The deltas of many versions, by version; those that are not skills have none."""
    found: Known[int, Delta] = Known()
    for batch in batches(sorted(set(version_ids))):
        rows = session.scalars(select(Delta).where(Delta.version_id.in_(batch)))
        found.update((delta.version_id, delta) for delta in rows)
    return found
