"""What a fine-tune does to each tensor of its base: the entries of a manifest, and the payloads they speak of."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from typing import Any

from storage.checkpoints.inputs import (
    digest_of,
    inspected,
    pieces,
    refuse_not_finite,
    rest,
    tensor_digests,
    tensor_hasher,
)
from storage.checkpoints.tensors import TensorEntry, TensorSource, listed
from storage.deltas.align import Alignment
from storage.deltas.base_model import BaseModel
from storage.deltas.delta import DeltaWriter
from storage.deltas.encoder import Encoder, Tensor
from storage.deltas.forms import Rivals, find_rivals, is_same, rivals_first, tied_to
from storage.deltas.grown import Pair
from storage.deltas.manifest import AddedRows, HeadTensor, TensorDelta
from storage.deltas.roles import is_vocabulary
from storage.deltas.selection import model_cutoff
from storage.dtypes import MERGEABLE
from storage.encodings.coding import Coding
from storage.encodings.measured import Measured, untouched
from storage.errors import InputRefused
from storage.progress import Progress


class TensorBuilder:
    """Stores the tensors of one fine-tune in a writer; ``digests`` has those of the tensors that were read so far.

    Every tensor of the fine-tune is to go through exactly one of ``check_numbers``, ``add_head``, ``tensors`` and
    ``add_untied``. ``where`` names the fine-tune in errors.
    """

    def __init__(
        self,
        base: BaseModel,
        source: TensorSource,
        coding: Coding,
        writer: DeltaWriter,
        where: str,
        *,
        threads: int,
        progress: Progress,
        memory: int | None = None,
    ):
        self.base, self.source, self.coding, self.writer = base, source, coding, writer
        self.where, self.threads, self.progress, self.memory = where, threads, progress, memory
        self.digests: dict[str, str] = {}
        self.measured: dict[str, Measured] = {}

    def hash(self, names: Iterable[str], label: str = "read fine-tune") -> None:
        """Take the digests of tensors that are not to be encoded, or not yet."""
        wanted = sorted(set(names) - self.digests.keys())
        if wanted:
            self.digests |= tensor_digests(self.source, self.threads, self.progress, label, self.where, wanted)

    def check_numbers(self, alignment: Alignment) -> None:
        """Refuse a fine-tune whose tensors that do not merge (integers, masks) are not the base's own."""
        entries = self.base.source.entries
        pairs = [pair for pair in alignment.pairs if entries[pair[0]].dtype not in MERGEABLE]
        self.hash([*(other for _, other in pairs), *alignment.extra_buffers])
        changed = [name for name, other in pairs if self.base.digests[name] != self.digests[other]]
        if changed:
            dtypes = ", ".join(sorted({entries[name].dtype for name in changed}))
            raise InputRefused(
                f"tensors of dtype {dtypes} differ from the base's and cannot be merged: {listed(changed)}",
                hint="such tensors must be those of the base: remove them from the fine-tune, or check --base",
            )

    def add_head(self, names: Iterable[str]) -> dict[str, HeadTensor]:
        """Store tensors that the base lacks, as they are."""
        head = {}
        for name in sorted(names):
            entry = self.source.entries[name]
            hasher = tensor_hasher(entry.nbytes)
            whole = inspected(self.source, entry, hasher, self.where)
            self.writer.add_raw(f"head/{name}", entry.dtype, entry.shape, whole)
            self.digests[name] = digest_of(hasher)
            head[name] = HeadTensor(entry.dtype, entry.shape, self.digests[name])
        return head

    def add_untied(self, alignment: Alignment) -> dict[str, HeadTensor]:
        """Store tensors that would be tied by name but have values of their own; to be called after ``tensors``."""
        self.hash(extra.name for extra in alignment.tied_extra)
        head = {}
        for name in untied(alignment, self.digests):
            entry = self.source.entries[name]
            self.writer.add_raw(f"head/{name}", entry.dtype, entry.shape, pieces(self.source, entry))
            head[name] = HeadTensor(entry.dtype, entry.shape, self.digests[name])
        return head

    def add_rows(
        self, whole: TensorSource, grown: Iterable[Pair], tensors: Mapping[str, TensorDelta]
    ) -> dict[str, TensorDelta]:
        """The entries with the rows that were added, which are stored as they are; to be called after ``tensors``.

        ``whole``: the fine-tune with all its rows, whose digests are those that count from now on. Read once more: what
        tells whether rows are tied is the digest of all of them.
        """
        found = dict(tensors)
        for name, other in sorted(grown, key=lambda pair: (tensors[pair[0]].form == "tied", pair)):
            tensor, entry = tensors[name], whole.entries[other]
            first = self.source.entries[other].nbytes
            hasher = tensor_hasher(entry.nbytes)
            for piece in pieces(whole, entry):
                hasher.update(piece)
            self.digests[other] = digest_of(hasher)
            partner = found[tensor.tied_to].added if tensor.tied_to else None
            if partner is None or partner.whole != self.digests[other]:
                found[name] = dataclasses.replace(tensor, added=self._store_rows(whole, entry, name, first))
        self._refuse_ungrown(found)
        return found

    def _refuse_ungrown(self, tensors: Mapping[str, TensorDelta]) -> None:
        """Refuse a vocabulary of which the fine-tune brings only a part: the rest would lack rows."""
        added = {name: tensor.added or tensors[tensor.tied_to or name].added for name, tensor in tensors.items()}
        rows = {tensors[name].shape[:1] for name in tensors if added[name]}
        lacking = [
            name
            for name, tensor in tensors.items()
            if tensor.shape[:1] in rows and is_vocabulary(name) and not added[name]
        ]
        if lacking:
            raise InputRefused(
                f"rows were added to a part of the vocabulary only: not to {listed(lacking)}, which are the base's own",
                hint="save the whole fine-tuned model (of an adapter, after PEFT's merge_and_unload) and register that",
            )

    def _store_rows(self, whole: TensorSource, entry: TensorEntry, name: str, first: int) -> AddedRows:
        hasher = tensor_hasher(entry.nbytes - first)
        rows = entry.shape[0] - self.base.source.entries[name].shape[0]

        def checked() -> Iterator[memoryview]:
            start = first
            for piece in rest(whole, entry, first, entry.nbytes):
                hasher.update(piece)
                refuse_not_finite(entry, piece, start, self.where)
                yield piece
                start += len(piece)

        self.writer.add_raw(f"added/{name}", entry.dtype, (rows, *entry.shape[1:]), checked())
        return AddedRows(rows, entry.dtype, digest_of(hasher), self.digests[entry.name])

    def tensors(self, alignment: Alignment) -> dict[str, TensorDelta]:
        """The manifest entry of every tensor of the base, in sorted name order; ``measured`` has their statistics."""
        rivals = find_rivals(self.base, self.source, alignment.pairs)
        pairs = rivals_first(alignment.pairs, rivals)
        tensors = self._encode(pairs, rivals, self._select(alignment, pairs, rivals))
        for missing in alignment.missing:
            entry = self.base.source.entries[missing.name]
            tensors[missing.name] = (
                self._tied(missing.name, missing.tied_to, tensors[missing.tied_to])
                if missing.tied_to
                else self._entry(missing.name, "same", self.base.digests[missing.name], entry, missing.reason)
            )
        return {name: tensors[name] for name in sorted(tensors)}

    def _select(self, alignment: Alignment, pairs: list[Pair], rivals: Rivals) -> float:
        """The cutoff of a coding that trims the model as a whole, which takes all digests first; 0 for any other."""
        if self.coding.trim != "model":
            return 0.0
        self.hash(other for _, other in pairs)
        digests = {name: self.digests[other] for name, other in pairs}
        changed = [pair for pair in pairs if not is_same(self.base, self.source, pair, digests[pair[0]])]
        tied = {missing.name for missing in alignment.missing if missing.tied_to}
        for name, _ in changed:
            known = ((rival, digests[rival]) for rival in rivals.get(name, ()))
            tied |= {name} if tied_to(self.base, name, digests[name], known) else set()
        merging = (entry for entry in self.base.source.entries.values() if entry.dtype in MERGEABLE)
        elements = sum(entry.elements for entry in merging if entry.name not in tied)
        wanted = [pair for pair in changed if pair[0] not in tied]
        return model_cutoff(self.base.source, self.source, wanted, self.coding, elements, self.threads, self.progress)

    def _encode(self, pairs: list[Pair], rivals: Rivals, cutoff: float) -> dict[str, TensorDelta]:
        encoder = Encoder(
            self.base,
            self.source,
            self.coding,
            self.where,
            threads=self.threads,
            memory=self.memory,
            known=dict(self.digests),
            cutoff=cutoff,
        )
        tensors: dict[str, TensorDelta] = {}
        self.progress.start("encode delta", sum(self.base.source.entries[name].nbytes for name, _ in pairs))
        try:
            with closing(encoder.run(pairs, rivals)) as stream:
                for tensor in stream:
                    self.digests[tensor.other] = tensor.digest
                    tensors[tensor.name] = self._store(encoder, tensor, tensors)
        finally:
            self.progress.finish()
        return tensors

    def _store(self, encoder: Encoder, tensor: Tensor, tensors: Mapping[str, TensorDelta]) -> TensorDelta:
        entry = self.base.source.entries[tensor.name]
        if tensor.tied_to or tensor.same:
            self.progress.advance(entry.nbytes)
        if tensor.tied_to:
            return self._tied(tensor.name, tensor.tied_to, tensors[tensor.tied_to])
        other = self.source.entries[tensor.other]
        if tensor.same:
            self.measured[tensor.name] = untouched(entry.elements)
            return self._entry(tensor.name, "same", tensor.digest, other)
        content = self.writer.add_frames(tensor.name, self._frames(encoder, tensor))
        return self._entry(tensor.name, "kept", tensor.digest, other, coding=self.coding, content=content)

    def _frames(self, encoder: Encoder, tensor: Tensor) -> Iterator[tuple[bytes, bytes]]:
        measured = Measured()
        for chunk, frame in encoder.chunks(tensor, self.progress.advance):
            measured = measured + chunk.measured
            yield chunk.data, frame
        self.measured[tensor.name] = measured

    def _tied(self, name: str, partner: str, delta: TensorDelta) -> TensorDelta:
        entry = self.base.source.entries[partner]
        return self._entry(name, "tied", delta.fine_tuned, entry, "tied", tied_to=partner)

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


def untied(alignment: Alignment, digests: Mapping[str, str]) -> tuple[str, ...]:
    """Tensors that would be tied by name but have values of their own: they belong to the head."""
    return tuple(extra.name for extra in alignment.tied_extra if digests[extra.name] != digests[extra.partner])
