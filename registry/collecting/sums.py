"""Sums under way: kept in fp64, saved whole, and gone on with after a kill as if nothing had happened."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from storage.checkpoints.safetensors_file import SafetensorsWriter, layout, read_header
from storage.checkpoints.tensors import TensorEntry, pread_into
from storage.digests import canonical_json
from storage.errors import InputRefused, IntegrityFailure, in_words
from storage.files import disk_errors, publish_file, sweep, temporary_path

if TYPE_CHECKING:
    from torch import Tensor

_KEY = "mergestore.collecting"


@dataclass
class Sums:
    """One pass over the data: a flat fp64 sum for each unit, over how many ``rows`` it is, how many examples are in it.

    ``units`` says how many elements each has.
    """

    units: Mapping[str, int]
    tensors: dict[str, Tensor] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)
    done: int = 0

    @classmethod
    def of_nothing(cls, units: Mapping[str, int], device: str) -> Sums:
        """Zeros."""
        import torch

        tensors = {name: torch.zeros(count, dtype=torch.float64, device=device) for name, count in units.items()}
        return cls(units, tensors, dict.fromkeys(units, 0))


def save(folder: Path, number: int, sums: Sums) -> None:
    """Put the sums of a pass on the disk, whole and durably, in place of those saved before."""
    arrays = {name: tensor.cpu().numpy() for name, tensor in sums.tensors.items()}
    state = {
        "done": sums.done,
        "rows": sums.rows,
        "digests": {name: _digest(array) for name, array in arrays.items()},
    }
    final = _place(folder, number)
    sweep(folder)
    temporary = temporary_path(folder, final.name)
    entries = [(name, "F64", array.shape) for name, array in arrays.items()]
    try:
        with SafetensorsWriter(temporary, entries, {_KEY: canonical_json(state).decode()}) as writer:
            for name, _, _ in layout(entries):
                writer.write(name, arrays[name].view(np.uint8).data)
        publish_file(temporary, final)
    finally:
        temporary.unlink(missing_ok=True)


def load(folder: Path, number: int, units: Mapping[str, int], device: str, notes: list[str]) -> Sums:
    """The sums of a pass as they were saved last; zeros where none were, or, with a note, where they are damaged."""
    if not _place(folder, number).exists():
        return Sums.of_nothing(units, device)
    try:
        return Saved(_place(folder, number)).sums(units, device)
    except (InputRefused, IntegrityFailure) as error:
        notes.append(f"what an earlier run had saved cannot be used, and was computed again: {error.message}")
        return Sums.of_nothing(units, device)


class Saved:
    """The saved sums of a pass, to be read in pieces. Raises InputRefused where the file is none."""

    def __init__(self, path: Path):
        self._path = path
        self._entries: Mapping[str, TensorEntry]
        self._entries, metadata = read_header(path)
        try:
            state: dict[str, Any] = json.loads(metadata[_KEY])
            self.done, self.rows, self._digests = int(state["done"]), dict(state["rows"]), dict(state["digests"])
        except (KeyError, TypeError, ValueError) as error:
            raise InputRefused(f"{path} holds no sums: {in_words(error)}") from error

    @classmethod
    def of_pass(cls, folder: Path, number: int) -> Saved:
        """What a pass over the data left."""
        return cls(_place(folder, number))

    def sums(self, units: Mapping[str, int], device: str) -> Sums:
        """All of them, in memory again. Raises IntegrityFailure where they are not what was saved."""
        import torch

        if {name: entry.elements for name, entry in self._entries.items()} != dict(units):
            raise IntegrityFailure(f"{self._path} holds the sums of other tensors")
        tensors = {}
        for name in units:
            values = np.concatenate([*self.pieces(name, [(0, units[name])]), np.empty(0)])
            if _digest(values) != self._digests.get(name):
                raise IntegrityFailure(f"{self._path}: the sums of {name!r} are damaged")
            tensors[name] = torch.from_numpy(values).to(device)
        return Sums(units, tensors, {name: int(self.rows[name]) for name in units}, self.done)

    def pieces(
        self, unit: str, spans: Iterator[tuple[int, int]] | list[tuple[int, int]]
    ) -> Iterator[NDArray[np.float64]]:
        """The sums of one unit, by spans of (first element, number of elements)."""
        entry = self._entries[unit]
        with disk_errors(f"cannot read {self._path}"):
            descriptor = os.open(self._path, os.O_RDONLY)
        try:
            for start, count in spans:
                values = np.empty(count, np.float64)
                if count:
                    pread_into(descriptor, self._path, entry.offset + 8 * start, values.view(np.uint8).data)
                yield values
        finally:
            os.close(descriptor)


def _digest(values: NDArray[np.float64]) -> str:
    return blake3(values.view(np.uint8).data).hexdigest()


def _place(folder: Path, number: int) -> Path:
    return folder / f"pass-{number:04d}.safetensors"
