"""Bringing a base and skills to a CUDA device: read, verified and laid out on threads, uploaded from pinned memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch

from merging.device.index import Raw, index, spread
from merging.device.launch import Arena, Packed, Term, pack
from merging.device.layout import Layout, lay_out
from merging.device.memory import DeviceMemory, DeviceSkill, on_device
from merging.engines.torch_engine import told_out_of_memory
from merging.plans.plan import Plan
from merging.plans.planning import make_plan
from merging.residence.holding import HeldBase, HeldDelta, HeldTerm, hold_heads, read_verified
from merging.residence.targets import Targets
from storage.checkpoints.tensors import TensorSource
from storage.deltas.delta import DeltaFile, TensorTerm
from storage.dtypes import DTYPES
from storage.encodings.chunks import ChunkTerm, KeptChunk
from storage.encodings.frames import chunk_count, chunk_span
from storage.encodings.numeric import Bits, as_bits
from storage.pipeline import in_order
from storage.progress import Progress, Silent

if TYPE_CHECKING:
    from torch import Tensor

Masks = Literal["cached", "drawn"]
_SPREAD_BITS, _SEARCHED_BITS = 5.0, 1.5  # an element, at most: codes in their places, or a bitmap and its counts


@dataclass(frozen=True)
class _Part:
    """One tensor of a skill in host memory: its layout, and its arrays gathered unless an arena is to take them all."""

    term: HeldTerm
    layout: Layout
    packed: Packed | None
    arena: Tensor | None


@dataclass(frozen=True)
class _Read:
    """One tensor of the base read into host memory and verified, and each skill's part of it."""

    name: str
    staging: Tensor
    parts: Mapping[str, _Part]


def hold_on_device(
    source: TensorSource,
    digests: Mapping[str, str],
    deltas: Mapping[str, DeltaFile],
    device: torch.device,
    *,
    on_host: bool,
    masks: Masks | None,
    threads: int,
    progress: Progress,
) -> DeviceMemory:
    """Bring a base and skills (by digest) to a device, checking the digest of every tensor of the base.

    Raises IntegrityFailure where stored bytes are not what they were, EnvironmentFailure where they do not fit.
    """
    skills = {digest: DeviceSkill() for digest in deltas}
    bases: dict[str, Tensor] = {}
    caches = _caches(source, deltas, device, masks, on_host=on_host)
    progress.start("read the base", sum(entry.nbytes for entry in source.entries.values()))
    try:
        with on_device(device), told_out_of_memory(str(device)):
            for read in _read_all(source, digests, deltas, device, threads, on_host=on_host):
                bases[read.name] = read.staging.to(device, non_blocking=True)
                for digest, part in read.parts.items():
                    _bring(skills[digest], part, device)
                progress.advance(read.staging.nbytes)
            for digest, delta in deltas.items():
                _settle(skills[digest], delta, device, caches=caches)
    finally:
        progress.finish()
    held = {digest: HeldDelta(delta, skills[digest].held, {}) for digest, delta in deltas.items()}
    return DeviceMemory(HeldBase(source.entries, {}), bases, held, skills, device)


def load_on_device(plan: Plan, device: torch.device, threads: int) -> Targets:
    """A merged model as tensors on a device, the base read into their own memory and merged there, in place.

    Raises InputRefused where the result is not finite.
    """
    skills = {skill.digest: skill.delta for skill in plan.skills}
    heads = {plan.head.manifest.digest: plan.head} if plan.head is not None else {}
    memory = hold_on_device(
        plan.base,
        plan.base_digests,
        skills | heads,
        device,
        on_host=False,
        masks="drawn",  # each is needed once
        threads=threads,
        progress=Silent(),
    )
    held = make_plan(plan.recipe, memory.base, plan.base_digests, memory.deltas)
    if plan.method.fused.trims:
        held = replace(held, cutoffs=memory.cutoffs(held))
    targets = memory.own_tensors(held)
    memory.merge(held, targets)
    return targets


