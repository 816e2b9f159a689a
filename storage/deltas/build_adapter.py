"""Making a skill from a PEFT adapter: its own factors, stored exactly; what it replaces, as exact deltas.

Of DoRA the gains are stored, and not the magnitudes that they are computed from (``storage.deltas.gains``).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from storage.checkpoints.adapter import Adapter, LoraModule
from storage.checkpoints.inputs import read_chunk, refuse_not_finite, source_digest, tensor_digests
from storage.checkpoints.payloads import ContentHash
from storage.checkpoints.tensors import TensorEntry, TensorSource, listed
from storage.deltas.align import Alignment, MissingTensor
from storage.deltas.align_adapter import AdapterAlignment, align_adapter
from storage.deltas.base_model import BaseModel
from storage.deltas.build import Built, head_config, summarize
from storage.deltas.delta import DeltaWriter
from storage.deltas.encoder import refuse_overflow
from storage.deltas.gains import find_gains
from storage.deltas.grown import BaseRows
from storage.deltas.manifest import LowRank, Manifest, TensorDelta
from storage.deltas.tensor_builder import TensorBuilder
from storage.digests import blake3_digest
from storage.encodings.chunks import LowRankChunk, dense
from storage.encodings.coding import EXACT
from storage.encodings.frames import chunk_count, chunk_span
from storage.encodings.measured import Measured, measure_delta, untouched
from storage.encodings.numeric import Floats, as_bits, widen
from storage.errors import InputRefused
from storage.files import temporary_path
from storage.pipeline import in_order
from storage.progress import Progress


def build_adapter_delta(base: BaseModel, adapter: Adapter, path: Path, *, threads: int, progress: Progress) -> Built:
    """Write the skill of ``adapter`` to the new file ``path``. Errors as ``storage.deltas.build.build_delta``."""
    alignment = align_adapter(base.source.entries, adapter.modules, adapter.replaced)
    # Full tensors are known by their bare names; their bytes lie under the adapter's own.
    replaced = _Renamed(adapter.source, adapter.replaced)
    with DeltaWriter(temporary_path(path.parent, "spool")) as writer:
        where = str(adapter.root)
        rows = BaseRows(replaced, base.source.entries, alignment.grown)
        builder = TensorBuilder(base, rows, EXACT, writer, where, threads=threads, progress=progress)
        builder.hash((other for name, other in alignment.replaced if name in alignment.modules), "read adapter")
        alignment = _really_replaced(base, alignment, builder.digests)
        as_alignment = _as_alignment(base, alignment)
        builder.check_numbers(as_alignment)
        head = builder.add_head(alignment.extra)
        factors = _Factors(base, adapter, writer)
        measured = _measure_products(factors, alignment.modules, threads, progress)
        tensors = builder.add_rows(replaced, as_alignment.grown, builder.tensors(as_alignment))
        tensors = {name: dataclasses.replace(tensor, reason=None) for name, tensor in tensors.items()}
        tensors |= factors.tensors
        digests = factors.digests | {entry.name: builder.digests[name] for name, entry in adapter.replaced.items()}
        idle = sorted(adapter.source.entries.keys() - digests.keys())  # saved twice: part of the adapter's digest only
        digests |= tensor_digests(adapter.source, threads, progress, "read adapter", where, idle) if idle else {}
        manifest = Manifest(
            encoding="lora",
            base=base.digest,
            fine_tuned=source_digest(adapter.source.entries, digests),
            tensors={name: tensors[name] for name in sorted(tensors)},
            prefix=alignment.prefix_added,
            dropped_prefix=alignment.prefix_removed,
            head=head,
            config=head_config(base.config) if head else None,
        )
        statistics = summarize(measured | builder.measured)
        writer.finish(path, manifest, statistics)
    return Built(manifest, statistics, (*alignment.notes, *_head_notes(head), *_advice_notes(statistics)))


class _Renamed:
    """A source's tensors under other names."""

    def __init__(self, source: TensorSource, entries: Mapping[str, TensorEntry]):
        self._source = source
        self._old = {name: entry.name for name, entry in entries.items()}
        self._entries = {name: dataclasses.replace(entries[name], name=name) for name in sorted(entries)}

    @property
    def entries(self) -> Mapping[str, TensorEntry]:
        """Entries by their new names."""
        return self._entries

    def read_into(self, name: str, start: int, out: memoryview) -> None:
        """Read under the old name."""
        self._source.read_into(self._old[name], start, out)

    def close(self) -> None:
        """The source belongs to the adapter."""


def _really_replaced(base: BaseModel, alignment: AdapterAlignment, digests: Mapping[str, str]) -> AdapterAlignment:
    """Without the full tensors that are adapted too: PEFT saves a whole embedding, the base's own, with its factors.

    Raises InputRefused for a tensor that is both adapted and replaced by something else.
    """
    adapted = [pair for pair in alignment.replaced if pair[0] in alignment.modules]
    grown = set(alignment.grown)
    both = sorted(pair[0] for pair in adapted if pair in grown or base.digests[pair[0]] != digests[pair[1]])
    if both:
        raise InputRefused(
            f"the adapter both replaces and adapts: {listed(both)}",
            hint="merge it with PEFT's merge_and_unload and register the saved model",
        )
    kept = (pair for pair in alignment.replaced if pair[0] not in alignment.modules)
    return dataclasses.replace(alignment, replaced=tuple(kept))


