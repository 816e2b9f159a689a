"""Where the model that statistics are collected of comes from: rebuilt from the store, or a checkpoint of the same.

A rebuilt fine-tune is the base with the skill at weight 1: of a skill that dropped nothing the fine-tune itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from merging.streaming.sinks import MemorySink
from merging.streaming.tensors import to_torch
from registry.collecting.running import match_parameters
from registry.computing import compute, publish_computed
from registry.heads import NO_HEAD
from registry.materializing import Opened, opened_merge
from registry.publishing import output_digest
from registry.records.tables import ModelVersion
from registry.resolved import Choices
from registry.wish import Context, Wish
from storage.checkpoints.adapter import is_adapter
from storage.checkpoints.checkpoint import open_checkpoint
from storage.checkpoints.inputs import tensor_digests
from storage.checkpoints.tensors import listed
from storage.deltas.manifest import Manifest
from storage.digests import model_digest
from storage.dtypes import MERGEABLE
from storage.errors import Conflict, InputRefused, UsageError
from storage.files import remove_tree
from storage.pipeline import thread_count
from storage.progress import Progress

if TYPE_CHECKING:
    from torch.nn import Module, Parameter


@dataclass(frozen=True)
class Source:
    """A model folder, the digest of its tensors, and what those that merge are called there, by the base's names."""

    folder: Path
    digest: str
    names: Mapping[str, str]


@dataclass(frozen=True)
class Filled:
    """Digest of the tensors that a module was filled with, and its parameters by the base's names."""

    digest: str
    parameters: Mapping[str, Parameter]


@contextmanager
def rebuilt(context: Context, base: ModelVersion, skill: ModelVersion, progress: Progress) -> Iterator[Source]:
    """The fine-tune in a temporary folder, gone after the block; nothing is put on record."""
    folder = context.home.blobs.scratch("rebuilt")
    try:
        with _opened(context, base, skill) as opened:
            made = publish_computed(context.home, opened.sources, opened.plan, folder, Wish(), progress)
        yield Source(folder, made.document["output_digest"], _names(opened))
    finally:
        remove_tree(folder)


def fill(context: Context, base: ModelVersion, skill: ModelVersion, model: Module, progress: Progress) -> Filled:
    """Put the fine-tune's values into a torch module, whose tensors must have its names and shapes, or the base's names
    where it does not have the head that came with the fine-tune.

    Raises InputRefused naming the tensors where they do not.
    """
    import torch

    there = dict(model.named_parameters(remove_duplicate=False)) | dict(model.named_buffers(remove_duplicate=False))
    sink, own = MemorySink(), skill.attributes.get("head") or []
    with _opened(context, base, skill, head=bool(own) and set(own) <= there.keys()) as opened:
        _, merged = compute(opened.plan, sink, "cpu", None, progress)
        outputs = {output.name: output for output in opened.plan.outputs}
    needed = {name for name in model.state_dict() if name in there}
    missing = sorted(needed - outputs.keys())
    unfit = sorted(
        name for name, output in outputs.items() if name in there and tuple(there[name].shape) != output.shape
    )
    absent = sorted(outputs.keys() - there.keys())
    if missing or unfit or absent:
        raise InputRefused(
            f"the module does not have the tensors of {skill.reference}: it lacks {listed(absent) or 'none'}, "
            f"has besides {listed(missing) or 'none'}, and in another shape {listed(unfit) or 'none'}",
            hint="give the class of model that the base was saved from, with the same configuration",
        )
    with torch.no_grad():
        for name, output in outputs.items():
            there[name].copy_(to_torch(output, sink.tensors.pop(name, bytearray()), "cpu"))
    return Filled(output_digest(merged), match_parameters(model, _names(opened)))


def checkpoint_of(folder: Path, skill: ModelVersion, manifest: Manifest, progress: Progress) -> Source:
    """A checkpoint that the skill was made from. Raises Conflict for any other, naming the tensors that differ."""
    if manifest.encoding == "lora" or is_adapter(folder):
        raise UsageError(
            f"{skill.reference} is compared with a checkpoint, and it or {folder} is an adapter",
            hint="leave --checkpoint out: what an adapter makes of the base is rebuilt",
        )
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a model folder", hint="name the folder with config.json and the weights")
    with closing(open_checkpoint(folder)) as checkpoint:
        entries = checkpoint.source.entries
        found = tensor_digests(checkpoint.source, thread_count(None), progress, f"check {folder.name}", folder.name)
    digest = model_digest((name, entry.dtype, entry.shape, found[name]) for name, entry in entries.items())
    names = {name: manifest.prefix + name.removeprefix(manifest.dropped_prefix) for name in manifest.tensors}
    if digest != manifest.fine_tuned:
        differing = [
            own for name, own in names.items() if own in found and found[own] != manifest.tensors[name].fine_tuned
        ]
        what = f"{len(differing)} tensors differ ({listed(differing)})" if differing else "it has other tensors"
        raise Conflict(
            f"{folder} is not what {skill.reference} was made from: {what}; "
            f"its digest is {digest}, that of the fine-tune {manifest.fine_tuned}",
            hint="name the fine-tune's own folder, or leave --checkpoint out to have it rebuilt",
        )
    merging = {name: own for name, own in names.items() if own in entries and entries[own].dtype in MERGEABLE}
    return Source(folder, digest, merging)


@contextmanager
def _opened(context: Context, base: ModelVersion, skill: ModelVersion, *, head: bool = True) -> Iterator[Opened]:
    chosen = skill.reference if head and skill.attributes.get("head") else NO_HEAD
    choices = Choices("task_arithmetic", None, chosen, None)
    with opened_merge(context, f"{base.reference} + 1*{skill.reference}", choices) as opened:
        yield opened


def _names(opened: Opened) -> dict[str, str]:
    outputs = (output for output in opened.plan.outputs if output.dtype in MERGEABLE)
    return {output.base: output.name for output in outputs if output.base is not None}
