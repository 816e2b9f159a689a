"""What a backup says of itself: docs/format.md, section 8.6."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from registry.records.events import Head
from storage.blobs import Blob, BlobStore
from storage.bounded import count_marks, read_whole, refuse_marks
from storage.deltas.fields import Fields
from storage.errors import InputRefused, IntegrityFailure, NotFound, UsageError
from storage.files import write_file

MANIFEST = "manifest.json"
FORMAT, VERSION = "mergestore-backup", 1
_HIGHEST = 1 << 53
LARGEST, MARKS = 1 << 28, 12_000_000
"""Bytes and marks of a manifest: two million objects."""


@dataclass(frozen=True)
class Manifest:
    """A backup: which store, as it was when; its registry, policy and objects by their digests.

    ``lost``: objects that its records name and that were damaged or missing in the store already.
    """

    created_at: str
    software: str
    store_id: str
    schema: str
    head: Head
    registry: Blob
    policy: Blob | None
    objects: tuple[Blob, ...]
    lost: tuple[str, ...]

    def blobs(self) -> list[Blob]:
        """Everything that lies in the backup."""
        return [*self.objects, self.registry, *([self.policy] if self.policy is not None else [])]


def contents(folder: Path) -> BlobStore:
    """Where a backup keeps its bytes: as a store does, by their digests."""
    return BlobStore(folder / "objects", folder / "tmp")


def write(folder: Path, manifest: Manifest) -> None:
    """Put a manifest in the place of the one before, in one step. Raises UsageError for one that nobody would read."""
    document = {
        "format": FORMAT,
        "version": VERSION,
        "created_at": manifest.created_at,
        "software": manifest.software,
        "store_id": manifest.store_id,
        "schema": manifest.schema,
        "audit_head": {"sequence": manifest.head.sequence, "hash": manifest.head.hash},
        "registry": _spelled(manifest.registry),
        "policy": _spelled(manifest.policy) if manifest.policy is not None else None,
        "lost": list(manifest.lost),
    }
    # A line each, of which there may be a million.
    objects = ",\n  ".join(json.dumps(_spelled(each)) for each in manifest.objects)
    text = json.dumps(document, indent=1).removesuffix("\n}") + f',\n "objects": [\n  {objects}\n ]\n}}\n'
    data = text.encode()
    if len(data) > LARGEST or count_marks(data) > MARKS:
        raise UsageError(
            f"a backup of {len(manifest.objects):,} objects is one that nobody would read: its manifest is too large",
            hint="keep what is not needed in a store of its own (`export`, `import`), and back up both",
        )
    write_file(folder / MANIFEST, data)


def read(folder: Path) -> Manifest:
    """The manifest of a backup. Raises NotFound where there is none, IntegrityFailure for a damaged one."""
    path = folder / MANIFEST
    if not path.is_file():
        raise NotFound(f"there is no backup in {folder}: it has no {MANIFEST}", hint="name the folder of a backup")
    try:
        raw = read_whole(path, LARGEST)
        refuse_marks(raw, MARKS)
        document = json.loads(raw)
    except InputRefused as error:
        raise IntegrityFailure(f"the backup is damaged: {error.message}", hint="use another backup") from error
    except (ValueError, RecursionError) as error:
        raise IntegrityFailure(f"{path} is damaged: {error}", hint="use another backup") from error
    fields = Fields(document, str(path))
    fields.choice("format", (FORMAT,))
    fields.integer("version", VERSION, VERSION)
    head = Fields(fields.mapping("audit_head"), f"{path}: audit_head")
    return Manifest(
        created_at=fields.text("created_at"),
        software=fields.text("software"),
        store_id=fields.text("store_id"),
        schema=fields.text("schema"),
        head=Head(head.integer("sequence", 0, _HIGHEST), head.text("hash")),
        registry=_blob(fields.mapping("registry"), f"{path}: registry"),
        policy=_blob(document["policy"], f"{path}: policy") if document.get("policy") is not None else None,
        objects=tuple(_blob(each, f"{path}: objects") for each in _listed(fields, "objects")),
        lost=tuple(Fields({"digest": each}, f"{path}: lost").digest("digest") for each in _listed(fields, "lost")),
    )


def _spelled(blob: Blob) -> dict[str, Any]:
    return {"digest": blob.digest, "size": blob.size}


def _blob(document: Any, where: str) -> Blob:
    fields = Fields(document, where)
    return Blob(fields.digest("digest"), fields.integer("size", 0, _HIGHEST))


def _listed(fields: Fields, key: str) -> list[Any]:
    value = fields.document.get(key)
    if not isinstance(value, list):
        raise fields.fail(key, "a list")
    return value
