"""Writing the vector of an EMR merge: one pass over base and skills, chunk by chunk on threads, into one file.

Values are stored losslessly: as codes of `exact` against the base where every skill that changes the tensor is stored
so, with one dtype; then they take what one `exact` skill takes. Otherwise as fp32 in planes. The content depends on
base and skills alone; memory is bounded by the chunks in flight.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from blake3 import blake3

from merging.passes.unifying import (
    Job,
    Sums,
    Terms,
    UnifiedChunk,
    chunk_sums,
    job_bytes,
    jobs,
    read_base,
    scale_of,
    unified_chunk,
    unified_tensors,
)
from merging.plans.plan import Plan, SkillTerm
from storage.checkpoints.inputs import check_digest, digest_of
from storage.checkpoints.payloads import FramePayload
from storage.checkpoints.spool import Spool
from storage.deltas.unified import MANIFEST_KEY, read_head
from storage.deltas.unified_manifest import Form, UnifiedManifest, UnifiedTensor
from storage.digests import canonical_json
from storage.encodings.chunks import KeptChunk, rebuild
from storage.encodings.coding import EXACT
from storage.encodings.encode import encode_chunk
from storage.encodings.frames import chunk_count, chunk_span, compress
from storage.encodings.numeric import Bits, as_bits, convert
from storage.encodings.unified import agreeing, pack_mask, pack_values
from storage.files import temporary_path
from storage.pipeline import in_order
from storage.progress import Progress


@dataclass(frozen=True)
class SkillShare:
    """What one skill has in a written vector: λ, values of its delta that are not zero, those that agree, bytes.

    ``nbytes`` are of its masks, its head and its manifest.
    """

    skill: str
    scale: float
    changed: int
    agreeing: int
    nbytes: int


@dataclass(frozen=True)
class Written:
    """A vector that was written: its manifest, the bytes of its values, and what each skill has in it."""

    manifest: UnifiedManifest
    nbytes: int
    shares: tuple[SkillShare, ...]


def write_unified(plan: Plan, path: Path, threads: int, progress: Progress) -> Written:
    """Write the unified vector of a plan's skills to ``path``, a new file that the caller publishes.

    Raises IntegrityFailure where the base or a skill is damaged.
    """
    with Spool(temporary_path(path.parent, "spool")) as spool:
        writing = _Writing(plan, spool)
        progress.start("unify", sum(plan.base.entries[name].nbytes for name in unified_tensors(plan)))
        try:
            with closing(in_order(lambda job: _piece(plan, job), jobs(plan), threads)) as pieces:
                for piece in pieces:
                    writing.take(piece)
                    progress.advance(job_bytes(plan, piece.job))
        finally:
            progress.finish()
        writing.add_skills()
        written = writing.written()
        spool.write(path, {MANIFEST_KEY: canonical_json(written.manifest.to_dict()).decode()})
    return written


@dataclass(frozen=True)
class _Mask:
    """A skill's part in one chunk: the bits, also compressed, its sums and counts."""

    data: bytes
    frame: bytes
    sums: Sums
    changed: int
    agreeing: int


@dataclass(frozen=True)
class _Piece:
    """One chunk of one tensor: the base's bytes, the unified values and their frame, and the masks of ``job.terms``."""

    job: Job
    base: memoryview
    data: bytes
    frame: bytes
    masks: tuple[_Mask, ...]


def _piece(plan: Plan, job: Job) -> _Piece:
    raw = read_base(plan, job)
    base = as_bits(raw, plan.base.entries[job.name].dtype)
    chunk = unified_chunk(plan, job, base)
    data, cuts = _values(plan, job, base, chunk)
    masks = tuple(_mask(chunk, place) for place in range(len(job.terms)))
    return _Piece(job, raw, data, compress(data, cuts), masks)


def _mask(chunk: UnifiedChunk, place: int) -> _Mask:
    agrees = agreeing(chunk.deltas[place], chunk.values)
    data = pack_mask(agrees, chunk.values)
    changed = int(np.count_nonzero(chunk.deltas[place]))
    return _Mask(data, compress(data), chunk_sums(chunk, place), changed, int(np.count_nonzero(agrees)))


def _exact_dtype(terms: Terms) -> str | None:
    """The one dtype of fine-tuned tensors that all skills hold exactly, if there is one."""
    dtypes = {
        term.tensor.fine_tuned_dtype if term.tensor.form == "kept" and term.tensor.coding == EXACT else None
        for _, term in terms
    }
    return dtypes.pop() if len(dtypes) == 1 else None


