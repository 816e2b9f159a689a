"""The stored vector of an EMR merge: one valid safetensors file from which each skill's model is computed. Reading it.

metadata  mergestore.unified     canonical JSON of the manifest (``storage.deltas.unified_manifest``)
tensors   unified/<tensor>       uint8 payload of chunk frames: the unified values
          mask/<k>/<tensor>      uint8 payload of chunk frames: the bits of the k-th skill's mask
          skill/<k>              uint8 payload of one frame: the manifest of the k-th skill's own delta
          head/<k>/<name>        tensors of the k-th skill that the base lacks, as they were
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from blake3 import blake3

from storage.blobs import open_blob
from storage.checkpoints.inputs import check_digest, digest_of
from storage.checkpoints.payloads import ContentHash
from storage.checkpoints.safetensors_file import read_header
from storage.checkpoints.tensors import TensorEntry
from storage.deltas.delta import DeltaFile
from storage.deltas.manifest import Manifest
from storage.deltas.unified_manifest import UnifiedManifest, UnifiedTensor
from storage.digests import blake3_digest, canonical_json, parse_json
from storage.encodings import unified
from storage.encodings.chunks import KeptChunk, dense
from storage.encodings.coding import EXACT
from storage.encodings.frames import CHUNK, FrameTable, chunk_span, read_exactly, read_frame, read_table
from storage.encodings.numeric import Bits, Floats
from storage.errors import InputRefused, IntegrityFailure

MANIFEST_KEY = "mergestore.unified"
_LARGEST_MANIFEST = 100_000_000
MANIFESTS = 400_000_000  # bytes of the manifests of all skills
_PIECE = 8 << 20
_HINT = "restore the file from a backup, or merge again under another name"


@dataclass(frozen=True)
class StoredTensor:
    """One tensor of the stored vector under one skill's mask; safe to use from several threads."""

    tensor: UnifiedTensor
    fd: int
    values: FrameTable
    mask: FrameTable
    where: str

    def chunk(self, index: int, base: Bits) -> Floats:
        """M⊙τ_uni of the ``index``-th chunk; ``base``: its bits in the base. Raises IntegrityFailure for damage."""
        start, count = chunk_span(index, self.tensor.elements)
        data = read_frame(self.fd, self.values.frames[index], self.where)
        bits = read_frame(self.fd, self.mask.frames[index], self.where)
        try:
            if self.tensor.fine_tuned_dtype is None:
                values = unified.unpack_values(data, count)
            else:
                dtypes = (self.tensor.dtype, self.tensor.fine_tuned_dtype)
                values = dense(KeptChunk(data, EXACT, 0, start, count, *dtypes, self.where), base)
            return unified.masked(unified.unpack_mask(bits, values), values)
        except ValueError as error:
            raise IntegrityFailure(f"{self.where}: {error}", hint=_HINT) from error


class StoredSkill(DeltaFile):
    """One skill as the stored vector has it: its manifest and its head, as its own delta file has them.

    Its own delta it gives by ``tensor``, as EMR approximates it; ``scale`` is λ.
    """

    def __init__(self, file: UnifiedFile, place: int):
        self.path = file.path
        self.manifest = file.manifests[place]
        self.statistics: dict[str, Any] = {}
        self.scale = file.manifest.scales[place]
        self._file, self._place = file, place

    def term(self, name: str) -> None:
        """None: the delta itself is not stored here."""

    def tensor(self, name: str) -> StoredTensor | None:
        """M⊙τ_uni of one base tensor, or None where the skill has the base's own bits."""
        return self._file.tensor(self._place, name)

    def head(self, name: str) -> tuple[TensorEntry, int]:
        """Entry and file descriptor of a tensor of the head, to be read raw."""
        return self._file.head(self._place, name)

    def close(self) -> None:
        """The file is open for all of them, and closed by itself."""


