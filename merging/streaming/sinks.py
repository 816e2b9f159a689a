"""Where merged tensors go: into sharded safetensors files, or into memory."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import numpy as np

from merging.plans.plan import OutputTensor
from storage.checkpoints.safetensors_file import SafetensorsWriter, Spec, index_json, plan_shards, shard_names
from storage.checkpoints.shards import INDEX
from storage.files import write_file
from storage.memory import as_view


class Sink(Protocol):
    """Takes the merged model's bytes, in pieces that are never empty."""

    def lanes(self, outputs: Iterable[OutputTensor]) -> Sequence[Sequence[OutputTensor]]:
        """Every tensor, in sequences that can be worked on side by side; called first."""

    def place(self, output: OutputTensor, start: int, nbytes: int) -> memoryview | None:
        """Where bytes ``[start, start + nbytes)`` of a tensor are wanted; None if they are to be given to ``write``."""

    def write(self, output: OutputTensor, start: int, data: memoryview) -> None:
        """Take bytes of a tensor from ``start`` on. Threads call this at once, pieces come in any order."""

    def follow(self, output: OutputTensor, data: memoryview) -> None:
        """A piece has been written, and so have all before it in its lane: called in that order, once at a time."""


@dataclass(frozen=True)
class WrittenFile:
    """One finished weight file: name, size in bytes, SHA-256."""

    name: str
    size: int
    sha256: str


class ShardSink:
    """Streams a model into a folder in the Hugging Face layout: one file, or shards with an index."""

    def __init__(self, folder: Path, shard_size: int, metadata: dict[str, str]):
        self._folder = folder
        self._shard_size = shard_size
        self._metadata = metadata
        self._shards: list[list[Spec]] = []
        self._shard_of: dict[str, int] = {}
        self._writers: dict[int, SafetensorsWriter] = {}
        self._opening = threading.Lock()
        self._finished: dict[int, WrittenFile] = {}

    @property
    def files(self) -> list[WrittenFile]:
        """The files that are finished, in the order of their names."""
        return [self._finished[number] for number in sorted(self._finished)]

    def lanes(self, outputs: Iterable[OutputTensor]) -> list[list[OutputTensor]]:
        """One for each shard, in its file's layout order."""
        by_name = {output.name: output for output in outputs}
        specs = [(output.name, output.dtype, output.shape) for output in by_name.values()]
        self._shards = plan_shards(specs, self._shard_size)
        self._shard_of = {spec[0]: number for number, shard in enumerate(self._shards) for spec in shard}
        return [[by_name[spec[0]] for spec in shard] for shard in self._shards]

    def place(self, output: OutputTensor, start: int, nbytes: int) -> None:
        """Nowhere: what goes into a file is written."""

    def write(self, output: OutputTensor, start: int, data: memoryview) -> None:
        """Write to the tensor's place in the shard that it belongs to."""
        self._writer(self._shard_of[output.name]).put(output.name, start, data)

    def follow(self, output: OutputTensor, data: memoryview) -> None:
        """Hash the file's next bytes; after the last ones the file is finished."""
        number = self._shard_of[output.name]
        writer = self._writer(number)
        writer.follow(data)
        if writer.complete:
            self._finish(number)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._finish_all()
        finally:
            for writer in self._writers.values():
                writer.abandon()

    def _finish_all(self) -> None:
        """What is left: shards of empty tensors, to which no byte was written."""
        for number in range(len(self._shards)):
            if number not in self._finished:
                self._writer(number)
                self._finish(number)
        if len(self._shards) > 1:
            write_file(self._folder / INDEX, index_json(self._shards))

    def _writer(self, number: int) -> SafetensorsWriter:
        with self._opening:
            if number not in self._writers:
                path = self._folder / shard_names(len(self._shards))[number]
                self._writers[number] = SafetensorsWriter(path, self._shards[number], self._metadata)
            return self._writers[number]

    def _finish(self, number: int) -> None:
        writer = self._writers[number]
        writer.close()
        self._finished[number] = WrittenFile(writer.path.name, writer.size, writer.sha256)
        with self._opening:
            del self._writers[number]


class NoSink:
    """Keeps nothing: for those who only want the digests of what is merged."""

    def lanes(self, outputs: Iterable[OutputTensor]) -> list[list[OutputTensor]]:
        """One, as they come."""
        return [list(outputs)]

    def place(self, output: OutputTensor, start: int, nbytes: int) -> None:
        """Nowhere."""

    def write(self, output: OutputTensor, start: int, data: memoryview) -> None:
        """Nothing."""

    def follow(self, output: OutputTensor, data: memoryview) -> None:
        """Nothing."""


class MemorySink:
    """Has each tensor's raw bytes put straight into memory of its own."""

    def __init__(self) -> None:
        self.tensors: dict[str, memoryview] = {}
        self._making = threading.Lock()

    def lanes(self, outputs: Iterable[OutputTensor]) -> list[list[OutputTensor]]:
        """One, as they come."""
        return [list(outputs)]

    def place(self, output: OutputTensor, start: int, nbytes: int) -> memoryview:
        """Within the tensor's memory, which is made when its first piece is due."""
        with self._making:
            if output.name not in self.tensors:
                # Not a bytearray, which is filled with zeros first.
                self.tensors[output.name] = as_view(np.empty(output.nbytes, np.uint8))
        return self.tensors[output.name][start : start + nbytes]

    def write(self, output: OutputTensor, start: int, data: memoryview) -> None:
        """Nothing: it is in its place."""

    def follow(self, output: OutputTensor, data: memoryview) -> None:
        """Nothing."""
