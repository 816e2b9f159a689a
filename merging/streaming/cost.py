"""What a plan takes before it is computed: passes over the data, bytes read and written, memory at its peak.

An estimate for the CPU, made of sizes alone. Stages follow each other, so memory is that of the largest one:

    P + max over stages of
      trim            T·(B + V + H)                     one chunk of the base, one of values, histograms
      measure         T·(B + (n + 2)·V)                 one chunk of the base and of each delta
      merge           (T + S)·2·C + T·Σₖ 3·fₖ            buffers for what is read and made; frames, as they are decoded
        by a function  … + T·(n + 4)·V                  deltas and the function's own arrays, of one chunk
        find factors   … + 28·mn, or 4·mn + 32·w·(m + n)   of an adapter: the largest matrix (m, n), w columns drawn
        whole tensors  … + W(largest) + (T − 1)·W(small)   of tensors above 2^24 elements only one at a time

P: the process itself; T threads; S spare chunks; n skills; C bytes of a chunk in the widest dtype that is read or made;
B bytes of a chunk in the base's widest dtype; V a chunk in fp32, 4 MiB; H 8.5 MiB of histograms; fₖ decoded bytes of a
chunk of skill k (of an adapter, its factors); W(N) = N·(bytes read and made + 4·(n + 8)).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from merging.adapters.settings import Extraction
from merging.adapters.truncated import SMALL
from merging.methods import Spanned, Unified
from merging.passes.others import checked_bytes
from merging.plans.plan import Plan, SkillTerm
from merging.streaming.materializer import LARGE, SPARE, largest_chunk
from storage.deltas.manifest import TensorDelta
from storage.deltas.unified import StoredSkill
from storage.dtypes import DTYPES
from storage.encodings.frames import CHUNK
from storage.encodings.philox import quantized_drop_rate

PROCESS = 200_000_000
"""Bytes of a process that has everything loaded and has merged nothing yet."""
_HISTOGRAMS = 8_912_896
_COPIES = 3  # a frame as it is stored, decoded, and laid out for compiled code
_CHUNK_ARRAYS = 4  # of fp32 beside the deltas: the base, the result, and what a function of arrays computes with
_WHOLE_ARRAYS = 8  # the same of functions of whole tensors, which sort and select


@dataclass(frozen=True)
class Pass:
    """One reading of the data: what for, and bytes of bases and of skills."""

    what: str
    base: int
    skills: int


@dataclass(frozen=True)
class Stage:
    """One stage of the work, and the bytes that it holds beside the process itself."""

    what: str
    bytes: int


@dataclass(frozen=True)
class Cost:
    """What a plan takes: passes in their order, bytes that are written, memory stage by stage."""

    passes: tuple[Pass, ...]
    written: int
    stages: tuple[Stage, ...]

    @property
    def read(self) -> int:
        """Bytes that all passes read together."""
        return sum(each.base + each.skills for each in self.passes)

    @property
    def memory(self) -> int:
        """Bytes at the peak."""
        return PROCESS + max(stage.bytes for stage in self.stages)


def cost_of(plan: Plan, threads: int) -> Cost:
    """The cost of a plan on the CPU with so many threads."""
    return Cost(tuple(_passes(plan)), sum(output.nbytes for output in plan.outputs), tuple(_stages(plan, threads)))


def with_factors(cost: Cost, linear: Iterable[tuple[int, ...]], extraction: Extraction) -> Cost:
    """The cost with what the largest of these matrices takes: its delta, and what decomposes it.

    Factors are found of one matrix at a time, while others are merged: in the last stage.
    """
    largest = 0
    for rows, columns in linear:
        smaller = min(rows, columns)
        width = min(extraction.rank or smaller, smaller) + extraction.oversampling
        whole = smaller <= SMALL or 2 * width >= smaller
        beside = 3 * rows * columns if whole else 4 * width * (rows + columns)
        largest = max(largest, 4 * rows * columns + 8 * beside)
    *before, merge = cost.stages
    return replace(cost, stages=(*before, Stage(f"{merge.what}, and find factors", merge.bytes + largest)))


def _passes(plan: Plan) -> Iterator[Pass]:
    files = {skill.delta.path: skill.delta.path.stat().st_size for skill in plan.skills}
    if plan.head is not None:
        files[plan.head.path] = plan.head.path.stat().st_size
    stored = sum(files.values())
    kept = isinstance(plan.skills[0].delta, StoredSkill) if plan.skills else False
    yield Pass("check the stored vector" if kept else "check the skills' files", 0, stored)
    if other := checked_bytes(plan):
        yield Pass("check the other base", other, 0)
    if plan.method.fused.trims:
        yield Pass("find what to trim", sum(_exact_bytes(plan, skill) for skill in plan.skills), stored)
    if isinstance(plan.method.how, Unified) and not kept:
        yield Pass("find the scales", sum(_exact_bytes(plan, skill) for skill in plan.skills), stored)
    if isinstance(plan.method.how, Spanned):
        changed = sum(entry.nbytes for name, entry in plan.base.entries.items() if _changes(plan, name))
        yield Pass("find lengths and angles", changed, stored)
    yield Pass("merge", sum(entry.nbytes for entry in plan.base.entries.values()), stored)


def _exact_bytes(plan: Plan, skill: SkillTerm) -> int:
    """Bytes of the base that are read to decode a skill alone."""
    tensors = skill.delta.manifest.tensors.items()
    return sum(plan.base.entries[name].nbytes for name, tensor in tensors if tensor.needs_base)


def _stages(plan: Plan, threads: int) -> Iterator[Stage]:
    itemsize = max((DTYPES[entry.dtype].itemsize for entry in plan.base.entries.values()), default=0)
    elements = max((output.elements for output in plan.outputs), default=0)
    chunk = min(CHUNK, elements)
    values, base, skills = 4 * chunk, itemsize * chunk, len(plan.skills)
    if plan.method.fused.trims:
        yield Stage("find what to trim", threads * (base + values + _HISTOGRAMS))
    if isinstance(plan.method.how, Spanned):
        yield Stage("find lengths and angles", threads * (base + (skills + 2) * values))
    merge = (threads + SPARE) * 2 * largest_chunk(plan)
    merge += threads * sum(_COPIES * _largest_frame(skill) for skill in plan.skills)
    if plan.arithmetic is not None:
        yield Stage("merge, whole tensors", merge + _whole(plan, threads))
    elif plan.computes is None:
        yield Stage("merge", merge)
    elif not plan.computes.whole:
        yield Stage("merge, by a function of chunks", merge + threads * (skills + _CHUNK_ARRAYS) * values)
    else:
        yield Stage("merge, whole tensors", merge + _whole(plan, threads))


def _whole(plan: Plan, threads: int) -> int:
    """Bytes of the tensors that are computed whole at one time: the largest, and those that may be beside it."""
    sizes = []
    for output in plan.outputs:
        if output.base is not None and (plan.stack or _changes(plan, output.base)):
            own = DTYPES[plan.base.entries[output.base].dtype].itemsize + DTYPES[output.dtype].itemsize
            sizes.append((output.elements, output.elements * (own + 4 * (len(plan.skills) + _WHOLE_ARRAYS))))
    sizes.sort(reverse=True)
    beside = [nbytes for elements, nbytes in sizes[1:] if elements <= LARGE]
    return sum(nbytes for _, nbytes in sizes[:1]) + sum(beside[: threads - 1])


def _changes(plan: Plan, name: str) -> bool:
    """Whether some skill changes one of the base's tensors."""
    deltas = (skill.delta for skill in plan.skills)
    return any(delta.manifest.tensors[delta.resolve(name)].form in ("kept", "lora") for delta in deltas)


def _largest_frame(skill: SkillTerm) -> int:
    return max((_frame(tensor) for tensor in skill.delta.manifest.tensors.values()), default=0)


def _frame(tensor: TensorDelta) -> int:
    """About the bytes that a chunk of a tensor decodes to."""
    count = min(CHUNK, tensor.elements)
    if tensor.low_rank is not None:
        return 4 * tensor.low_rank.rank * (tensor.low_rank.rows + tensor.low_rank.columns)
    coding = tensor.coding
    if coding is None:
        return 0
    share = 1 - quantized_drop_rate(coding.threshold) if coding.density is None else coding.density
    kept = round(count * share)
    places = kept + count // 255 if coding.selects_magnitude else 0
    return places + coding.frame_size(kept, DTYPES[tensor.fine_tuned_dtype].itemsize)
