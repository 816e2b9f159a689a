"""Making a delta from a fine-tuned checkpoint: align with the base, encode each tensor, write one file.

One pass over the fine-tune and over what it changes of the base, in bounded memory (``storage.deltas.encoder``); a
coding that selects by magnitude takes more (``storage.deltas.selection``). The result depends only on the base's
bytes, the fine-tune's bytes, the coding and the seed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from storage.checkpoints.checkpoint import Checkpoint
from storage.checkpoints.inputs import source_digest
from storage.checkpoints.tensors import listed
from storage.deltas.align import Alignment, align
from storage.deltas.base_model import BaseModel
from storage.deltas.delta import DeltaWriter
from storage.deltas.grown import BaseRows
from storage.deltas.manifest import Manifest
from storage.deltas.tensor_builder import TensorBuilder, untied
from storage.encodings.coding import Coding
from storage.encodings.measured import Measured, dare_advice
from storage.files import temporary_path
from storage.progress import Progress

__all__ = ["BaseModel", "Built", "build_delta"]


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
    memory: int | None = None,
) -> Built:
    """Write the delta of ``checkpoint`` against ``base`` to the new file ``path``; a spool file lies beside it.

    ``memory``: bytes of the fine-tune to hold at once (by default ``encoder.enough_memory``); a tensor of more than
    half of it is read twice. Raises InputRefused when the checkpoint is not a sound fine-tune of this base,
    EnvironmentFailure when the disk fails. ``path`` may then hold a part of a file, for the caller to delete.
    """
    source = checkpoint.source
    alignment = align(
        base.source.entries,
        source.entries,
        base_config=base.config,
        allow_missing=allow_missing,
        base_digests=base.digests,
    )
    with DeltaWriter(temporary_path(path.parent, "spool")) as writer:
        where = str(checkpoint.root)
        rows = BaseRows(source, base.source.entries, alignment.grown)
        builder = TensorBuilder(base, rows, coding, writer, where, threads=threads, progress=progress, memory=memory)
        builder.check_numbers(alignment)
        head = builder.add_head(alignment.extra)
        tensors = builder.add_rows(source, alignment.grown, builder.tensors(alignment))
        head |= builder.add_untied(alignment)
        manifest = Manifest(
            encoding=encoding,
            base=base.digest,
            fine_tuned=source_digest(source.entries, builder.digests),
            tensors=tensors,
            coding=coding,
            prefix=alignment.prefix_added,
            dropped_prefix=alignment.prefix_removed,
            head={name: head[name] for name in sorted(head)},
            config=head_config(checkpoint.config) if head else None,
        )
        statistics = summarize(builder.measured)
        writer.finish(path, manifest, statistics)
    return Built(manifest, statistics, _notes(alignment, builder.digests, statistics, coding))


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
