"""A stored delta: one valid safetensors file whose header carries the manifest. Writing and reading it.

metadata  mergestore.delta       canonical JSON of the manifest (``storage.deltas.manifest``)
          mergestore.statistics  JSON of measured statistics; not part of the skill's identity
tensors   delta/<name>           uint8 payload of chunk frames (``storage.encodings.frames``)
          lora/<name>/A, …/B     the adapter's own factors
          added/<name>           rows of the vocabulary that the base lacks, as they were
          head/<name>            tensors that the base lacks, as they were
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from storage.blobs import open_blob
from storage.checkpoints.checkpoint import TensorEntry
from storage.checkpoints.inputs import check_digest
from storage.checkpoints.payloads import ContentHash, PayloadWriter
from storage.checkpoints.safetensors_header import read_header
from storage.deltas.manifest import Manifest, TensorDelta
from storage.digests import blake3_digest, canonical_json, parse_json
from storage.dtypes import DTYPES
from storage.encodings.chunks import ChunkTerm, KeptChunk, LowRankChunk
from storage.encodings.frames import (
    CHUNK,
    FrameTable,
    chunk_span,
    read_exactly,
    read_frame,
    read_table,
)
from storage.encodings.numeric import Floats, as_bits, widen
from storage.encodings.philox import mask_key
from storage.errors import InputRefused, IntegrityFailure

MANIFEST_KEY = "mergestore.delta"
STATISTICS_KEY = "mergestore.statistics"


class DeltaWriter(PayloadWriter):
    """Collects payloads in a spool file, then writes the delta file in one stream."""

    def add_frames(self, tensor: str, chunks: Iterable[tuple[bytes, bytes]]) -> str:
        """Store one tensor's chunks, in order, as (content, compressed frame); the content's digest comes back."""
        return self.add_chunks(f"delta/{tensor}", chunks)

    def finish(self, path: Path, manifest: Manifest, statistics: Mapping[str, Any]) -> None:
        """Write the delta file to ``path``, a new file that the caller publishes."""
        metadata = {
            MANIFEST_KEY: canonical_json(manifest.to_dict()).decode(),
            STATISTICS_KEY: canonical_json(dict(statistics)).decode(),
        }
        self.write(path, metadata)


@dataclass(frozen=True)
class TensorTerm:
    """One tensor of an open delta, ready to give its chunks; safe to use from several threads."""

    name: str
    tensor: TensorDelta
    where: str
    fd: int
    frames: FrameTable | None = None
    factors: tuple[Floats, ...] | None = None  # A and B, and the gains where there are any

    def chunk(self, index: int) -> ChunkTerm:
        """The ``index``-th chunk of ``frames.CHUNK`` elements. Raises IntegrityFailure when it is damaged."""
        start, count = chunk_span(index, self.tensor.elements)
        if self.factors is not None and self.tensor.low_rank is not None:
            low_rank = self.tensor.low_rank
            a, b, *gains = self.factors
            place = (low_rank.scaling, low_rank.transposed, start, count)
            return LowRankChunk(a, b, *place, gains[0] if gains else None, self.tensor.dtype)
        assert self.frames is not None
        assert self.tensor.coding is not None
        return KeptChunk(
            data=read_frame(self.fd, self.frames.frames[index], self.where),
            coding=self.tensor.coding,
            key=self.key(self.tensor.coding.seed),
            start=start,
            count=count,
            base_dtype=self.tensor.dtype,
            dtype=self.tensor.fine_tuned_dtype,
            where=self.where,
        )

    def key(self, seed: int) -> int:
        """The mask key of this tensor for a seed; factors speak for the fine-tune they stand for."""
        content = self.tensor.content if self.tensor.form == "lora" else self.tensor.fine_tuned
        assert content is not None
        return mask_key(seed, content, self.name)


class DeltaFile:
    """A delta file opened for reading, its header and manifest checked."""

    def __init__(self, path: Path, fd: int, entries: Mapping[str, TensorEntry], metadata: Mapping[str, str]):
        self.path = path
        self._fd = fd
        self._entries = entries
        self.manifest = Manifest.from_dict(_json(metadata, MANIFEST_KEY, path), str(path))
        if canonical_json(self.manifest.to_dict()).decode() != metadata[MANIFEST_KEY]:
            raise IntegrityFailure(
                f"{path}: its manifest has fields that format {self.manifest.format} does not have, "
                "or is not canonical JSON",
                hint="import the skill again from where it came from, with the version that wrote it",
            )
        self.statistics: dict[str, Any] = _json(metadata, STATISTICS_KEY, path)
        self._check_payloads()

    @classmethod
    def open(cls, path: Path) -> DeltaFile:
        """Open and check a stored delta. Raises IntegrityFailure when it is not a sound delta file."""
        fd = open_blob(path)
        try:
            entries, metadata = read_header(path)
            return cls(path, fd, entries, metadata)
        except InputRefused as error:
            os.close(fd)
            raise IntegrityFailure(f"not a sound delta file: {error.message}", hint=error.hint) from error
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

    def resolve(self, name: str) -> str:
        """The tensor whose delta this one has: itself, or the one that it is tied to."""
        return self.manifest.tensors[name].tied_to or name

    def term(self, name: str) -> TensorTerm | None:
        """The delta of one base tensor, or None where the fine-tune has the base's own bits."""
        name = self.resolve(name)
        tensor = self.manifest.tensors[name]
        where = f"{self.path}: tensor {name!r}"
        if tensor.form == "lora":
            return TensorTerm(name, tensor, where, self._fd, factors=self._factors(tensor))
        if tensor.form == "kept":
            return TensorTerm(name, tensor, where, self._fd, frames=self._frames(name, tensor, where))
        return None

    def head(self, name: str) -> tuple[TensorEntry, int]:
        """Entry and file descriptor of a tensor of the head, to be read raw."""
        return self._entries[f"head/{name}"], self._fd

    def read_added(self, name: str, start: int, nbytes: int) -> bytes:
        """Bytes from ``start`` on of the rows that were added to a tensor, by the name under which they are kept."""
        entry = self._entries[f"added/{name}"]
        return read_exactly(self._fd, nbytes, entry.offset + start, f"{self.path}: added rows of {name!r}")

    def check_content(self, name: str) -> None:
        """Decode one tensor's payloads whole and compare them with the manifest. Raises IntegrityFailure."""
        tensor = self.manifest.tensors[name]
        where = f"{self.path}: tensor {name!r}"
        if tensor.added is not None:
            check_digest(f"{where}: its added rows", blake3_digest(self._raw(f"added/{name}")), tensor.added.digest)
        if tensor.form == "kept":
            content = ContentHash()
            for frame in self._frames(name, tensor, where).frames:
                content.update(read_frame(self._fd, frame, where))
        elif tensor.form == "lora" and tensor.low_rank is not None:
            content = ContentHash()
            for payload in tensor.low_rank.payloads:
                content.update(self._raw(payload))
        else:
            return
        if content.digest() != tensor.content:
            raise IntegrityFailure(f"{where}: content hashes to {content.digest()}, recorded is {tensor.content}")

    def _frames(self, name: str, tensor: TensorDelta, where: str) -> FrameTable:
        entry = self._entries[f"delta/{name}"]
        assert tensor.coding is not None
        itemsize = DTYPES[tensor.fine_tuned_dtype].itemsize
        largest = tensor.coding.largest_frame(min(CHUNK, tensor.elements), itemsize)
        return read_table(self._fd, entry.offset, entry.nbytes, tensor.elements, largest, where)

    def _factors(self, tensor: TensorDelta) -> tuple[Floats, ...]:
        low_rank = tensor.low_rank
        assert low_rank is not None
        a = self._matrix(low_rank.a).reshape(low_rank.rank, low_rank.columns)
        b = self._matrix(low_rank.b).reshape(low_rank.rows, low_rank.rank)
        return (a, b) if low_rank.gains is None else (a, b, self._matrix(low_rank.gains))

    def _matrix(self, payload: str) -> Floats:
        entry = self._entries[payload]
        return np.ascontiguousarray(widen(as_bits(self._raw(payload), entry.dtype), entry.dtype))

    def _raw(self, payload: str) -> bytes:
        entry = self._entries[payload]
        return read_exactly(self._fd, entry.nbytes, entry.offset, f"{self.path}: {payload}")

    def _check_payloads(self) -> None:
        """Every payload that the manifest speaks of is there, with the right dtype and shape, and no other."""
        expected: dict[str, tuple[str | None, tuple[int, ...] | None]] = {}
        for name, tensor in self.manifest.tensors.items():
            if tensor.form == "kept":
                expected[f"delta/{name}"] = ("U8", None)
            elif tensor.low_rank is not None:
                expected |= dict.fromkeys(tensor.low_rank.payloads, (None, None))
            elif tensor.form == "tied":
                self._check_tie(name, tensor)
            if tensor.added is not None:
                expected[f"added/{name}"] = (tensor.added.dtype, (tensor.added.rows, *tensor.shape[1:]))
        for name, head in self.manifest.head.items():
            expected[f"head/{name}"] = (head.dtype, head.shape)
        if set(expected) != set(self._entries):
            odd = sorted(set(expected) ^ set(self._entries))
            raise IntegrityFailure(f"{self.path}: manifest and payloads disagree on {', '.join(odd[:5])}")
        for payload, (dtype, shape) in expected.items():
            entry = self._entries[payload]
            if (dtype and entry.dtype != dtype) or (shape is not None and entry.shape != shape):
                raise IntegrityFailure(f"{self.path}: payload {payload!r} has dtype {entry.dtype}, shape {entry.shape}")
        self._check_factors()

    def _check_tie(self, name: str, tensor: TensorDelta) -> None:
        partner = self.manifest.tensors.get(tensor.tied_to or "")
        if partner is None or partner.form == "tied" or (partner.dtype, partner.shape) != (tensor.dtype, tensor.shape):
            raise IntegrityFailure(f"{self.path}: tensor {name!r} is tied to {tensor.tied_to!r}, which does not fit")

    def _check_factors(self) -> None:
        for name, tensor in self.manifest.tensors.items():
            low_rank = tensor.low_rank
            if low_rank is None:
                continue
            a, b = self._entries[low_rank.a], self._entries[low_rank.b]
            sizes = (a.elements, b.elements)
            if sizes != (low_rank.rank * low_rank.columns, low_rank.rows * low_rank.rank):
                raise IntegrityFailure(f"{self.path}: tensor {name!r}: factors {a.shape}, {b.shape} do not fit")
            if not {a.dtype, b.dtype} <= {"F32", "F16", "BF16"}:
                raise IntegrityFailure(f"{self.path}: tensor {name!r}: factors of dtype {a.dtype}, {b.dtype}")
            gains = self._entries[low_rank.gains] if low_rank.gains else None
            if gains is not None and (gains.dtype, gains.shape) != ("F32", (low_rank.rows,)):
                raise IntegrityFailure(f"{self.path}: tensor {name!r}: gains of {gains.dtype} {gains.shape} do not fit")


def _json(metadata: Mapping[str, str], key: str, path: Path) -> Any:
    if key not in metadata:
        raise IntegrityFailure(f"{path} is not a mergestore delta: its header has no {key!r}")
    try:
        return parse_json(metadata[key])
    except (ValueError, RecursionError) as error:
        raise IntegrityFailure(f"{path}: header {key!r} is not JSON: {error}") from error
