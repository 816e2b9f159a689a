"""Where merged tensors go: into sharded safetensors files, or into memory."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from merging.plan import OutputTensor
from storage.checkpoints.safetensors_file import SafetensorsWriter, Spec, index_json, plan_shards, shard_names
from storage.checkpoints.shards import INDEX
from storage.files import write_file


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
        self._file_of: dict[str, int] = {}
        self._writer: SafetensorsWriter | None = None
        self._current = -1
        self.files: list[WrittenFile] = []

    def order(self, outputs: Iterable[OutputTensor]) -> list[OutputTensor]:
        """Shard by shard, each in its file's layout order."""
        by_name = {output.name: output for output in outputs}
        specs = [(output.name, output.dtype, output.shape) for output in by_name.values()]
        self._shards = plan_shards(specs, self._shard_size)
        self._file_of = {spec[0]: number for number, shard in enumerate(self._shards) for spec in shard}
        return [by_name[spec[0]] for shard in self._shards for spec in shard]

    def write(self, output: OutputTensor, data: memoryview) -> None:
        """Append to the shard the tensor belongs to, finishing the one before."""
        while self._current < self._file_of[output.name]:
            self._finish()
            self._open(self._current + 1)
        assert self._writer is not None
        self._writer.write(output.name, data)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._finish()
            if len(self._shards) > 1:
                write_file(self._folder / INDEX, index_json(self._shards))
        elif self._writer is not None:
            self._writer.__exit__(kind, error, trace)

    def _open(self, number: int) -> None:
        name = shard_names(len(self._shards))[number]
        self._writer = SafetensorsWriter(self._folder / name, self._shards[number], self._metadata)
        self._current = number

    def _finish(self) -> None:
        if self._writer is None:
            return
        self._writer.close()
        self.files.append(WrittenFile(self._writer.path.name, self._writer.size, self._writer.sha256))
        self._writer = None


class MemorySink:
    """Collects each tensor's raw bytes in memory."""

    def __init__(self) -> None:
        self.tensors: dict[str, bytearray] = {}

    def order(self, outputs: Iterable[OutputTensor]) -> list[OutputTensor]:
        """As they come."""
        return list(outputs)

    def write(self, output: OutputTensor, data: memoryview) -> None:
        """Append to the tensor's buffer."""
        self.tensors.setdefault(output.name, bytearray()).extend(data)