def _values(plan: Plan, job: Job, base: Bits, chunk: UnifiedChunk) -> tuple[bytes, Sequence[int]]:
    """The content of a chunk, and where it becomes of another kind."""
    dtype = _exact_dtype(job.terms)
    if dtype is None:
        data = pack_values(chunk.values)
        return data, range(len(data) // 4, len(data), max(1, len(data) // 4))
    own = plan.base.entries[job.name].dtype
    start, _ = chunk_span(job.index, plan.base.entries[job.name].elements)
    encoded = encode_chunk(base, own, _chosen_bits(job, base, chunk, own, dtype), dtype, EXACT, 0, start)
    return encoded.data, encoded.cuts


def _chosen_bits(job: Job, base: Bits, chunk: UnifiedChunk, base_dtype: str, dtype: str) -> Bits:
    """The fine-tuned tensor that has the unified delta: each element that of the skill it was taken from."""
    bits = convert(base, base_dtype, dtype).copy()
    for place, (_, term) in enumerate(job.terms):
        stored = term.chunk(job.index)
        assert isinstance(stored, KeptChunk)
        np.copyto(bits, rebuild(stored, base), where=chunk.chosen == place)
    return bits


@dataclass
class _Share:
    """What was written of one skill so far."""

    skill: SkillTerm
    sums: Sums = field(default_factory=Sums)
    changed: int = 0
    agreeing: int = 0
    nbytes: int = 0

    def count(self, mask: _Mask) -> None:
        """Add one chunk."""
        self.sums += mask.sums
        self.changed += mask.changed
        self.agreeing += mask.agreeing

    @property
    def scale(self) -> float:
        """λ, when all chunks were counted."""
        return scale_of(self.sums, self.skill.digest)


class _Writing:
    """What was taken so far. One tensor is under way at a time."""

    def __init__(self, plan: Plan, spool: Spool):
        self._plan, self._spool = plan, spool
        self._shares = tuple(_Share(skill) for skill in plan.skills)
        self._tensors: dict[str, UnifiedTensor] = {}
        self._nbytes = 0
        self._current: _Tensor | None = None

    def take(self, piece: _Piece) -> None:
        """The next chunk."""
        name = piece.job.name
        if piece.job.index == 0:
            self._current = _Tensor(self._spool, piece.job, self._shares)
        assert self._current is not None
        self._current.take(piece)
        if piece.job.index == chunk_count(self._plan.base.entries[name].elements) - 1:
            self._current.check(self._plan.base_digests[name])
            content, nbytes = self._current.values.finish()
            self._nbytes += nbytes
            dtype = _exact_dtype(piece.job.terms)
            self._tensors[name] = self._tensor(
                name,
                "unified",
                values="exact" if dtype else "fp32",
                fine_tuned_dtype=dtype,
                content=content,
                masks=self._current.finish_masks(),
            )

    def add_skills(self) -> None:
        """Store every skill's manifest and head."""
        for place, share in enumerate(self._shares):
            manifest = share.skill.delta.manifest
            text = canonical_json(manifest.to_dict())
            payload = FramePayload(self._spool, f"skill/{place}")
            payload.add(text, compress(text))
            share.nbytes += payload.finish()[1]
            for name, head in manifest.head.items():
                pieces = _counted(share, read_head(share.skill.delta, name))
                self._spool.add_raw(f"head/{place}/{name}", head.dtype, head.shape, pieces)

    def written(self) -> Written:
        """What was written, when all was taken."""
        skills = tuple(share.skill.digest for share in self._shares)
        scales = tuple(share.scale for share in self._shares)
        manifest = UnifiedManifest(self._plan.recipe.base, skills, scales, self._all_tensors())
        shares = (
            SkillShare(share.skill.digest, share.scale, share.changed, share.agreeing, share.nbytes)
            for share in self._shares
        )
        return Written(manifest, self._nbytes, tuple(shares))

    def _all_tensors(self) -> dict[str, UnifiedTensor]:
        owners = unified_tensors(self._plan)
        tensors = {}
        for name in sorted(self._plan.base.entries):
            if name not in owners:
                tensors[name] = self._tensor(name, "same")
            elif owners[name] != name:
                tensors[name] = self._tensor(name, "tied", tied_to=owners[name])
            else:
                tensors[name] = self._tensors[name]
        return tensors

    def _tensor(self, name: str, form: Form, **more: Any) -> UnifiedTensor:
        entry = self._plan.base.entries[name]
        return UnifiedTensor(form, entry.dtype, entry.shape, self._plan.base_digests[name], **more)


class _Tensor:
    """One tensor under way: its payloads, and the digest of the base's bytes."""

    def __init__(self, spool: Spool, job: Job, shares: Sequence[_Share]):
        self._name, self._shares, self._hasher = job.name, shares, blake3()
        self.values = FramePayload(spool, f"unified/{job.name}")
        changing = {skill.digest for skill, _ in job.terms}
        self._masks = [
            FramePayload(spool, f"mask/{place}/{job.name}") if share.skill.digest in changing else None
            for place, share in enumerate(shares)
        ]

    def take(self, piece: _Piece) -> None:
        """The next chunk."""
        self._hasher.update(piece.base)
        self.values.add(piece.data, piece.frame)
        present = (pair for pair in zip(self._masks, self._shares, strict=True) if pair[0] is not None)
        for (payload, share), mask in zip(present, piece.masks, strict=True):
            assert payload is not None
            payload.add(mask.data, mask.frame)
            share.count(mask)

    def check(self, digest: str) -> None:
        """Raise IntegrityFailure where the base's bytes are not those on record."""
        check_digest(f"tensor {self._name!r} of the base", digest_of(self._hasher), digest)

    def finish_masks(self) -> tuple[str | None, ...]:
        """The digests of the masks, None of a skill that leaves the tensor as it is."""
        digests: list[str | None] = []
        for payload, share in zip(self._masks, self._shares, strict=True):
            digest, nbytes = payload.finish() if payload is not None else (None, 0)
            digests.append(digest)
            share.nbytes += nbytes
        return tuple(digests)


def _counted(share: _Share, pieces: Iterable[bytes]) -> Iterator[bytes]:
    for piece in pieces:
        share.nbytes += len(piece)
        yield piece