def _read_all(
    source: TensorSource,
    digests: Mapping[str, str],
    deltas: Mapping[str, DeltaFile],
    device: torch.device,
    threads: int,
    *,
    on_host: bool,
) -> Iterator[_Read]:
    """Read, verify, decode and lay out on threads, into pinned memory, one tensor of the base after the other."""
    pinned = device.type == "cuda"

    def read(name: str) -> _Read:
        entry = source.entries[name]
        staging = torch.empty(entry.nbytes, dtype=torch.uint8, pin_memory=pinned)
        raw = staging.numpy()
        read_verified(source, entry, digests[name], raw.data)
        parts = {}
        for digest, delta in deltas.items():
            if delta.manifest.tensors[name].form in ("kept", "lora"):
                term = delta.term(name)
                assert term is not None
                layout = lay_out(_chunks(term), lambda chunk: _bits(raw, entry.dtype, chunk))
                parts[digest] = _part(_described(term), layout, pinned=pinned, gathers=not on_host)
        return _Read(name, staging, parts)

    return in_order(read, source.entries, threads)


def _part(term: HeldTerm, layout: Layout, *, pinned: bool, gathers: bool) -> _Part:
    if not gathers:
        return _Part(term, layout, None, None)
    arena = Arena()
    packed = pack(layout, arena)
    return _Part(term, layout, packed, arena.gather(pinned=pinned))


def _chunks(term: TensorTerm) -> list[ChunkTerm]:
    plain = term.factors is not None and len(term.factors) == 2  # which tell of all chunks
    count = 1 if plain else chunk_count(term.tensor.elements)
    return [term.chunk(index) for index in range(count)]


def _bits(raw: Bits, dtype: str, chunk: ChunkTerm) -> Bits:
    itemsize = DTYPES[dtype].itemsize
    piece = raw[chunk.start * itemsize : (chunk.start + chunk.count) * itemsize]
    return as_bits(piece.data, dtype)


def _described(term: TensorTerm) -> HeldTerm:
    """A term that tells of itself, whose values lie elsewhere."""
    held: tuple[ChunkTerm, ...] = ()
    if term.factors is None:
        assert term.tensor.coding is not None
        tensor, coding = term.tensor, term.tensor.coding
        _, count = chunk_span(0, tensor.elements)
        key = term.key(coding.seed)
        held = (KeptChunk(b"", coding, key, 0, count, tensor.dtype, tensor.fine_tuned_dtype, term.where),)
    return HeldTerm(term.name, term.tensor, term.where, -1, None, term.factors, held)


def _bring(skill: DeviceSkill, part: _Part, device: torch.device) -> None:
    """Upload one tensor's term, or add it to the arena of those that stay on the host."""
    name = part.term.name
    if part.packed is None or part.arena is None:
        packed = pack(part.layout, skill.arena)
        skill.offsets[name] = packed.offsets
        term = packed.term(torch.empty(0, dtype=torch.uint8))  # at no address yet
        term = Term(term.kind, term.row, term.scaling)
    else:
        term = part.packed.term(part.arena.to(device, non_blocking=True))
    skill.held[name] = part.term
    skill.raws[name] = Raw(term, part.layout, part.term.tensor.elements)


def _settle(skill: DeviceSkill, delta: DeltaFile, device: torch.device, *, caches: bool) -> None:
    """When all of a skill is there: count its masks, spread its codes, pin its arena, upload its head."""
    spreads = {name for name, raw in skill.raws.items() if caches and raw.layout.spreads and not skill.offsets}
    for chosen in (skill.raws.keys() - spreads, spreads):
        names = sorted(chosen)
        raws = [skill.raws.pop(name) for name in names]
        terms = index(raws, device, caches=caches and chosen is not spreads)
        if chosen is spreads:
            found = [Raw(term, raw.layout, raw.elements) for term, raw in zip(terms, raws, strict=True)]
            terms = spread(found, device)
        skill.terms |= zip(names, terms, strict=True)
    if skill.offsets:
        skill.pinned = skill.arena.gather(pinned=device.type == "cuda")
    skill.arena = Arena()
    for name, data in hold_heads(delta).items():
        skill.heads[name] = torch.from_numpy(np.frombuffer(data, np.uint8).copy()).to(device)


def _caches(
    source: TensorSource, deltas: Mapping[str, DeltaFile], device: torch.device, masks: Masks | None, *, on_host: bool
) -> bool:
    """Whether masks are kept on the device: as asked, else if they fit there beside the base and a result."""
    if masks is not None or device.type != "cuda":
        return masks != "drawn"
    base = sum(entry.nbytes for entry in source.entries.values())
    elements = sum(entry.elements for entry in source.entries.values())
    free, _ = torch.cuda.mem_get_info(device)
    bits = _SEARCHED_BITS if on_host else _SPREAD_BITS
    return 2 * base + len(deltas) * elements * bits / 8 <= free
