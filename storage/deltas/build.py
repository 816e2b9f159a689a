"""Making a delta from a fine-tuned checkpoint: align with the base, encode each tensor, write one file.

Streams chunk by chunk on a pool of threads; memory is bounded by the chunks in flight. The result depends only on
the base's bytes, the fine-tune's bytes, the coding and the seed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from blake3 import blake3

from storage.checkpoints.checkpoint import Checkpoint
from storage.checkpoints.inputs import pieces, read_chunk, source_digest, tensor_digests
from storage.checkpoints.tensors import TensorEntry, TensorSource, listed
from storage.deltas.align import Alignment, align
from storage.deltas.delta import DeltaWriter
from storage.deltas.manifest import HeadTensor, Manifest, TensorDelta
from storage.deltas.roles import is_input_embedding, is_vocabulary, may_tie
from storage.dtypes import MERGEABLE
from storage.encodings.encode import LARGEST, Coding, EncodedChunk, encode_chunk
from storage.encodings.frames import chunk_count, chunk_span, compress
from storage.encodings.measured import Measured, dare_advice, untouched
from storage.encodings.numeric import as_bits
from storage.encodings.philox import mask_key
from storage.errors import InputRefused, IntegrityFailure
from storage.files import temporary_path
from storage.pipeline import in_order
from storage.progress import Progress


@dataclass(frozen=True)
class BaseModel:
    """The base that deltas are made against: its tensors, their digests, its model digest and config.json."""

    source: TensorSource
    digests: Mapping[str, str]
    digest: str
    config: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Built:
    """A finished delta: its manifest and statistics, and notes that a person should read."""

    manifest: Manifest
    statistics: dict[str, Any]
    notes: tuple[str, ...]


def build_delta(
    base: BaseModel,
    checkpoint: Checkpoint,
    encoding: str,
    coding: Coding,
    path: Path,
    *,
    threads: int,
    progress: Progress,
    allow_missing: bool = False,
) -> Built:
    """Write the delta of ``checkpoint`` against ``base`` to the new file ``path``; a spool file lies beside it.

    Raises InputRefused when the checkpoint is not a sound fine-tune of this base, EnvironmentFailure when the disk
    fails. ``path`` may then hold a part of a file, for the caller to delete.
    """
    source = checkpoint.source
    alignment = align(
        base.source.entries,
        source.entries,
        base_config=base.config,
        allow_missing=allow_missing,
        base_digests=base.digests,
    )
    digests = tensor_digests(source, threads, progress, "read fine-tune", str(checkpoint.root))
    _refuse_changed_numbers(base, source, alignment, digests)
    with DeltaWriter(temporary_path(path.parent, "spool")) as writer:
        builder = TensorBuilder(base, source, digests, coding, writer)
        tensors, measured = builder.tensors(alignment, threads, progress)
        extra = (*alignment.extra, *untied(alignment, digests))
        head = write_head(writer, source, extra, digests)
        manifest = Manifest(
            encoding=encoding,
            base=base.digest,
            fine_tuned=source_digest(source.entries, digests),
            tensors=tensors,
            coding=coding,
            prefix=alignment.prefix_added,
            dropped_prefix=alignment.prefix_removed,
            head=head,
            config=head_config(checkpoint.config) if head else None,
        )
        statistics = summarize(measured)
        writer.finish(path, manifest, statistics)
    return Built(manifest, statistics, _notes(alignment, digests, statistics, coding))


def untied(alignment: Alignment, digests: Mapping[str, str]) -> tuple[str, ...]:
    """Tensors that would be tied by name but have values of their own: they belong to the head."""
    return tuple(extra.name for extra in alignment.tied_extra if digests[extra.name] != digests[extra.partner])


def write_head(
    writer: DeltaWriter, source: TensorSource, names: Iterable[str], digests: Mapping[str, str]
) -> dict[str, HeadTensor]:
    """Store tensors that the base lacks, as they are."""
    head = {}
    for name in sorted(names):
        entry = source.entries[name]
        writer.add_raw(f"head/{name}", entry.dtype, entry.shape, pieces(source, entry))
        head[name] = HeadTensor(entry.dtype, entry.shape, digests[name])
    return head


def head_config(config: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The config.json that a head needs to be loaded, without what only says where it was saved."""
    if config is None:
        return None
    return {key: value for key, value in config.items() if key not in ("_name_or_path", "transformers_version")}


