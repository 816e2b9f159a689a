"""Opening what is registered: a base's tensors, a skill's delta, ready to be read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy.orm import Session

from registry.home import Home
from registry.records.contents import FileRow, load_delta, load_files, load_tensors
from registry.records.statistics import find_statistics
from registry.records.tables import ModelVersion
from storage.checkpoints.checkpoint import SafetensorsSource
from storage.checkpoints.json_files import read_json_object
from storage.checkpoints.tensors import TensorEntry
from storage.deltas.base_model import BaseModel
from storage.errors import InputRefused, IntegrityFailure
from storage.files import regular_size
from storage.objects.contract import Objects, Ranges

if TYPE_CHECKING:
    from storage.deltas.delta import DeltaFile
    from storage.statistics.statistics_file import StatisticsFile


class _StoredSource(SafetensorsSource):
    """Files that were checked when they were registered: what is wrong with them now is damage, not bad input.

    ``remote``: those that are nowhere on this machine, and so are read by ranges. ``stored``: the objects that lie at
    the paths of others.
    """

    def __init__(
        self, entries: Iterable[TensorEntry], remote: dict[str, Ranges], stored: Mapping[str, str], blobs: Objects
    ):
        super().__init__(Path("/"), entries)
        self._remote = remote
        self._stored = stored
        self._blobs = blobs

    def read_into(self, name: str, start: int, out: memoryview) -> None:
        """Fill ``out`` with bytes of a tensor; IntegrityFailure where its file is missing or too short."""
        entry = self.entries[name]
        try:
            if entry.file not in self._remote:
                try:
                    return super().read_into(name, start, out)
                except InputRefused:
                    self._look_again(entry.file)
            if entry.file not in self._remote:
                return super().read_into(name, start, out)
            self._remote[entry.file].read_into(entry.offset + start, out.cast("B"))
        except InputRefused as error:
            message = f"tensor {name!r} cannot be read: {error.message}"
            raise IntegrityFailure(message, hint="run `mergestore verify`") from error

    def _look_again(self, file: str) -> None:
        """Read a file by ranges from now on, where its copy has made room for others before it was opened."""
        ranges = self._blobs.ranges(self._stored[file]) if file in self._stored else None
        if ranges is not None:
            self._remote.setdefault(file, ranges)


RESTORE_REFERENCED = "restore the file where it was, or register the base again from where it is now"
"""What to do about a file that is referenced where it lies, and is gone or changed."""


def place(home: Home, file: FileRow) -> Path:
    """Where a file of a version lies: among the objects, or where it was referenced. IntegrityFailure for no path."""
    if file.blob_digest is not None:
        return home.blobs.path(file.blob_digest)
    assert file.referenced_path is not None
    if "\0" in file.referenced_path:
        raise IntegrityFailure(
            f"{file.path} is recorded at no path: {file.referenced_path!r}", hint="run `mergestore verify`"
        )
    return Path(file.referenced_path)


def stored_size(home: Home, file: FileRow) -> int | None:
    """Bytes of a file of a version where it lies; None where it is gone."""
    if file.blob_digest is not None:
        return home.blobs.size(file.blob_digest)
    return regular_size(place(home, file))


def require_files(session: Session, home: Home, version: ModelVersion) -> None:
    """Raise IntegrityFailure for files of a version that are gone or of another size; their bytes are not read."""
    for file in load_files(session, version.id):
        found = stored_size(home, file)
        if found != file.size:
            what = "is missing" if found is None else f"has {found:,} bytes instead of {file.size:,}"
            where = file.referenced_path or f"object {file.blob_digest}"
            raise IntegrityFailure(f"{version.reference}: {file.path} {what}: {where}", hint="run `mergestore verify`")


def open_base(session: Session, home: Home, version: ModelVersion) -> BaseModel:
    """A registered base's tensors; the caller closes ``source``. Digests are checked as its bytes are used."""
    files = {file.path: file for file in load_files(session, version.id)}
    tensors = load_tensors(session, version.id)
    remote, stored, paths, entries = dict[str, Ranges](), dict[str, str](), dict[str, str](), []
    for file in files.values():
        if file.kind != "weights":
            continue
        ranges = home.blobs.ranges(file.blob_digest) if file.blob_digest is not None else None
        # An absolute path stands for itself whatever the source's root is.
        paths[file.path] = path = str(file.blob_digest if ranges is not None else place(home, file))
        if ranges is not None:
            remote[path] = ranges
        elif file.blob_digest is not None:
            stored[path] = file.blob_digest
    for tensor in tensors:
        if tensor.file is None or tensor.offset is None or tensor.file not in paths:
            raise IntegrityFailure(f"{version.reference}: tensor {tensor.name!r} has no file on record")
        path = paths[tensor.file]
        entries.append(TensorEntry(tensor.name, tensor.dtype, tensor.shape, path, tensor.offset, tensor.nbytes))
    config = files.get("config.json")
    return BaseModel(
        source=_StoredSource(entries, remote, stored, home.blobs),
        digests={tensor.name: tensor.digest for tensor in tensors},
        digest=version.digest,
        config=_read_config(place(home, config)) if config else None,
    )


def open_skill(session: Session, home: Home, version: ModelVersion, *, verified: bool = False) -> DeltaFile:
    """A registered skill's delta; unless just ``verified``, its bytes are compared with their digest first.

    Raises IntegrityFailure when the file is missing or damaged.
    """
    from storage.deltas.delta import DeltaFile  # compiled kernels stand behind it: half a second to load

    record = load_delta(session, version.id)
    if record is None:
        raise IntegrityFailure(f"{version.reference}: the record of its delta is missing")
    blobs = home.blobs
    delta = DeltaFile.open((blobs.path if verified else blobs.checked)(record.blob_digest))
    if delta.manifest.digest != version.digest:
        delta.close()
        raise IntegrityFailure(
            f"{version.reference}: its file holds the skill {delta.manifest.digest}, recorded is {version.digest}"
        )
    return delta


def open_statistics(session: Session, home: Home, digest: str, *, verified: bool = False) -> StatisticsFile:
    """Statistics of this digest; unless just ``verified``, their bytes are compared with what is on record.

    Raises NotFound where they were never recorded here, IntegrityFailure when their file is missing or damaged.
    """
    from storage.statistics.statistics_file import StatisticsFile  # numpy stands behind it

    record = find_statistics(session, digest)
    blobs = home.blobs
    file = StatisticsFile.open((blobs.path if verified else blobs.checked)(record.blob_digest))
    if file.manifest.digest != digest:
        file.close()
        raise IntegrityFailure(f"{file.path} holds the statistics {file.manifest.digest}, recorded is {digest}")
    return file


def _read_config(path: Path) -> dict[str, Any]:
    try:
        return read_json_object(path, unique=False)
    except InputRefused as error:
        raise IntegrityFailure(f"stored config.json cannot be read: {error.message}") from error
