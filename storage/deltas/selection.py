"""The cutoffs of encoding `magnitude`: the k-th largest magnitude of a whole delta, or of one tensor's.

It can only be known after all the values have been seen, so each takes two passes over base and fine-tune before the
one that encodes: a histogram of the magnitudes' upper 16 bits, then one of the lower bits in the bin that counts.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing

from storage.checkpoints.inputs import read_chunk
from storage.checkpoints.tensors import TensorSource
from storage.deltas.grown import Pair
from storage.dtypes import DTYPES
from storage.encodings.coding import Coding
from storage.encodings.cutoffs import Counts, count_difference, find_cutoff, kept_count, new_counts
from storage.encodings.frames import CHUNK, chunk_count, chunk_span
from storage.encodings.numeric import as_bits
from storage.memory import Buffers
from storage.pipeline import in_order
from storage.progress import Progress


def tensor_cutoff(base: TensorSource, source: TensorSource, pair: Pair, coding: Coding, buffers: Buffers) -> float:
    """The cutoff of one pair of tensors, found on the calling thread."""
    assert coding.density is not None
    entry = base.entries[pair[0]]

    def histogram(prefix: int | None) -> Counts:
        counts = new_counts()
        for index in range(chunk_count(entry.elements)):
            _count(base, source, pair, index, prefix, counts, buffers)
        return counts

    return find_cutoff(kept_count(coding.density, entry.elements), histogram)


def model_cutoff(
    base: TensorSource,
    source: TensorSource,
    pairs: Sequence[Pair],
    coding: Coding,
    elements: int,
    threads: int,
    progress: Progress,
) -> float:
    """The one cutoff of a whole delta whose changed tensors are ``pairs``, of a model of so many elements."""
    assert coding.density is not None
    dtypes = {dtype for name, other in pairs for dtype in (base.entries[name].dtype, source.entries[other].dtype)}
    buffers = Buffers(CHUNK * max((DTYPES[dtype].itemsize for dtype in dtypes), default=0))
    passes = iter((1, 2))

    def histogram(prefix: int | None) -> Counts:
        spare: deque[Counts] = deque()  # as many as there are threads at work

        def count(chunk: tuple[Pair, int]) -> int:
            try:
                counts = spare.pop()
            except IndexError:
                counts = new_counts()
            nbytes = _count(base, source, *chunk, prefix, counts, buffers)
            spare.append(counts)
            return nbytes

        progress.start(f"select, pass {next(passes)}", sum(source.entries[other].nbytes for _, other in pairs))
        try:
            with closing(in_order(count, _chunks(base, pairs), threads)) as counted:
                for nbytes in counted:
                    progress.advance(nbytes)
        finally:
            progress.finish()
        total = new_counts()
        for counts in spare:
            total += counts
        return total

    return find_cutoff(kept_count(coding.density, elements), histogram)


def _chunks(base: TensorSource, pairs: Iterable[Pair]) -> Iterator[tuple[Pair, int]]:
    for pair in pairs:
        for index in range(chunk_count(base.entries[pair[0]].elements)):
            yield pair, index


def _count(
    base: TensorSource,
    source: TensorSource,
    pair: Pair,
    index: int,
    prefix: int | None,
    counts: Counts,
    buffers: Buffers,
) -> int:
    """Add one chunk's magnitudes to a histogram; the bytes that were read of the fine-tune."""
    ours, theirs = base.entries[pair[0]], source.entries[pair[1]]
    span = chunk_span(index, ours.elements)
    old = read_chunk(base, ours.name, *span, buffers)
    new = read_chunk(source, theirs.name, *span, buffers)
    count_difference(as_bits(old, ours.dtype), ours.dtype, as_bits(new, theirs.dtype), theirs.dtype, prefix, counts)
    buffers.give(old)
    buffers.give(new)
    return len(new)
