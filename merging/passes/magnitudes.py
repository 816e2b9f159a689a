"""Cutoffs of one skill's magnitudes: the k-th largest of all its values in some tensors, counted on threads.

It takes a histogram of upper bits and then one of the lower bits within a single bin of it. A sample of the chunks
tells about where that bin will be, so both are nearly always counted in one pass over all of them; where the sample
was wrong a second pass is made. The answer is exact either way. Where a skill stores no more values than are to be
kept, nothing is counted at all.

Memory: for each thread one chunk of the base, one of fp32 values, and at most 8.5 MiB of histograms.
"""

from __future__ import annotations

import bisect
import dataclasses
import threading
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from merging.engines.combination import Contribution
from merging.engines.numba_engine import values
from merging.plans.plan import Plan, SkillTerm
from storage.deltas.delta import TensorTerm
from storage.dtypes import DTYPES
from storage.encodings import magnitude
from storage.encodings.chunks import KeptChunk
from storage.encodings.coding import Coding
from storage.encodings.cutoffs import Counts, find_cutoff, new_counts
from storage.encodings.frames import CHUNK, chunk_count, chunk_span
from storage.encodings.magnitude_kernels import count_around, count_patterns
from storage.encodings.numeric import Bits, Floats, as_bits
from storage.lending import Pool
from storage.memory import as_view
from storage.pipeline import run_all
from storage.progress import Progress

_BINS = 1 << 16
_WINDOW = 16  # prefixes whose lower bits the first pass counts: 3 to 6 % below and above the expected magnitude
_SAMPLE = 16  # one chunk in so many is looked at beforehand
_WORTHWHILE = 4 * _SAMPLE  # chunks; of fewer no sample is taken
_SPILL = 16  # bins that the window's kernel has for what lies outside

_Chunk = tuple[TensorTerm, int]


@dataclass(frozen=True)
class _Pass:
    """What is counted: with ``prefix`` lower bits below it; else upper bits, and lower ones in a window."""

    prefix: int | None = None
    first: int = 0  # prefix that the window begins with
    width: int = 0  # prefixes in the window

    def new_window(self) -> Counts:
        """A window's histograms of nothing."""
        return np.zeros(self.width * _BINS + _SPILL, np.uint64)


class _Bench:
    """What one thread counts with."""

    def __init__(self) -> None:
        self.base = as_view(np.empty(4 * CHUNK, np.uint8))
        self.values = np.empty(CHUNK, np.float32)
        self.counts = new_counts()
        self.window = _Pass().new_window()
        self._counted: _Pass | None = None

    def begin(self, counted: _Pass) -> None:
        """Start from nothing, if this pass is new here."""
        if self._counted is counted:
            return
        self._counted = counted
        self.counts[:] = 0
        self.window = counted.new_window()

    def belongs_to(self, counted: _Pass) -> bool:
        """Whether it has counted anything of this pass."""
        return self._counted is counted

    def add(self, floats: Floats, counted: _Pass) -> None:
        """Count the magnitudes of these values; zeros are not counted."""
        patterns = floats.view(np.uint32)
        if counted.width:
            count_around(patterns, np.int64(counted.first), self.counts, self.window)
        else:
            count_patterns(patterns, np.int64(-1 if counted.prefix is None else counted.prefix), self.counts)


