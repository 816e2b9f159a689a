"""Bases beside the recipe's own, from which deltas are taken that are added to it: are their bytes what they were?"""

from __future__ import annotations

from collections.abc import Iterator

from blake3 import blake3

from merging.plans.plan import Plan, SkillTerm
from storage.checkpoints.inputs import check_digest, digest_of
from storage.checkpoints.tensors import TensorSource
from storage.dtypes import DTYPES
from storage.encodings.frames import CHUNK
from storage.pipeline import in_order
from storage.progress import Progress

_PIECE = 4 * CHUNK
_Job = tuple[TensorSource, str, int, str]


def check_other_bases(plan: Plan, threads: int, progress: Progress) -> None:
    """Read what will be read of other bases, and compare its digests: the recipe's own base is checked as it is merged.

    Raises IntegrityFailure for bytes that changed.
    """
    jobs = {job[1:]: job for skill in plan.skills for job in _jobs(skill)}
    if not jobs:
        return
    progress.start("check the other base", sum(nbytes for _, nbytes, _ in jobs))
    try:
        for nbytes in in_order(_check, jobs.values(), threads):
            progress.advance(nbytes)
    finally:
        progress.finish()


def checked_bytes(plan: Plan) -> int:
    """How many bytes ``check_other_bases`` reads."""
    return sum(job[2] for job in {job[1:]: job for skill in plan.skills for job in _jobs(skill)}.values())


def _jobs(skill: SkillTerm) -> Iterator[_Job]:
    """The tensors of its own base that a skill's values are found against."""
    if skill.base is None:
        return
    for name, tensor in skill.delta.manifest.tensors.items():
        if tensor.needs_base:
            yield skill.base, name, tensor.elements * DTYPES[tensor.dtype].itemsize, tensor.base


def _check(job: _Job) -> int:
    source, name, nbytes, digest = job
    hasher, raw = blake3(), bytearray(min(_PIECE, nbytes))
    for start in range(0, nbytes, _PIECE):
        piece = memoryview(raw)[: min(_PIECE, nbytes - start)]
        source.read_into(name, start, piece)
        hasher.update(piece)
    check_digest(f"tensor {name!r}", digest_of(hasher), digest)
    return nbytes
