"""The streaming materializer: reads the base once, chunk by chunk, and hands merged chunks on in order.

Memory is bounded by the chunks in flight, not by the model. Chunks are computed on a pool of threads and consumed
in order, so the output does not depend on how many threads there are.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from blake3 import blake3

from merging.combination import Combine, Contribution, Engine
from merging.plan import OutputTensor, Plan, SkillTerm
from storage.deltas.delta import TensorTerm
from storage.dtypes import DTYPES, MERGEABLE
from storage.encodings.chunks import KeptChunk, rebuild
from storage.encodings.frames import CHUNK, chunk_count, chunk_span, read_exactly
from storage.encodings.kernels import difference_energy
from storage.encodings.numeric import Bits, as_bits, as_bytes, convert, finite, narrow, widen
from storage.errors import InputRefused, IntegrityFailure
from storage.pipeline import in_order
from storage.progress import Progress


class Sink(Protocol):
    """Takes the merged model's bytes: whole tensors one after the other, each in consecutive pieces."""

    def order(self, outputs: Iterable[OutputTensor]) -> list[OutputTensor]:
        """The order in which this sink wants the tensors."""

    def write(self, output: OutputTensor, data: memoryview) -> None:
        """The next bytes of a tensor."""


@dataclass(frozen=True)
class MergedTensor:
    """Digest of one merged tensor, and how it differs from the base: Σ(out − base)² and elements changed."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    digest: str
    squares: float
    changed: int


@dataclass(frozen=True)
class _Job:
    output: OutputTensor
    index: int
    terms: tuple[tuple[SkillTerm, TensorTerm], ...] = ()


@dataclass(frozen=True)
class _Done:
    job: _Job
    data: memoryview
    source: memoryview  # the bytes that were read, whose digest is known
    squares: float = 0.0
    changed: int = 0


def materialize(plan: Plan, sink: Sink, engine: Engine, threads: int, progress: Progress) -> list[MergedTensor]:
    """Compute every tensor of the plan and write it to ``sink``; digests come back in the sink's order.

    Raises InputRefused when a result is not finite, IntegrityFailure when stored bytes are damaged.
    """
    worker = _Worker(plan, engine)
    ordered = sink.order(plan.outputs)
    progress.start("materialize", sum(output.nbytes for output in ordered))
    merged: list[MergedTensor] = []
    try:
        done = in_order(worker.run, _jobs(plan, ordered), threads)
        for output, pieces in itertools.groupby(done, key=lambda piece: piece.job.output):
            merged.append(_consume(plan, output, pieces, sink, progress))
    finally:
        progress.finish()
    return merged


def _jobs(plan: Plan, outputs: Iterable[OutputTensor]) -> Iterator[_Job]:
    for output in outputs:
        merges = output.base is not None and output.dtype in MERGEABLE
        terms = tuple(plan.terms(output.base)) if merges and output.base else ()
        # An empty tensor has no chunk but is still a tensor of the result.
        for index in range(max(1, chunk_count(output.elements))):
            yield _Job(output, index, terms)


def _consume(plan: Plan, output: OutputTensor, pieces: Iterable[_Done], sink: Sink, progress: Progress) -> MergedTensor:
    source_hash, hasher = blake3(), blake3()
    squares, changed = 0.0, 0
    for piece in pieces:
        source_hash.update(piece.source)
        hasher.update(piece.data)
        sink.write(output, piece.data)
        progress.advance(len(piece.data))
        squares += piece.squares
        changed += piece.changed
    _check_digest(output, "blake3:" + source_hash.hexdigest(), _recorded(plan, output))
    digest = "blake3:" + hasher.hexdigest()
    return MergedTensor(output.name, output.dtype, output.shape, digest, squares, changed)


def _recorded(plan: Plan, output: OutputTensor) -> str:
    """The digest that the bytes read for an output must have."""
    if output.base is not None:
        return plan.base_digests[output.base]
    assert plan.head is not None
    assert output.head is not None
    return plan.head.manifest.head[output.head].digest


def _check_digest(output: OutputTensor, found: str, recorded: str) -> None:
    if found != recorded:
        raise IntegrityFailure(
            f"tensor {output.base or output.head!r} hashes to {found}, recorded is {recorded}",
            hint="the stored or referenced file has changed: run `mergestore verify`",
        )


class _Worker:
    """Computes one chunk at a time, on whichever thread."""

    def __init__(self, plan: Plan, engine: Engine):
        self.plan = plan
        self.engine = engine

    def run(self, job: _Job) -> _Done:
        """Read, merge and check one chunk."""
        if job.output.head is not None:
            return self._head(job, job.output.head)
        assert job.output.base is not None
        entry = self.plan.base.entries[job.output.base]
        raw = self._read(job, entry.dtype)
        if entry.dtype not in MERGEABLE:
            return _Done(job, raw, raw)
        base = as_bits(raw, entry.dtype)
        out = self._merge(job, base, entry.dtype)
        if out is base:
            return _Done(job, raw, raw)
        if not finite(out, job.output.dtype):
            raise _not_finite(job, out)
        squares, changed = difference_energy(widen(out, job.output.dtype), widen(base, entry.dtype))
        return _Done(job, as_bytes(out), raw, squares, int(changed))

    def _read(self, job: _Job, dtype: str) -> memoryview:
        assert job.output.base is not None
        start, count = chunk_span(job.index, job.output.elements)
        itemsize = DTYPES[dtype].itemsize
        raw = memoryview(bytearray(count * itemsize))
        self.plan.base.read_into(job.output.base, start * itemsize, raw)
        return raw

    def _merge(self, job: _Job, base: Bits, dtype: str) -> Bits:
        plan, out_dtype = self.plan, job.output.dtype
        contributions = tuple(plan.contribution(skill, term, job.index) for skill, term in job.terms)
        if not base.size:
            return base if dtype == out_dtype else convert(base, dtype, out_dtype)
        if not contributions:
            return untouched(base, dtype, plan.combine, out_dtype)
        if plan.is_identity(contributions):
            return _fine_tuned(contributions[0], base, out_dtype)
        return self.engine.merge(base, dtype, contributions, plan.combine, out_dtype)

    def _head(self, job: _Job, name: str) -> _Done:
        assert self.plan.head is not None
        entry, fd = self.plan.head.head(name)
        start, count = chunk_span(job.index, job.output.elements)
        itemsize = DTYPES[entry.dtype].itemsize
        where = f"{self.plan.head.path}: head tensor {name!r}"
        raw = memoryview(read_exactly(fd, count * itemsize, entry.offset + start * itemsize, where))
        if entry.dtype == job.output.dtype:
            return _Done(job, raw, raw)
        out = convert(as_bits(raw, entry.dtype), entry.dtype, job.output.dtype)
        if not finite(out, job.output.dtype):
            raise _not_finite(job, out)
        return _Done(job, as_bytes(out), raw)


def untouched(base: Bits, dtype: str, combine: Combine, out_dtype: str) -> Bits:
    """A chunk that no skill changes: the base's own bits, unless scaled (`linear` unnormalized) or converted."""
    if combine.base_scale == 1.0:
        return convert(base, dtype, out_dtype)
    return narrow(np.float32(combine.base_scale) * widen(base, dtype), out_dtype)


def _fine_tuned(contribution: Contribution, base: Bits, out_dtype: str) -> Bits:
    term = contribution.term
    assert isinstance(term, KeptChunk)
    return convert(rebuild(term, base), term.dtype, out_dtype)


def _not_finite(job: _Job, out: Bits) -> InputRefused:
    values = widen(out, job.output.dtype)
    position = int(np.flatnonzero(~np.isfinite(values))[0])
    return InputRefused(
        f"tensor {job.output.name!r}: element {job.index * CHUNK + position} of the result is {values[position]}",
        hint=f"it does not fit {job.output.dtype}: use smaller weights, or another output dtype (--dtype F32)",
    )
