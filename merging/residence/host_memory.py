"""Resident mode in host memory: the base's bytes and every skill's decoded frames, merged chunk by chunk on threads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from merging.engines.combination import Engine
from merging.passes.products import Matrix, inner_products
from merging.passes.trimming import with_cutoffs
from merging.plans.plan import Plan
from merging.residence.holding import (
    HeldBase,
    HeldDelta,
    HeldTerm,
    Raw,
    hold_added,
    hold_heads,
    hold_term,
    own_terms,
    read_verified,
)
from merging.residence.targets import Targets
from merging.streaming.chunk import merge_chunk
from merging.streaming.origin import Origin, origin
from merging.streaming.tensors import host_bytes
from storage.checkpoints.tensors import TensorSource
from storage.deltas.delta import DeltaFile
from storage.encodings.chunks import KeptChunk
from storage.errors import InputRefused
from storage.pipeline import in_order
from storage.progress import Progress, Silent

if TYPE_CHECKING:
    from torch import Tensor


class HostMemory:
    """A base and skills (by digest) in host memory, and the engine that merges them chunk by chunk."""

    def __init__(self, base: HeldBase, deltas: Mapping[str, HeldDelta], engine: Engine, threads: int):
        self.base = base
        self.deltas = deltas
        self.engine = engine.name
        self.device = engine.device
        self._chunks = engine
        self._threads = threads

    def merge(self, plan: Plan, targets: Targets) -> None:
        """Compute every output that has a target, and write it there.

        Raises InputRefused where a result is not finite, but only when all are written.
        """
        landings = {name: _Landing(tensor) for name, tensor in targets.items()}
        refusals = list(in_order(lambda job: self._run(plan, job), _jobs(plan, landings), self._threads))
        for landing in landings.values():
            landing.finish()
        for refusal in refusals:
            if refusal is not None:
                raise refusal

    def cutoffs(self, plan: Plan) -> Mapping[tuple[str, str], float]:
        """The trimming cutoffs of a plan's skills."""
        return with_cutoffs(plan, self._threads, Silent()).cutoffs

    def products(self, plan: Plan) -> Mapping[str, Matrix]:
        """The inner products of a plan's base and skills."""
        return inner_products(plan, self._threads, Silent())

    def base_size(self) -> int:
        """Bytes that the base takes."""
        return sum(array.nbytes for array in self.base.arrays.values())

    def skill_sizes(self) -> Mapping[str, int]:
        """Bytes that each skill takes, by digest."""
        return {digest: _size(delta) for digest, delta in self.deltas.items()}

    def close(self) -> None:
        """Let go of the memory."""
        self.base, self.deltas = HeldBase({}, {}), {}

    def _run(self, plan: Plan, job: _Job) -> InputRefused | None:
        (start, size), (first, count) = job.origin.source_span(job.index), job.origin.result_span(job.index)
        source = self._source(plan, job.origin)[start : start + size]
        result = job.out.data[first : first + count]
        if job.origin.carried:
            result[:] = source
            return None
        try:
            merge_chunk(plan, self._chunks, job.origin, job.index, source, result)
        except InputRefused as refusal:
            return refusal
        return None

    def _source(self, plan: Plan, origin: Origin) -> memoryview:
        if origin.output.base is not None:
            return self.base.arrays[origin.output.base].data
        assert plan.head is not None
        assert origin.output.head is not None
        return memoryview(self.deltas[plan.head.manifest.digest].heads[origin.output.head])


@dataclass(frozen=True)
class _Job:
    origin: Origin
    index: int
    out: Raw


def hold_on_host(
    source: TensorSource,
    digests: Mapping[str, str],
    deltas: Mapping[str, DeltaFile],
    engine: Engine,
    threads: int,
    progress: Progress,
) -> HostMemory:
    """Read a base and skills (by digest) into memory, checking the digest of every tensor of the base.

    Raises IntegrityFailure where stored bytes are not what they were.
    """
    entries = source.entries

    def read(name: str) -> tuple[str, Raw]:
        array = np.empty(entries[name].nbytes, np.uint8)
        read_verified(source, entries[name], digests[name], array.data)
        return name, array

    arrays = {}
    progress.start("read the base", sum(entry.nbytes for entry in entries.values()))
    try:
        for name, array in in_order(read, entries, threads):
            arrays[name] = array
            progress.advance(array.nbytes)
    finally:
        progress.finish()
    held = {digest: _hold(delta, threads) for digest, delta in deltas.items()}
    return HostMemory(HeldBase(entries, arrays), held, engine, threads)


def _hold(delta: DeltaFile, threads: int) -> HeldDelta:
    terms = {term.name: term for term in in_order(hold_term, own_terms(delta), threads)}
    return HeldDelta(delta, terms, hold_heads(delta), hold_added(delta))


class _Landing:
    """The bytes that a tensor's chunks are written to: its own where it lies in host memory in one piece."""

    def __init__(self, tensor: Tensor):
        self._tensor = tensor
        own = tensor.device.type == "cpu" and tensor.is_contiguous()
        self._staging = None if own else tensor.new_empty(tensor.shape, device="cpu")
        self.raw = host_bytes(tensor if self._staging is None else self._staging)

    def finish(self) -> None:
        """Copy to the tensor what was not written there at once."""
        if self._staging is not None:
            self._tensor.copy_(self._staging)


def _jobs(plan: Plan, landings: Mapping[str, _Landing]) -> Iterator[_Job]:
    for output in plan.outputs:
        if output.name in landings:
            made_of = origin(plan, output)
            for index in range(made_of.pieces):
                yield _Job(made_of, index, landings[output.name].raw)


def _size(delta: HeldDelta) -> int:
    beside = (*delta.heads.values(), *delta.added.values())
    return sum(map(len, beside)) + sum(map(_term_size, delta.terms))


def _term_size(term: HeldTerm) -> int:
    factors = sum(matrix.nbytes for matrix in term.factors or ())
    return factors + sum(len(chunk.data) for chunk in term.held if isinstance(chunk, KeptChunk))