def _as_alignment(base: BaseModel, alignment: AdapterAlignment) -> Alignment:
    """The full tensors of an adapter, seen as a fine-tune that leaves the rest of the base alone."""
    replaced = {name for name, _ in alignment.replaced}
    rest = sorted(base.source.entries.keys() - replaced - alignment.modules.keys())
    return Alignment(
        prefix_added=alignment.prefix_added,
        prefix_removed=alignment.prefix_removed,
        pairs=alignment.replaced,
        extra=alignment.extra,
        missing=tuple(MissingTensor(name, "allowed") for name in rest),
        tied_extra=(),
        extra_buffers=(),
        notes=alignment.notes,
        grown=tuple(pair for pair in alignment.grown if pair in alignment.replaced),
    )


class _Factors:
    """Reads each module's factors once and stores them; ``digests`` are by the adapter's names."""

    def __init__(self, base: BaseModel, adapter: Adapter, writer: DeltaWriter):
        self.base, self.source, self.where, self.writer = base, adapter.source, str(adapter.root), writer
        self.digests: dict[str, str] = {}
        self.tensors: dict[str, TensorDelta] = {}

    def store(self, name: str, module: LoraModule) -> LowRankChunk:
        """Store one module's factors as they are, and its gains; they come back in fp32, as all of the tensor."""
        a, b = self.source.entries[module.a], self.source.entries[module.b]
        content = ContentHash()
        matrices = []
        for side, entry in (("A", a), ("B", b)):
            size = (module.rank, -1) if side == "A" else (-1, module.rank)
            raw = self._read(entry)
            matrix = widen(as_bits(raw, entry.dtype), entry.dtype).reshape(size)
            self.writer.add_raw(f"lora/{name}/{side}", entry.dtype, matrix.shape, [raw])
            content.update(bytes(raw))
            matrices.append(matrix)
        base = self.base.source.entries[name]
        a_matrix, b_matrix = matrices
        place = (module.scaling, module.transposed, 0, base.elements)
        term = LowRankChunk(a_matrix, b_matrix, *place, base_dtype=base.dtype)
        if module.magnitude is not None:
            gains = self._gains(name, self.source.entries[module.magnitude], term)
            self.writer.add_raw(f"lora/{name}/gains", "F32", gains.shape, [gains.tobytes()])
            content.update(gains.tobytes())
            term = dataclasses.replace(term, gains=gains)
        self.tensors[name] = self._entry(name, module, content.digest(), a.dtype, matrices)
        return term

    def _gains(self, name: str, magnitude: TensorEntry, term: LowRankChunk) -> Floats:
        raw = self._read(magnitude)
        lengths = widen(as_bits(raw, magnitude.dtype), magnitude.dtype).reshape(-1)
        return find_gains(self.base, name, term, lengths)

    def _read(self, entry: TensorEntry) -> memoryview:
        raw = read_chunk(self.source, entry.name, 0, entry.elements)
        self.digests[entry.name] = blake3_digest(raw)
        refuse_not_finite(entry, raw, 0, self.where)
        return raw

    def _entry(
        self, name: str, module: LoraModule, content: str, dtype: str, matrices: Sequence[Floats]
    ) -> TensorDelta:
        entry = self.base.source.entries[name]
        return TensorDelta(
            form="lora",
            dtype=entry.dtype,
            shape=entry.shape,
            base=self.base.digests[name],
            fine_tuned=content,
            fine_tuned_dtype=dtype,
            content=content,
            low_rank=LowRank(
                a=f"lora/{name}/A",
                b=f"lora/{name}/B",
                rank=module.rank,
                rows=matrices[1].shape[0],
                columns=matrices[0].shape[1],
                scaling=module.scaling,
                transposed=module.transposed,
                gains=f"lora/{name}/gains" if module.magnitude else None,
            ),
        )


def _measure_products(
    factors: _Factors, modules: Mapping[str, LoraModule], threads: int, progress: Progress
) -> dict[str, Measured]:
    """Store all factors, with statistics of every tensor the adapter could touch: the rest is untouched."""
    entries = factors.base.source.entries
    measured = {name: untouched(entry.elements) for name, entry in entries.items() if name not in modules}
    progress.start("measure adapter", sum(4 * entries[name].elements for name in modules))

    def measure(chunk: tuple[str, LowRankChunk]) -> tuple[str, Measured]:
        name, term = chunk
        own = b"" if term.gains is None else read_chunk(factors.base.source, name, term.start, term.count)
        return name, measure_delta(dense(term, as_bits(own, term.base_dtype)))

    try:
        with closing(in_order(measure, _products(factors, modules), threads)) as found_in_order:
            for name, found in found_in_order:
                refuse_overflow(name, found)
                measured[name] = measured.get(name, Measured()) + found
                progress.advance(4 * found.elements)
    finally:
        progress.finish()
    return measured


def _products(factors: _Factors, modules: Mapping[str, LoraModule]) -> Iterator[tuple[str, LowRankChunk]]:
    for name, module in modules.items():
        whole = factors.store(name, module)
        for index in range(chunk_count(whole.count)):
            start, count = chunk_span(index, whole.count)
            yield name, dataclasses.replace(whole, start=start, count=count)


def _head_notes(head: Mapping[str, object]) -> tuple[str, ...]:
    if not head:
        return ()
    return ("an adapter has no config.json of its own: its head is loaded with the base's, adjust it if need be",)


def _advice_notes(statistics: Mapping[str, Any]) -> tuple[str, ...]:
    """Nothing is dropped from an adapter when it is stored, but a dare method would drop while merging."""
    advice = statistics["advice"]
    if advice["verdict"] == "fine":
        return ()
    return (f"DARE while merging: {advice['verdict']}: {advice['sentence']}",)
