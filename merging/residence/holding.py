"""A base and its skills kept in memory, behind the contracts that their files have."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from storage.checkpoints.inputs import check_digest
from storage.checkpoints.tensors import TensorEntry, TensorSource
from storage.deltas.delta import DeltaFile, TensorTerm
from storage.dtypes import DTYPES
from storage.encodings.chunks import ChunkTerm
from storage.encodings.frames import chunk_count, read_exactly

PIECE = 8 << 20
"""Bytes that are read and hashed at a time."""

Raw = NDArray[np.uint8]


class HeldBase:
    """A TensorSource whose bytes lie in memory; on a device, only what is known of its tensors lies here."""

    def __init__(self, entries: Mapping[str, TensorEntry], arrays: Mapping[str, Raw]):
        self.entries = entries
        self.arrays = arrays

    def read_into(self, name: str, start: int, out: memoryview) -> None:
        """Fill ``out`` with bytes ``[start, start + len(out))`` of a tensor."""
        out[:] = self.arrays[name].data[start : start + len(out)]

    def close(self) -> None:
        """Nothing is open."""


@dataclass(frozen=True)
class HeldTerm(TensorTerm):
    """One tensor of a held delta; ``held`` are its chunks, decoded.

    Where they lie on a device, one chunk without data stands for all of them: what it says beside is the same.
    """

    held: tuple[ChunkTerm, ...] = ()

    def chunk(self, index: int) -> ChunkTerm:
        """The ``index``-th chunk of ``frames.CHUNK`` elements."""
        return self.held[min(index, len(self.held) - 1)] if self.held else super().chunk(index)


class HeldDelta(DeltaFile):
    """A delta whose terms and head lie in memory; the file that it came from may be closed."""

    def __init__(
        self,
        delta: DeltaFile,
        terms: Mapping[str, HeldTerm],
        heads: Mapping[str, bytes],
        added: Mapping[str, bytes] | None = None,
    ):
        self.path = delta.path
        self.manifest = delta.manifest
        self.statistics: dict[str, Any] = delta.statistics
        self.heads = heads
        self.added = added or {}
        self._terms = terms

    @property
    def terms(self) -> Iterable[HeldTerm]:
        """Every term that is stored, each once."""
        return self._terms.values()

    def term(self, name: str) -> HeldTerm | None:
        """The delta of one base tensor, or None where the fine-tune has the base's own bits."""
        return self._terms.get(self.resolve(name))

    def head(self, name: str) -> tuple[TensorEntry, int]:
        """Not there: the bytes of the head are in ``heads``."""
        raise KeyError(name)

    def read_added(self, name: str, start: int, nbytes: int) -> bytes:
        """Bytes from ``start`` on of the rows that were added to a tensor."""
        return self.added[name][start : start + nbytes]

    def close(self) -> None:
        """Nothing is open."""


def read_verified(source: TensorSource, entry: TensorEntry, digest: str, out: memoryview) -> None:
    """Read a whole tensor of a base into ``out``. Raises IntegrityFailure where it does not hash to ``digest``."""
    hasher = blake3()
    for start in range(0, entry.nbytes, PIECE):
        piece = out[start : start + PIECE]
        source.read_into(entry.name, start, piece)
        hasher.update(piece)
    check_digest(f"tensor {entry.name!r}", "blake3:" + hasher.hexdigest(), digest)


def own_terms(delta: DeltaFile) -> Iterable[TensorTerm]:
    """The terms that a delta stores, each once: tied tensors lead to one of these."""
    names = (name for name, tensor in delta.manifest.tensors.items() if tensor.form in ("kept", "lora"))
    for name in names:
        term = delta.term(name)
        assert term is not None
        yield term


def hold_term(term: TensorTerm, chunk: Callable[[ChunkTerm], ChunkTerm] = lambda chunk: chunk) -> HeldTerm:
    """A term with its chunks decoded, each as ``chunk`` leaves it. Raises IntegrityFailure for a damaged frame."""
    count = chunk_count(term.tensor.elements)
    held = tuple(chunk(term.chunk(index)) for index in range(count)) if term.factors is None else ()
    return HeldTerm(term.name, term.tensor, term.where, -1, term.frames, term.factors, held)


def hold_heads(delta: DeltaFile) -> dict[str, bytes]:
    """The tensors that a delta has beside the base's, as they are. Raises IntegrityFailure for damaged ones."""
    heads = {}
    for name, tensor in delta.manifest.head.items():
        entry, descriptor = delta.head(name)
        where = f"{delta.path}: head tensor {name!r}"
        heads[name] = read_exactly(descriptor, entry.nbytes, entry.offset, where)
        check_digest(f"tensor {name!r}", "blake3:" + blake3(heads[name]).hexdigest(), tensor.digest)
    return heads


def hold_added(delta: DeltaFile) -> dict[str, bytes]:
    """The rows that a delta has beside the base's, as they are. Raises IntegrityFailure for damaged ones."""
    found = {}
    for name, tensor in delta.manifest.tensors.items():
        if tensor.added is not None:
            nbytes = tensor.added.rows * math.prod(tensor.shape[1:]) * DTYPES[tensor.added.dtype].itemsize
            found[name] = delta.read_added(name, 0, nbytes)
            digest = "blake3:" + blake3(found[name]).hexdigest()
            check_digest(f"{delta.path}: added rows of {name!r}", digest, tensor.added.digest)
    return found