class UnifiedFile:
    """The file opened for reading, its header and manifests checked."""

    def __init__(self, path: Path, fd: int, entries: Mapping[str, TensorEntry], metadata: Mapping[str, str]):
        self.path = path
        self._fd, self._entries = fd, entries
        self.manifest = UnifiedManifest.from_dict(_document(metadata, path), str(path))
        if canonical_json(self.manifest.to_dict()).decode() != metadata[MANIFEST_KEY]:
            raise IntegrityFailure(f"{path}: its manifest is not canonical JSON", hint=_HINT)
        self.manifests = tuple(self._read_manifests())
        self._check_payloads()

    @classmethod
    def open(cls, path: Path) -> UnifiedFile:
        """Open and check a stored vector. Raises IntegrityFailure when it is not a sound file."""
        fd = open_blob(path)
        try:
            entries, metadata = read_header(path)
            return cls(path, fd, entries, metadata)
        except InputRefused as error:
            os.close(fd)
            raise IntegrityFailure(f"not a sound unified vector: {error.message}", hint=error.hint) from error
        except BaseException:
            os.close(fd)
            raise

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def skill(self, digest: str) -> StoredSkill:
        """One of the skills; KeyError for any other digest."""
        if digest not in self.manifest.skills:
            raise KeyError(digest)
        return StoredSkill(self, self.manifest.skills.index(digest))

    def tensor(self, place: int, name: str) -> StoredTensor | None:
        """One base tensor under one skill's mask, or None where that skill leaves it as it is."""
        name = self.manifest.tensors[name].tied_to or name
        tensor = self.manifest.tensors[name]
        if tensor.form != "unified" or tensor.masks[place] is None:
            return None
        where = f"{self.path}: tensor {name!r}"
        return StoredTensor(tensor, self._fd, self._values(name, where), self._mask(place, name, where), where)

    def head(self, place: int, name: str) -> tuple[TensorEntry, int]:
        """Entry and file descriptor of a tensor of one skill's head."""
        return self._entries[f"head/{place}/{name}"], self._fd

    def check_content(self, name: str) -> None:
        """Decode one tensor's payloads whole and compare them with the manifest. Raises IntegrityFailure."""
        tensor = self.manifest.tensors[name]
        if tensor.form != "unified":
            return
        where = f"{self.path}: tensor {name!r}"
        self._check("unified values", self._values(name, where), tensor.content, where)
        for place, digest in enumerate(tensor.masks):
            if digest is not None:
                self._check(f"mask {place}", self._mask(place, name, where), digest, where)

    def _check(self, what: str, frames: FrameTable, recorded: str | None, where: str) -> None:
        content = ContentHash()
        for frame in frames.frames:
            content.update(read_frame(self._fd, frame, where))
        if content.digest() != recorded:
            raise IntegrityFailure(f"{where}: {what} hash to {content.digest()}, recorded is {recorded}", hint=_HINT)

    def _values(self, name: str, where: str) -> FrameTable:
        tensor = self.manifest.tensors[name]
        return self._table(f"unified/{name}", tensor, min(CHUNK, tensor.elements) * tensor.itemsize, where)

    def _mask(self, place: int, name: str, where: str) -> FrameTable:
        tensor = self.manifest.tensors[name]
        return self._table(f"mask/{place}/{name}", tensor, unified.mask_size(min(CHUNK, tensor.elements)), where)

    def _table(self, payload: str, tensor: UnifiedTensor, largest: int, where: str) -> FrameTable:
        entry = self._entries[payload]
        return read_table(self._fd, entry.offset, entry.nbytes, tensor.elements, largest, where)

    def _read_manifests(self) -> Iterator[Manifest]:
        """Those of the skills' own deltas, which prove their digests."""
        room = MANIFESTS
        for place in range(len(self.manifest.skills)):
            text, where = self._manifest_text(place, min(room, _LARGEST_MANIFEST)), f"{self.path}: skill {place}"
            room -= len(text)
            try:
                document = parse_json(text.decode())
            except (ValueError, RecursionError) as error:
                raise IntegrityFailure(f"{where}: its manifest is not JSON: {error}", hint=_HINT) from error
            yield Manifest.from_dict(document, where)

    def _manifest_text(self, place: int, most: int) -> bytes:
        where, payload = f"{self.path}: skill {place}", f"skill/{place}"
        if payload not in self._entries:
            raise IntegrityFailure(f"{self.path}: the payload {payload!r} is missing", hint=_HINT)
        entry = self._entries[payload]
        frames = read_table(self._fd, entry.offset, entry.nbytes, 1, most, where)
        text = read_frame(self._fd, frames.frames[0], where)
        if blake3_digest(text) != self.manifest.skills[place]:
            raise IntegrityFailure(f"{where}: its manifest is not that of {self.manifest.skills[place]}", hint=_HINT)
        return text

    def _check_payloads(self) -> None:
        """Every payload that the manifests speak of is there, and no other; and they speak of the same base."""
        expected: dict[str, tuple[str, tuple[int, ...] | None]] = {}
        for place, skill in enumerate(self.manifests):
            expected[f"skill/{place}"] = ("U8", None)
            for name, head in skill.head.items():
                expected[f"head/{place}/{name}"] = (head.dtype, head.shape)
            self._check_skill(place, skill)
        for name, tensor in self.manifest.tensors.items():
            if tensor.form == "unified":
                expected[f"unified/{name}"] = ("U8", None)
                masks = (place for place, digest in enumerate(tensor.masks) if digest is not None)
                expected |= {f"mask/{place}/{name}": ("U8", None) for place in masks}
        if set(expected) != set(self._entries):
            odd = sorted(set(expected) ^ set(self._entries))
            raise IntegrityFailure(f"{self.path}: manifest and payloads disagree on {', '.join(odd[:5])}", hint=_HINT)
        for payload, (dtype, shape) in expected.items():
            entry = self._entries[payload]
            if entry.dtype != dtype or (shape is not None and entry.shape != shape):
                raise IntegrityFailure(f"{self.path}: payload {payload!r} has dtype {entry.dtype}, shape {entry.shape}")

    def _check_skill(self, place: int, skill: Manifest) -> None:
        """That a skill's own manifest says the same of the base, and of what it changes."""
        ours = self.manifest.tensors
        odd = sorted(ours.keys() ^ skill.tensors.keys())
        for name in ours.keys() & skill.tensors.keys():
            tensor, its = ours[name], skill.tensors[name]
            stored = ours[tensor.tied_to or name]
            masked = stored.form == "unified" and stored.masks[place] is not None
            same = (tensor.base, tensor.dtype, tensor.shape) == (its.base, its.dtype, its.shape)
            if not same or masked != (changed_tensor(skill, name) is not None):
                odd.append(name)
        if odd or skill.base != self.manifest.base:
            told = f"{skill.base} and {self.manifest.base}" if not odd else f"tensor {min(odd)!r}"
            raise IntegrityFailure(f"{self.path}: skill {place} and the unified vector disagree on {told}", hint=_HINT)


