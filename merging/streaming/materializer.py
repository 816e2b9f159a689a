"""The streaming materializer: reads the base once, chunk by chunk, and hands the merged model to a sink.

Every thread takes the next chunk, reads it, merges it and writes it. What has to happen in order (the digest of
a tensor as read, that as merged, that of a file) is done by whichever thread brings the chunk that is next, so
no thread waits for another as long as there are buffers. The output does not depend on how many threads there are.

Memory: ``threads + SPARE`` chunks are under way at most, each with one buffer for what is read and one for the
result, 2^20 elements long, whatever the size of the model; and what the engine needs to compute ``threads`` chunks.
Of methods that compute whole tensors, a chunk is a tensor, and its skills' deltas are in memory too, as fp32.
"""

from __future__ import annotations

import dataclasses
import itertools
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from merging.engines.combination import Change, Engine
from merging.plans.plan import OutputTensor, Plan
from merging.streaming.chunk import merge_chunk, read_chunk
from merging.streaming.origin import Origin, origin
from merging.streaming.sinks import Sink
from storage.checkpoints.inputs import check_digest, digest_of
from storage.dtypes import DTYPES
from storage.encodings.frames import CHUNK
from storage.lending import Loan, Pool
from storage.memory import as_view
from storage.pipeline import Strand, run_all
from storage.progress import Progress

SPARE = 4
"""Chunks under way beside those that threads are at work on: results that wait for their turn."""
LARGE = 1 << 24
"""Elements; of tensors computed whole that are larger, one is computed at a time."""
_SIDE_BY_SIDE = 4  # lanes: the SHA-256 of one file, on one thread, is slower than all else on many

Item = TypeVar("Item")