def summarize(measured: Mapping[str, Measured]) -> dict[str, Any]:
    """Statistics of the whole delta and of each tensor, with the advice on DARE."""
    total = Measured()
    for name in sorted(measured):
        total = total + measured[name]
    verdict, sentence = dare_advice(total)
    return {
        "total": total.to_dict(),
        "advice": {"verdict": verdict, "sentence": sentence},
        "tensors": {name: measured[name].to_dict() for name in sorted(measured)},
    }


def _refuse_changed_numbers(
    base: BaseModel, source: TensorSource, alignment: Alignment, digests: Mapping[str, str]
) -> None:
    """Tensors that do not merge (integers, masks) must be the base's own."""
    changed = [
        name
        for name, other in alignment.pairs
        if base.source.entries[name].dtype not in MERGEABLE and base.digests[name] != digests[other]
    ]
    if changed:
        dtypes = ", ".join(sorted({base.source.entries[name].dtype for name in changed}))
        raise InputRefused(
            f"tensors of dtype {dtypes} differ from the base's and cannot be merged: {listed(changed)}",
            hint="such tensors must be those of the base: remove them from the fine-tune, or check --base",
        )


@dataclass(frozen=True)
class _Chunk:
    name: str
    other: str
    index: int


_Encoded = tuple[EncodedChunk, bytes, memoryview]  # the chunk, its frame, the base's bytes that it was made from