def changed_tensor(skill: Manifest, name: str) -> str | None:
    """The tensor whose delta a skill has for one of the base: itself, or what it is tied to; None without a delta."""
    resolved = skill.tensors[name].tied_to or name
    tensor = skill.tensors[resolved]
    return resolved if tensor.form in ("kept", "lora") and tensor.elements else None


def read_head(skill: DeltaFile, name: str) -> Iterator[bytes]:
    """A tensor of a skill's head, in pieces of raw bytes. Raises IntegrityFailure where they are not as recorded."""
    entry, descriptor = skill.head(name)
    where = f"{skill.path}: head tensor {name!r}"
    hasher = blake3()
    for start in range(0, entry.nbytes, _PIECE):
        piece = read_exactly(descriptor, min(_PIECE, entry.nbytes - start), entry.offset + start, where)
        hasher.update(piece)
        yield piece
    check_digest(where, digest_of(hasher), skill.manifest.head[name].digest)


def _document(metadata: Mapping[str, str], path: Path) -> Any:
    if MANIFEST_KEY not in metadata:
        raise IntegrityFailure(f"{path} is not the vector of an EMR merge: its header has no {MANIFEST_KEY!r}")
    try:
        return parse_json(metadata[MANIFEST_KEY])
    except (ValueError, RecursionError) as error:
        raise IntegrityFailure(f"{path}: header {MANIFEST_KEY!r} is not JSON: {error}") from error