class MagnitudeCounter:
    """Finds cutoffs of the plan's skills, one after the other, with the same memory."""

    def __init__(self, plan: Plan, threads: int, progress: Progress):
        self._plan, self._threads, self._progress = plan, threads, progress
        self._benches: list[_Bench] = []
        self._pool = Pool(self._make, threads)
        self._reporting = threading.Lock()

    def _make(self) -> _Bench:
        bench = _Bench()  # several threads may be here at once
        self._benches.append(bench)
        return bench

    def cutoff(self, skill: SkillTerm, terms: Sequence[TensorTerm], keep: int) -> float:
        """The ``keep``-th largest magnitude that is not zero of a skill's values in these tensors.

        0 where no more than ``keep`` are not zero, infinity where ``keep`` is 0 and some are not.
        """
        if sum(most_values(term) for term in terms) <= keep:
            return 0.0
        chunks = [(term, index) for term in terms for index in range(chunk_count(term.tensor.elements))]
        both = self._expected(skill, chunks, keep)
        window = both.new_window()

        def histogram(prefix: int | None) -> Counts:
            nonlocal window
            if prefix is None:
                counts, window = self._count(skill, chunks, both)
                return counts
            place = (prefix - both.first) * _BINS
            if 0 <= place < both.width * _BINS:
                return window[place : place + _BINS]
            return self._count(skill, chunks, _Pass(prefix))[0]

        return find_cutoff(keep, histogram)

    def _expected(self, skill: SkillTerm, chunks: Sequence[_Chunk], keep: int) -> _Pass:
        """A first pass with a window where a sample of the chunks has the cutoff."""
        if len(chunks) < _WORTHWHILE:
            return _Pass()
        sample = chunks[_SAMPLE // 2 :: _SAMPLE]
        from_top = np.cumsum(self._count(skill, sample, _Pass())[0][::-1])
        rank = keep * _elements(sample) / _elements(chunks)
        if rank >= from_top[-1]:
            return _Pass()
        prefix = _BINS - 1 - int(np.searchsorted(from_top, rank))
        return _Pass(first=max(0, prefix - _WINDOW // 2), width=_WINDOW)

    def _count(self, skill: SkillTerm, chunks: Sequence[_Chunk], counted: _Pass) -> tuple[Counts, Counts]:
        """The histogram of one pass, and its window's histograms one after the other."""
        self._progress.start("trim", 4 * _elements(chunks))
        try:
            threads = min(self._threads, len(chunks))
            run_all(lambda chunk: self._add(skill, *chunk, counted), chunks, threads)
        finally:
            self._progress.finish()
        counts, window = new_counts(), counted.new_window()
        for bench in self._benches:
            if bench.belongs_to(counted):
                counts += bench.counts
                window += bench.window
        return counts, window

    def _add(self, skill: SkillTerm, term: TensorTerm, index: int, counted: _Pass) -> None:
        contribution = _alone(self._plan.contribution(term.name, skill, term, index))
        count = contribution.term.count
        loan = self._pool.lend()
        assert loan is not None  # as many as there are threads
        bench = loan.item
        bench.begin(counted)
        floats = bench.values[:count]
        values(contribution, self._base(contribution, term, index, bench), floats)
        bench.add(floats, counted)
        loan.release()
        with self._reporting:
            self._progress.advance(4 * chunk_span(index, term.tensor.elements)[1])

    def _base(self, contribution: Contribution, term: TensorTerm, index: int, bench: _Bench) -> Bits:
        """The base's chunk; any bytes where the values do not depend on it."""
        dtype = self._plan.base.entries[term.name].dtype
        itemsize = DTYPES[dtype].itemsize
        raw = bench.base[: contribution.term.count * itemsize]
        if isinstance(contribution.term, KeptChunk) and contribution.term.coding.values == "exact":
            start, _ = chunk_span(index, term.tensor.elements)
            self._plan.base.read_into(term.name, start * itemsize, raw)
        return as_bits(raw, dtype)


def _elements(chunks: Sequence[_Chunk]) -> int:
    return sum(chunk_span(index, term.tensor.elements)[1] for term, index in chunks)


def most_values(term: TensorTerm) -> int:
    """No fewer than the values of a tensor that are not zero, by the sizes of its frames alone."""
    tensor = term.tensor
    coding = tensor.coding
    # An exact code of zero can mean a value where the fine-tune has another dtype.
    if term.frames is None or coding is None or (coding.values == "exact" and tensor.dtype != tensor.fine_tuned_dtype):
        return tensor.elements
    decoded = sum(nbytes for _, _, nbytes in term.frames.frames)
    return _capacity(coding, decoded, tensor.elements, DTYPES[tensor.fine_tuned_dtype].itemsize)


def _capacity(coding: Coding, nbytes: int, limit: int, itemsize: int) -> int:
    """The most values, up to ``limit``, that so many decoded bytes can hold."""

    def size(kept: int) -> int:
        # A magnitude's place takes a byte at least.
        return coding.frame_size(kept, itemsize) + (kept if coding.selects_magnitude else 0)

    return bisect.bisect_right(range(limit + 1), nbytes, key=size) - 1


def _alone(contribution: Contribution) -> Contribution:
    """The same values, where possible as a chunk of their own without what was dropped between them.

    Zeros are not counted, so it makes no difference which elements were dropped; drawing the mask is saved.
    """
    term = contribution.term
    if contribution.drop is not None or not isinstance(term, KeptChunk) or not term.data:
        return contribution
    if term.coding.values == "exact" or not term.coding.sparsified:
        return contribution
    data, coding = memoryview(term.data), Coding(term.coding.values)
    if term.coding.selects_magnitude:
        try:
            kept, _, data = magnitude.split(term.data, term.count)
        except ValueError:
            return contribution  # damaged: decoding it says how
    else:
        kept = _capacity(coding, len(data), term.count, DTYPES[term.dtype].itemsize)
    alone = dataclasses.replace(term, data=bytes(data), coding=coding, key=0, start=0, count=kept)
    return dataclasses.replace(contribution, term=alone)
