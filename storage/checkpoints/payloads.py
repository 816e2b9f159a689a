"""Payloads of chunk frames in the making: frames in a spool, the table that stands before them, and their digest."""

from __future__ import annotations

from collections.abc import Iterable

from blake3 import blake3

from storage.checkpoints.spool import Segment, Spool
from storage.encodings.frames import table


class ContentHash:
    """Digest of a tensor's decoded chunks: BLAKE3 over (length as uint32, bytes) of each, in order."""

    def __init__(self) -> None:
        self._hasher = blake3()

    def update(self, data: bytes) -> None:
        """Add the next chunk."""
        self._hasher.update(len(data).to_bytes(4, "little"))
        self._hasher.update(data)

    def digest(self) -> str:
        """``blake3:…``"""
        return "blake3:" + self._hasher.hexdigest()


class FramePayload:
    """A payload of chunk frames in the making; several may be added to at a time."""

    def __init__(self, spool: Spool, name: str):
        self._spool, self._name = spool, name
        self._content = ContentHash()
        self._sizes: list[tuple[int, int]] = []
        self._segments: list[Segment] = []

    def add(self, data: bytes, frame: bytes) -> None:
        """The next chunk: its content and that compressed."""
        self._content.update(data)
        self._sizes.append((len(frame), len(data)))
        if frame:
            self._segments.append(self._spool.append(frame))

    def finish(self) -> tuple[str, int]:
        """The content's digest, and the bytes of the payload."""
        # The table stands first in the payload but is only known now.
        segments = [self._spool.append(table(self._sizes)), *self._segments]
        nbytes = sum(segment[1] for segment in segments)
        self._spool.add(self._name, "U8", (nbytes,), segments)
        return self._content.digest(), nbytes


class PayloadWriter(Spool):
    """Collects payloads of chunks, and tensors as they are."""

    def add_chunks(self, name: str, chunks: Iterable[tuple[bytes, bytes]]) -> str:
        """Store a payload's chunks, in order, as (content, compressed frame); the content's digest comes back."""
        payload = FramePayload(self, name)
        for data, frame in chunks:
            payload.add(data, frame)
        return payload.finish()[0]
