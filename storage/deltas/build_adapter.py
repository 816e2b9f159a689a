"""Making a skill from a PEFT adapter: its own factors, stored exactly; what it replaces, as exact deltas."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from storage.checkpoints.adapter import Adapter, LoraModule
from storage.checkpoints.inputs import pieces, read_chunk, source_digest, tensor_digests
from storage.checkpoints.tensors import TensorEntry, TensorSource, listed
from storage.deltas.align import Alignment, MissingTensor
from storage.deltas.align_adapter import AdapterAlignment, align_adapter
from storage.deltas.build import BaseModel, Built, TensorBuilder, head_config, refuse_overflow, summarize, write_head
from storage.deltas.delta import ContentHash, DeltaWriter
from storage.deltas.manifest import LowRank, Manifest, TensorDelta
from storage.encodings.chunks import LowRankChunk, dense
from storage.encodings.encode import EXACT
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
    digests = tensor_digests(adapter.source, threads, progress, "read adapter", str(adapter.root))
    # Full tensors are known by their bare names; their bytes lie under the adapter's own.
    replaced = _Renamed(adapter.source, adapter.replaced)
    own = {name: digests[entry.name] for name, entry in adapter.replaced.items()}
    alignment = _really_replaced(base, alignment, own)
    with DeltaWriter(temporary_path(path.parent, "spool")) as writer:
        builder = TensorBuilder(base, replaced, own, EXACT, writer)
        tensors, measured = builder.tensors(_as_alignment(base, alignment), threads, progress)
        tensors = {name: dataclasses.replace(tensor, reason=None) for name, tensor in tensors.items()}
        for name, module in alignment.modules.items():
            tensors[name] = _store_factors(base, adapter, name, module, digests, writer)
        measured = _measure_products(base, adapter, alignment.modules, threads, progress) | measured
        head = write_head(writer, replaced, alignment.extra, own)
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
        statistics = summarize(measured)
        writer.finish(path, manifest, statistics)
    return Built(manifest, statistics, (*alignment.notes, *_head_notes(head), *_advice_notes(statistics)))


class _Renamed:
    """A source's tensors under other names."""

    def __init__(self, source: TensorSource, entries: Mapping[str, TensorEntry]):
        self._source = source
        self._entries = {name: entries[name] for name in sorted(entries)}

    @property
    def entries(self) -> Mapping[str, TensorEntry]:
        """Entries by their new names."""
        return {name: _renamed(entry, name) for name, entry in self._entries.items()}

    def read_into(self, name: str, start: int, out: memoryview) -> None:
        """Read under the old name."""
        self._source.read_into(self._entries[name].name, start, out)

    def close(self) -> None:
        """The source belongs to the adapter."""


def _renamed(entry: TensorEntry, name: str) -> TensorEntry:
    return TensorEntry(name, entry.dtype, entry.shape, entry.file, entry.offset, entry.nbytes)


def _really_replaced(base: BaseModel, alignment: AdapterAlignment, digests: Mapping[str, str]) -> AdapterAlignment:
    """Without the full tensors that are the base's own: PEFT saves a whole embedding along with its factors.

    Raises InputRefused for a tensor that is both adapted and replaced by something else.
    """
    changed = tuple(pair for pair in alignment.replaced if base.digests[pair[0]] != digests[pair[1]])
    both = sorted({name for name, _ in changed} & set(alignment.modules))
    if both:
        raise InputRefused(
            f"the adapter both replaces and adapts: {listed(both)}",
            hint="merge it with PEFT's merge_and_unload and register the saved model",
        )
    kept = (pair for pair in alignment.replaced if pair in changed or pair[0] not in alignment.modules)
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
    )


def _store_factors(
    base: BaseModel,
    adapter: Adapter,
    name: str,
    module: LoraModule,
    digests: Mapping[str, str],
    writer: DeltaWriter,
) -> TensorDelta:
    content = ContentHash()
    matrices = {"A": adapter.source.entries[module.a], "B": adapter.source.entries[module.b]}
    sizes = {"A": (module.rank, matrices["A"].elements // module.rank)}
    sizes["B"] = (matrices["B"].elements // module.rank, module.rank)
    for side, entry in matrices.items():
        writer.add_raw(f"lora/{name}/{side}", entry.dtype, sizes[side], pieces(adapter.source, entry))
        content.update(b"".join(pieces(adapter.source, entry)))
    entry = base.source.entries[name]
    return TensorDelta(
        form="lora",
        dtype=entry.dtype,
        shape=entry.shape,
        base=base.digests[name],
        fine_tuned=content.digest(),
        fine_tuned_dtype=matrices["A"].dtype,
        content=content.digest(),
        low_rank=LowRank(
            a=f"lora/{name}/A",
            b=f"lora/{name}/B",
            rank=module.rank,
            rows=sizes["B"][0],
            columns=sizes["A"][1],
            scaling=module.scaling,
            transposed=module.transposed,
        ),
    )


def _measure_products(
    base: BaseModel, adapter: Adapter, modules: Mapping[str, LoraModule], threads: int, progress: Progress
) -> dict[str, Measured]:
    """Statistics of every tensor the adapter could touch: the products, and the rest as untouched."""
    measured = {name: untouched(entry.elements) for name, entry in base.source.entries.items() if name not in modules}
    progress.start("measure adapter", sum(4 * base.source.entries[name].elements for name in modules))

    def measure(chunk: tuple[str, LowRankChunk]) -> tuple[str, Measured]:
        name, term = chunk
        return name, measure_delta(dense(term, as_bits(b"", "F32")))

    try:
        for name, found in in_order(measure, _products(base, adapter, modules), threads):
            refuse_overflow(name, found)
            measured[name] = measured.get(name, Measured()) + found
            progress.advance(4 * found.elements)
    finally:
        progress.finish()
    return measured


def _products(
    base: BaseModel, adapter: Adapter, modules: Mapping[str, LoraModule]
) -> Iterator[tuple[str, LowRankChunk]]:
    for name, module in modules.items():
        a = _matrix(adapter.source, module.a).reshape(module.rank, -1)
        b = _matrix(adapter.source, module.b).reshape(-1, module.rank)
        elements = base.source.entries[name].elements
        for index in range(chunk_count(elements)):
            yield name, LowRankChunk(a, b, module.scaling, module.transposed, *chunk_span(index, elements))


def _matrix(source: TensorSource, name: str) -> Floats:
    entry = source.entries[name]
    return widen(as_bits(read_chunk(source, name, 0, entry.elements), entry.dtype), entry.dtype)


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
