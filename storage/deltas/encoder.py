"""Pairs of tensors made into the chunks of a delta: read, hashed and encoded on threads, given out in order.

A mask depends on the digest of the whole fine-tuned tensor, so no chunk can be encoded before the last is hashed. A
tensor is therefore held while it is hashed and encoded from memory; one too large for that is hashed first and read
again right away, when the system's page cache still has it. The base's bytes are read once, and hashed as they are
used.
"""

from __future__ import annotations

import itertools
import math
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from storage.checkpoints.inputs import check_digest, digest_of, inspected, read_chunk, refuse_not_finite, tensor_hasher
from storage.checkpoints.tensors import TensorEntry, TensorSource
from storage.deltas.base_model import BaseModel
from storage.deltas.forms import Rivals, is_same, tied_to
from storage.deltas.grown import Pair
from storage.deltas.selection import tensor_cutoff
from storage.dtypes import DTYPES
from storage.encodings.coding import Coding
from storage.encodings.encode import LARGEST, EncodedChunk, encode_chunk
from storage.encodings.frames import CHUNK, chunk_count, chunk_span, compress
from storage.encodings.measured import Measured
from storage.encodings.numeric import as_bits
from storage.encodings.philox import mask_key
from storage.errors import InputRefused
from storage.memory import Buffers

_MEMORY = 32 << 20, 128 << 20  # bytes: the least and the most that is held, whatever the number of threads
_LOOKAHEAD = 2  # chunks of a tensor that is not held, beyond one for each thread


@dataclass(frozen=True)
class _Piece:
    """One encoded chunk, its frame, and the base's bytes that it was made from."""

    chunk: EncodedChunk
    frame: bytes
    base: memoryview


@dataclass(frozen=True)
class Tensor:
    """One pair whose fine-tuned digest is known: the base's own bits (``same``), those of ``tied_to``, or a delta."""

    name: str
    other: str
    digest: str
    same: bool = False
    tied_to: str | None = None
    cutoff: float = 0.0
    _encoding: deque[Future[_Piece]] = field(default_factory=deque)


def enough_memory(threads: int) -> int:
    """Bytes of fine-tuned tensors to hold at once: four chunks of 16 bits for each thread, within reason.

    More does not help: what was hashed long ago is no longer in the processor's cache when it is encoded.
    """
    low, high = _MEMORY
    return min(max(low, threads * 4 * 2 * CHUNK), high)