class TensorBuilder:
    """Encodes the paired tensors of one fine-tune into a writer."""

    def __init__(
        self,
        base: BaseModel,
        source: TensorSource,
        digests: Mapping[str, str],
        coding: Coding,
        writer: DeltaWriter,
    ):
        self.base, self.source, self.digests = base, source, digests
        self.coding, self.writer = coding, writer
        self.measured: dict[str, Measured] = {}

    def tensors(
        self, alignment: Alignment, threads: int, progress: Progress
    ) -> tuple[dict[str, TensorDelta], dict[str, Measured]]:
        """The manifest entry and statistics of every tensor of the base, in sorted name order."""
        tensors = {}
        ties = self._ties(alignment)
        changed = [pair for pair in alignment.pairs if not self._same(*pair) and pair[0] not in ties]
        for name, other in alignment.pairs:
            if self._same(name, other):
                tensors[name] = self._entry(name, "same", self.digests[other], self.source.entries[other])
                self.measured[name] = untouched(self.base.source.entries[name].elements)
        tensors |= self._encode(changed, threads, progress)
        for name, partner in ties.items():
            tensors[name] = self._tied(name, partner, tensors[partner])
        for missing in alignment.missing:
            entry = self.base.source.entries[missing.name]
            tensors[missing.name] = (
                self._tied(missing.name, missing.tied_to, tensors[missing.tied_to])
                if missing.tied_to
                else self._entry(missing.name, "same", self.base.digests[missing.name], entry, missing.reason)
            )
        return {name: tensors[name] for name in sorted(tensors)}, self.measured

    def _ties(self, alignment: Alignment) -> dict[str, str]:
        """Changed tensors that base and fine-tune both save twice because they are tied: one delta serves both ends.

        Stored apart they would be dropped under masks of their own, and come out of a merge untied.
        """
        if not may_tie(self.base.config):
            return {}
        vocabulary = sorted(
            (pair for pair in alignment.pairs if is_vocabulary(pair[0]) and not self._same(*pair)),
            key=lambda pair: (not is_input_embedding(pair[0]), pair),
        )
        partners: dict[tuple[str, str, str, str], str] = {}
        ties = {}
        for name, other in vocabulary:
            dtypes = (self.base.source.entries[name].dtype, self.source.entries[other].dtype)
            content = (self.base.digests[name], self.digests[other], *dtypes)
            partner = partners.setdefault(content, name)
            if partner != name and self.base.source.entries[partner].shape == self.base.source.entries[name].shape:
                ties[name] = partner
        return ties

    def _same(self, name: str, other: str) -> bool:
        same_dtype = self.base.source.entries[name].dtype == self.source.entries[other].dtype
        return same_dtype and self.base.digests[name] == self.digests[other]

    def _entry(
        self, name: str, form: str, fine_tuned: str, other: TensorEntry, reason: str | None = None, **more: Any
    ) -> TensorDelta:
        entry = self.base.source.entries[name]
        return TensorDelta(
            form=form,  # type: ignore[arg-type]
            dtype=entry.dtype,
            shape=entry.shape,
            base=self.base.digests[name],
            fine_tuned=fine_tuned,
            fine_tuned_dtype=other.dtype,
            reason=reason,
            **more,
        )

    def _tied(self, name: str, partner: str, delta: TensorDelta) -> TensorDelta:
        entry = self.base.source.entries[partner]
        return self._entry(name, "tied", delta.fine_tuned, entry, "tied", tied_to=partner)

    def _encode(self, pairs: list[tuple[str, str]], threads: int, progress: Progress) -> dict[str, TensorDelta]:
        jobs = (
            _Chunk(name, other, index)
            for name, other in pairs
            for index in range(chunk_count(self.base.source.entries[name].elements))
        )
        progress.start("encode delta", sum(self.base.source.entries[name].nbytes for name, _ in pairs))
        encoded = in_order(self._encode_chunk, jobs, threads)
        tensors = {}
        try:
            for name, other in pairs:
                content = self.writer.add_frames(name, self._frames(name, encoded, progress))
                tensors[name] = self._entry(
                    name,
                    "kept",
                    self.digests[other],
                    self.source.entries[other],
                    coding=self.coding,
                    content=content,
                )
        finally:
            progress.finish()
        return tensors

    def _frames(self, name: str, encoded: Iterator[_Encoded], progress: Progress) -> Iterator[tuple[bytes, bytes]]:
        entry = self.base.source.entries[name]
        measured, hasher = Measured(), blake3()
        for _ in range(chunk_count(entry.elements)):
            chunk, frame, base = next(encoded)
            hasher.update(base)
            measured = measured + chunk.measured
            progress.advance(chunk.measured.elements * entry.nbytes // entry.elements)
            yield chunk.data, frame
        _check_base(name, "blake3:" + hasher.hexdigest(), self.base.digests[name])
        self.measured[name] = measured

    def _encode_chunk(self, job: _Chunk) -> _Encoded:
        ours, theirs = self.base.source.entries[job.name], self.source.entries[job.other]
        start, count = chunk_span(job.index, ours.elements)
        raw = read_chunk(self.base.source, job.name, start, count)
        base = as_bits(raw, ours.dtype)
        fine_tuned = as_bits(read_chunk(self.source, job.other, start, count), theirs.dtype)
        key = mask_key(self.coding.seed, self.digests[job.other], job.name)
        chunk = encode_chunk(base, ours.dtype, fine_tuned, theirs.dtype, self.coding, key, start)
        refuse_overflow(job.other, chunk.measured)
        return chunk, compress(chunk.data), raw


def _check_base(name: str, found: str, recorded: str) -> None:
    if found != recorded:
        raise IntegrityFailure(
            f"tensor {name!r} of the base hashes to {found}, recorded is {recorded}",
            hint="the stored or referenced file has changed: run `mergestore verify`",
        )


def refuse_overflow(name: str, measured: Measured) -> None:
    """Raise InputRefused for a delta with values that no encoding holds: too large, infinite or NaN."""
    largest = max(abs(measured.minimum), abs(measured.maximum))
    if not (largest <= LARGEST and math.isfinite(measured.absolute)):
        raise InputRefused(
            f"tensor {name!r} differs from its base by {largest:g}, more than a delta can hold ({LARGEST:g})",
            hint="the checkpoint is broken (a diverged or badly converted model): it cannot be merged",
        )


def _notes(
    alignment: Alignment, digests: Mapping[str, str], statistics: Mapping[str, Any], coding: Coding
) -> tuple[str, ...]:
    own = untied(alignment, digests)
    tied = [extra.name for extra in alignment.tied_extra if extra.name not in own]
    notes = list(alignment.notes)
    if tied:
        notes.append(f"tied weights saved twice, kept once: {listed(tied)}")
    if own:
        notes.append(f"tied in the base but not here, kept with the skill as its head: {listed(own)}")
    advice = statistics["advice"]
    if coding.drop_rate or advice["verdict"] != "fine":
        notes.append(f"DARE: {advice['verdict']}: {advice['sentence']}")
    return tuple(notes)
