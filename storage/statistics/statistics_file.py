"""Statistics on disk: one valid safetensors file whose header carries the manifest. Writing and reading it.

metadata  mergestore.collected  canonical JSON of the manifest (``storage.statistics.manifest``)
          mergestore.software   JSON of the versions that collected them; not part of the identity
payloads  uint8 each: chunk frames (``storage.encodings.frames``) of fp32 values in four planes
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from storage.blobs import open_blob
from storage.checkpoints.payloads import ContentHash, PayloadWriter
from storage.checkpoints.safetensors_file import read_header
from storage.digests import canonical_json, parse_json
from storage.encodings.frames import CHUNK, chunk_count, chunk_span, compress, read_frame, read_table
from storage.encodings.numeric import Floats, join_planes, split_planes
from storage.errors import InputRefused, IntegrityFailure
from storage.statistics.manifest import Manifest, read_manifest
from storage.statistics.triangle import unfolded

MANIFEST_KEY = "mergestore.collected"
SOFTWARE_KEY = "mergestore.software"
_ITEM = 4  # bytes of an fp32 value


class StatisticsWriter(PayloadWriter):
    """Collects payloads of fp32 values, then writes the statistics file in one stream."""

    def add_values(self, payload: str, pieces: Iterable[Floats]) -> str:
        """Store values, in consecutive pieces of whatever size; the digest of the content comes back."""
        return self.add_chunks(payload, ((data, _compressed(data)) for data in map(_encoded, _chunks(pieces))))

    def finish(self, path: Path, manifest: Manifest, software: Mapping[str, str | None]) -> None:
        """Write the statistics file to ``path``, a new file that the caller publishes."""
        metadata = {
            MANIFEST_KEY: canonical_json(manifest.to_dict()).decode(),
            SOFTWARE_KEY: canonical_json(dict(software)).decode(),
        }
        self.write(path, metadata)


def _chunks(pieces: Iterable[Floats]) -> Iterator[Floats]:
    """The same values in pieces of a chunk each, the last one shorter."""
    waiting: list[Floats] = []
    held = 0
    for piece in pieces:
        start = 0
        while start < piece.size:
            part = piece[start : start + CHUNK - held]
            waiting.append(part)
            held, start = held + part.size, start + part.size
            if held == CHUNK:
                yield np.concatenate(waiting)
                waiting, held = [], 0
    if waiting:
        yield np.concatenate(waiting)


def _encoded(values: Floats) -> bytes:
    """The four planes of a chunk; nothing of zeros."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    return split_planes(bits) if bits.any() else b""


def _compressed(data: bytes) -> bytes:
    plane = len(data) // _ITEM
    return compress(data, (plane, 2 * plane, 3 * plane)) if plane else b""


class StatisticsFile:
    """A statistics file opened for reading, its header and manifest checked; safe to read from several threads."""

    def __init__(self, path: Path, fd: int):
        self.path = path
        self._fd = fd
        self._entries, metadata = read_header(path)
        self.manifest = read_manifest(_json(metadata, MANIFEST_KEY, path), str(path))
        if canonical_json(self.manifest.to_dict()).decode() != metadata[MANIFEST_KEY]:
            raise IntegrityFailure(f"{path}: its manifest is not canonical JSON")
        self.software: dict[str, Any] = _json(metadata, SOFTWARE_KEY, path)
        self._check_payloads()

    @classmethod
    def open(cls, path: Path) -> StatisticsFile:
        """Open and check stored statistics. Raises IntegrityFailure when it is not a sound statistics file."""
        fd = open_blob(path)
        try:
            return cls(path, fd)
        except InputRefused as error:
            os.close(fd)
            raise IntegrityFailure(f"not a sound statistics file: {error.message}", hint=error.hint) from error
        except BaseException:
            os.close(fd)
            raise

    def close(self) -> None:
        """Close the file; to do so twice does no harm."""
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def values(self, tensor: str, start: int, count: int) -> Floats:
        """So many fp32 values of a tensor's payload, from ``start`` on. Raises IntegrityFailure for damaged ones."""
        payload = self.manifest.tensors[tensor].payload
        elements = self.manifest.payloads[payload].elements
        if start < 0 or start + count > elements:
            raise IntegrityFailure(f"{self._where(payload)}: {elements} values, asked for {start} to {start + count}")
        found = np.empty(count, np.float32)
        frames = self._frames(payload)
        for index in range(start // CHUNK, chunk_count(start + count)):
            first, size = chunk_span(index, elements)
            low, high = max(start, first), min(start + count, first + size)
            found[low - start : high - start] = self._chunk(payload, frames[index], size)[low - first : high - first]
        return found

    def matrix(self, tensor: str) -> NDArray[np.float64]:
        """The Gram matrix of the layer that a tensor is the weight of, (columns, columns)."""
        described = self.manifest.payloads[self.manifest.tensors[tensor].payload]
        assert described.columns is not None
        return unfolded(self.values(tensor, 0, described.elements), described.columns)

    def check_content(self, payload: str) -> None:
        """Decode one payload whole and compare it with the manifest. Raises IntegrityFailure."""
        described, content = self.manifest.payloads[payload], ContentHash()
        for index, frame in enumerate(self._frames(payload)):
            size = chunk_span(index, described.elements)[1]
            content.update(self._data(payload, frame, size))
        if content.digest() != described.content:
            raise IntegrityFailure(
                f"{self._where(payload)}: content hashes to {content.digest()}, recorded is {described.content}"
            )

    def _frames(self, payload: str) -> tuple[tuple[int, int, int], ...]:
        entry, elements = self._entries[payload], self.manifest.payloads[payload].elements
        largest = _ITEM * min(CHUNK, elements)
        return read_table(self._fd, entry.offset, entry.nbytes, elements, largest, self._where(payload)).frames

    def _chunk(self, payload: str, frame: tuple[int, int, int], size: int) -> Floats:
        data = self._data(payload, frame, size)
        return join_planes(data, _ITEM).view(np.float32) if data else np.zeros(size, np.float32)

    def _data(self, payload: str, frame: tuple[int, int, int], size: int) -> bytes:
        if frame[2] not in (0, _ITEM * size):
            raise IntegrityFailure(f"{self._where(payload)}: a chunk of {size} values has {frame[2]} bytes")
        return read_frame(self._fd, frame, self._where(payload))

    def _check_payloads(self) -> None:
        """Every payload that the manifest speaks of is there, and no other."""
        if set(self._entries) != set(self.manifest.payloads):
            odd = sorted(set(self._entries) ^ set(self.manifest.payloads))
            raise IntegrityFailure(f"{self.path}: manifest and payloads disagree on {', '.join(odd[:5])}")
        for name, entry in self._entries.items():
            if entry.dtype != "U8" or len(entry.shape) != 1:
                raise IntegrityFailure(f"{self._where(name)}: has dtype {entry.dtype}, shape {entry.shape}")

    def _where(self, payload: str) -> str:
        return f"{self.path}: statistics {payload!r}"


def _json(metadata: Mapping[str, str], key: str, path: Path) -> Any:
    if key not in metadata:
        raise IntegrityFailure(f"{path} holds no statistics: its header has no {key!r}")
    try:
        return parse_json(metadata[key])
    except (ValueError, RecursionError) as error:
        raise IntegrityFailure(f"{path}: header {key!r} is not JSON: {error}") from error