class Encoder:
    """Encodes the pairs of one fine-tune, one ``run`` at a time. ``where`` names the fine-tune in errors.

    A fine-tuned tensor of up to half of ``memory`` bytes is held while it is hashed; about as much again is taken by
    the base's chunks. ``known`` are digests of fine-tuned tensors that were taken before: those are not held.
    """

    def __init__(
        self,
        base: BaseModel,
        source: TensorSource,
        coding: Coding,
        where: str,
        *,
        threads: int,
        memory: int | None = None,
        known: Mapping[str, str] | None = None,
        cutoff: float = 0.0,
    ):
        self._base, self._source, self._coding, self._where = base, source, coding, where
        self._threads, self._memory = threads, enough_memory(threads) if memory is None else memory
        self._known, self._cutoff = known or {}, cutoff

    def run(self, pairs: Sequence[Pair], rivals: Rivals) -> Generator[Tensor, None, None]:
        """The pairs in their order; take the ``chunks`` of a tensor that has a delta before going on.

        Every name must come after its ``rivals``. Raises InputRefused for a NaN or infinite value. Threads are at work
        until the iterator is exhausted or closed.
        """
        self._rivals = rivals
        self._feed, self._used = deque(pairs), 0
        self._loads: deque[Future[Tensor]] = deque()
        self._by_name: dict[str, Future[Tensor]] = {}
        self._buffers = Buffers(max((self._chunk_bytes(pair) for pair in pairs), default=0))
        self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="mergestore")
        try:
            while self._load_ahead():
                tensor = self._loads.popleft().result()
                yield tensor
                self._used -= self._cost(tensor.other)
        finally:
            self._pool.shutdown(cancel_futures=True)

    def chunks(self, tensor: Tensor, advance: Callable[[int], None]) -> Iterator[tuple[EncodedChunk, bytes]]:
        """Every chunk of a tensor and its frame, in order.

        Raises InputRefused for values that no encoding holds, IntegrityFailure when the base is not as recorded.
        """
        entry = self._base.source.entries[tensor.name]
        hasher = tensor_hasher(entry.nbytes)
        for piece in self._pieces(tensor):
            hasher.update(piece.base)
            advance(len(piece.base))
            self._buffers.give(piece.base)
            yield piece.chunk, piece.frame
        check_digest(f"tensor {tensor.name!r} of the base", digest_of(hasher), self._base.digests[tensor.name])

    def _chunk_bytes(self, pair: Pair) -> int:
        entries = (self._base.source.entries[pair[0]], self._source.entries[pair[1]])
        return max(min(CHUNK, entry.elements) * DTYPES[entry.dtype].itemsize for entry in entries)

    def _held(self, entry: TensorEntry) -> int:
        """What holding a tensor takes: each of its chunks has a buffer."""
        return chunk_count(entry.elements) * self._buffers.size

    def _cost(self, other: str) -> int:
        return min(self._held(self._source.entries[other]), self._memory // 2)

    def _load_ahead(self) -> bool:
        """Begin with as many of the next tensors as there is memory for, or with one; False when all are done."""
        while self._feed and (not self._loads or self._used + self._cost(self._feed[0][1]) <= self._memory):
            pair = self._feed.popleft()
            self._used += self._cost(pair[1])
            self._loads.append(self._pool.submit(self._load, pair))
            self._by_name[pair[0]] = self._loads[-1]
        return bool(self._loads)

    def _load(self, pair: Pair) -> Tensor:
        name, other = pair
        held: list[memoryview] = []
        digest = self._known.get(other) or self._hash(self._source.entries[other], held)
        # The rivals were begun before this one, and wait for nothing that comes later.
        rivals = ((rival, self._by_name[rival].result().digest) for rival in self._rivals.get(name, ()))
        same = is_same(self._base, self._source, pair, digest)
        partner = None if same else tied_to(self._base, name, digest, rivals)
        if same or partner:
            for raw in held:
                self._buffers.give(raw)
            return Tensor(name, other, digest, same, partner)
        tensor = Tensor(name, other, digest, cutoff=self._find_cutoff(pair))
        for index, raw in enumerate(held):
            tensor._encoding.append(self._pool.submit(self._encode, tensor, index, raw))
        return tensor

    def _hash(self, entry: TensorEntry, held: list[memoryview]) -> str:
        """The digest of a fine-tuned tensor, whose chunks are left in ``held`` where there is room for them."""
        hasher = tensor_hasher(entry.nbytes)
        if self._held(entry) > self._memory // 2:
            buffer = self._buffers.take(self._buffers.size)
            for _ in inspected(self._source, entry, hasher, self._where, buffer):
                pass
            self._buffers.give(buffer)
            return digest_of(hasher)
        itemsize = DTYPES[entry.dtype].itemsize
        for index in range(chunk_count(entry.elements)):
            start, count = chunk_span(index, entry.elements)
            held.append(read_chunk(self._source, entry.name, start, count, self._buffers))
            hasher.update(held[-1])
            refuse_not_finite(entry, held[-1], start * itemsize, self._where)
        return digest_of(hasher)

    def _find_cutoff(self, pair: Pair) -> float:
        if self._coding.trim == "tensor":
            return tensor_cutoff(self._base.source, self._source, pair, self._coding, self._buffers)
        return self._cutoff

    def _pieces(self, tensor: Tensor) -> Iterator[_Piece]:
        """The chunks being encoded from memory, or else those yet to be read, few of them at once."""
        pending = tensor._encoding
        rest = iter(range(len(pending), chunk_count(self._source.entries[tensor.other].elements)))
        ahead = self._threads + _LOOKAHEAD
        while True:
            for index in itertools.islice(rest, max(0, ahead - len(pending))):
                pending.append(self._pool.submit(self._encode, tensor, index, None))
            if not pending:
                return
            yield pending.popleft().result()

    def _encode(self, tensor: Tensor, index: int, held: memoryview | None) -> _Piece:
        ours, theirs = self._base.source.entries[tensor.name], self._source.entries[tensor.other]
        span = chunk_span(index, ours.elements)
        base = read_chunk(self._base.source, tensor.name, *span, self._buffers)
        raw = read_chunk(self._source, tensor.other, *span, self._buffers) if held is None else held
        key = mask_key(self._coding.seed, tensor.digest, tensor.name)
        bits = (as_bits(base, ours.dtype), ours.dtype, as_bits(raw, theirs.dtype), theirs.dtype)
        chunk = encode_chunk(*bits, self._coding, key, span[0], tensor.cutoff)
        self._buffers.give(raw)
        refuse_overflow(tensor.other, chunk.measured)
        return _Piece(chunk, compress(chunk.data, chunk.cuts), base)


def refuse_overflow(name: str, measured: Measured) -> None:
    """Raise InputRefused for a delta with values that no encoding holds: too large, infinite or NaN."""
    largest = max(abs(measured.minimum), abs(measured.maximum))
    if not (largest <= LARGEST and math.isfinite(measured.absolute)):
        raise InputRefused(
            f"tensor {name!r} differs from its base by {largest:g}, more than a delta can hold ({LARGEST:g})",
            hint="the checkpoint is broken (a diverged or badly converted model): it cannot be merged",
        )
