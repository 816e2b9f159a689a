"""Files that travel with a version's weights: keeping them, their digest, and whose a result is published with."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from registry.home import Home
from registry.opening import place
from registry.records.contents import BlobRow, FileRow
from storage.blobs import hash_file
from storage.bounded import JSON, read_whole
from storage.checkpoints.companions import GENERATION, is_tokenizer
from storage.digests import json_digest
from storage.errors import IntegrityFailure
from storage.objects.contract import Objects

COMPANION = "companion"


def companions_digest(files: Iterable[FileRow]) -> str:
    """Digest of the files that travel with a model's weights: sorted (path, digest) of each."""
    return json_digest(sorted([file.path, file.digest] for file in files if file.kind == COMPANION))


def keep_companions(blobs: Objects, root: Path, paths: Iterable[Path]) -> list[FileRow]:
    """Copy files into the store; those that it has already are stored once."""
    from storage.checkpoints.copying import copy_hashed  # numpy stands behind it: only where something is registered

    rows = []
    for path in paths:
        scratch = blobs.scratch("companion")
        try:
            copied = copy_hashed(root / path, scratch, where=str(root), threads=1, advance=lambda _: None)
            blob = blobs.adopt(scratch, copied.blob)
        finally:
            scratch.unlink(missing_ok=True)
        rows.append(FileRow(path.as_posix(), COMPANION, blob.size, blob_digest=blob.digest))
    return rows


def blob_rows(files: Iterable[FileRow]) -> list[BlobRow]:
    """The blobs that files lie in."""
    return [BlobRow(file.blob_digest, file.size, file.kind) for file in files if file.blob_digest is not None]


def chosen_files(base: Sequence[FileRow], tokenizer: Sequence[FileRow], generation: Sequence[FileRow]) -> list[FileRow]:
    """The companion files of a result: the base's, but the tokenizer and the generation config of whoever is named."""
    kept = [file for file in base if not is_tokenizer(file.path) and file.path != GENERATION]
    kept += [file for file in tokenizer if is_tokenizer(file.path)]
    kept += [file for file in generation if file.path == GENERATION]
    return sorted((file for file in kept if file.kind == COMPANION), key=lambda file: file.path)


def read_companion(home: Home, file: FileRow) -> bytes:
    """A stored companion file's bytes. Raises IntegrityFailure where they are not what they were, InputRefused
    where they are more than a tokenizer can be.
    """
    path = place(home, file)
    found = hash_file(path).digest if path.is_file() else "missing"
    if found != file.digest:
        raise IntegrityFailure(
            f"the stored file {file.path!r} is damaged: it hashes to {found}, recorded is {file.digest}",
            hint="run `mergestore verify`; register its model again from a good copy",
        )
    return read_whole(path, JSON)