@dataclass(frozen=True)
class MergedTensor:
    """Digest of one merged tensor, and how it differs from the base: Σ(out − base)² and elements changed."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    digest: str
    squares: float
    changed: int


def materialize(plan: Plan, sink: Sink, engine: Engine, threads: int, progress: Progress) -> list[MergedTensor]:
    """Compute every tensor of the plan into ``sink``; their digests come back in the order of its lanes.

    Raises InputRefused when a result is not finite, IntegrityFailure when stored bytes are damaged. However it
    ends, no thread uses the plan's files or the sink afterwards.
    """
    lanes = sink.lanes(plan.outputs)
    pool = Pool(lambda: _Buffers.for_chunks(engine, largest_chunk(plan)), threads + SPARE)
    run = _Run(plan, sink, engine, progress)
    progress.start("materialize", sum(output.nbytes for output in plan.outputs))
    try:
        run_all(run.compute, _lent(run.pieces(lanes), pool), threads, pool.close)
    finally:
        progress.finish()
    return run.merged()


class _Buffers:
    """Room for one piece: the bytes as read and the bytes of the result."""

    def __init__(self, source: NDArray[np.uint8], result: NDArray[np.uint8]):
        self.source, self.result = as_view(source), as_view(result)

    @classmethod
    def for_chunks(cls, engine: Engine, nbytes: int) -> _Buffers:
        """For one chunk at a time; an engine may want memory of its own kind, as a GPU does."""
        allocate: Callable[[int], NDArray[np.uint8]] = getattr(engine, "allocate", _allocate)
        return cls(allocate(nbytes), allocate(nbytes))

    @classmethod
    def of(cls, origin: Origin) -> _Buffers:
        """For a tensor that is computed whole."""
        return cls(_allocate(origin.source_span(0)[1]), _allocate(origin.result_span(0)[1]))


def _allocate(nbytes: int) -> NDArray[np.uint8]:
    return np.empty(nbytes, np.uint8)


def largest_chunk(plan: Plan) -> int:
    """Bytes of the largest chunk that is read or made."""
    dtypes = {entry.dtype for entry in plan.base.entries.values()} | {output.dtype for output in plan.outputs}
    if plan.head is not None:
        dtypes |= {tensor.dtype for tensor in plan.head.manifest.head.values()}
    elements = max((output.elements for output in plan.outputs), default=0)
    return min(CHUNK, elements) * max((DTYPES[dtype].itemsize for dtype in dtypes), default=0)


class _Tensor:
    """One tensor of the result on its way: its digests, taken in order, and how it differs from the base."""

    def __init__(self, origin: Origin):
        self.origin = origin
        self.chunks = max(1, origin.pieces)  # an empty tensor is a tensor too
        self.source, self.result = Strand(), Strand()
        self._source_hash, self._result_hash = blake3(), blake3()
        self._squares, self._changed = 0.0, 0

    def follow_source(self, index: int, data: memoryview) -> None:
        """The next chunk as it was read; after the last one, whether it was what is on record."""
        self._source_hash.update(data)
        if index == max(1, self.origin.own_pieces) - 1:
            name = self.origin.output.base or self.origin.output.head
            check_digest(f"tensor {name!r}", digest_of(self._source_hash), self.origin.digest)

    def follow_result(self, index: int, data: memoryview, change: Change) -> None:
        """The next chunk of the result; after the last one, what the skills had for this tensor is let go."""
        self._result_hash.update(data)
        self._squares += change.squares
        self._changed += change.changed
        if index == self.chunks - 1:
            self.origin = dataclasses.replace(self.origin, terms=(), task=None)

    def merged(self) -> MergedTensor:
        """What became of it; only when all chunks have passed."""
        output = self.origin.output
        # What is carried over is hashed once.
        digest = self.origin.digest if self.origin.carried else "blake3:" + self._result_hash.hexdigest()
        return MergedTensor(output.name, output.dtype, output.shape, digest, self._squares, self._changed)


@dataclass(frozen=True)
class _Piece:
    """One chunk of one tensor; ``number`` counts the pieces of its lane that are not empty."""

    tensor: _Tensor
    index: int
    lane: Strand
    number: int


_Task = tuple[_Piece, Loan[_Buffers]]


class _Run:
    """One materialization: what all threads share."""

    def __init__(self, plan: Plan, sink: Sink, engine: Engine, progress: Progress):
        self._plan, self._sink, self._engine, self._progress = plan, sink, engine, progress
        self._reporting, self._large = threading.Lock(), threading.Lock()
        self._lanes: list[list[_Tensor]] = []

    def merged(self) -> list[MergedTensor]:
        """The finished tensors, lane by lane."""
        return [tensor.merged() for lane in self._lanes for tensor in lane]

    def pieces(self, lanes: Iterable[Sequence[OutputTensor]]) -> Iterator[_Piece]:
        """All chunks, a few lanes side by side."""
        return _interleaved([self._lane(outputs) for outputs in lanes], _SIDE_BY_SIDE)

    def _lane(self, outputs: Sequence[OutputTensor]) -> Iterator[_Piece]:
        tensors: list[_Tensor] = []
        self._lanes.append(tensors)
        strand, number = Strand(), 0
        for output in outputs:
            tensors.append(_Tensor(origin(self._plan, output)))
            for index in range(tensors[-1].chunks):
                yield _Piece(tensors[-1], index, strand, number)
                number += 1 if output.elements else 0

    def compute(self, task: _Task) -> None:
        """Read, merge and write one chunk, and pass it to the digests that it is part of."""
        piece, loan = task
        tensor, index, origin = piece.tensor, piece.index, piece.tensor.origin
        start, nbytes = origin.result_span(index)
        place = self._sink.place(origin.output, start, nbytes)
        added = origin.is_added(index)
        buffers = _Buffers.of(origin) if origin.whole and not added else loan.item
        result = buffers.result[:nbytes] if place is None else place
        source = result if origin.carried else buffers.source[: origin.source_span(index)[1]]
        read_chunk(self._plan, origin, index, source)
        if not added:
            tensor.source.bring(index, _held(loan, lambda: tensor.follow_source(index, source)))
        if not origin.carried:
            with self._large if origin.whole and origin.output.elements > LARGE else nullcontext():
                change = merge_chunk(self._plan, self._engine, origin, index, source, result)
            tensor.result.bring(index, _held(loan, lambda: tensor.follow_result(index, result, change)))
        if nbytes:
            self._sink.write(origin.output, start, result)
            piece.lane.bring(piece.number, _held(loan, lambda: self._sink.follow(origin.output, result)))
        loan.release()
        with self._reporting:
            self._progress.advance(nbytes)


def _held(loan: Loan[_Buffers], use: Callable[[], None]) -> Callable[[], None]:
    """A step that keeps the buffers until it has been done."""
    loan.hold()

    def step() -> None:
        use()
        loan.release()

    return step


def _lent(pieces: Iterable[_Piece], pool: Pool[_Buffers]) -> Iterator[_Task]:
    """Each piece with buffers of its own. Lent in order: the piece all others wait for never lacks them."""
    for piece in pieces:
        loan = pool.lend()
        if loan is None:
            return
        yield piece, loan


def _interleaved(lanes: Iterable[Iterator[Item]], width: int) -> Iterator[Item]:
    """One item of each of ``width`` iterators in turn; where one ends, another takes its place."""
    waiting = iter(lanes)
    running = deque(itertools.islice(waiting, width))
    while running:
        lane = running.popleft()
        for item in itertools.islice(lane, 1):
            yield item
            running.append(lane)
            break
        else:
            running.extend(itertools.islice(waiting, 1))
