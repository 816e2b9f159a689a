"""Resident mode on a CUDA device: the base's bytes and compressed skills there, merged by the fused Triton kernel."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch

from merging.device.index import Raw
from merging.device.launch import ALIGNED, Arena, Launches, Term, Work, launch
from merging.engines.combination import Combine, Contribution
from merging.engines.torch_engine import told_out_of_memory
from merging.passes.products import Matrix
from merging.passes.trimming import find_cutoffs
from merging.plans.plan import OutputTensor, Plan, SkillTerm
from merging.residence.holding import HeldBase, HeldDelta, HeldTerm
from merging.residence.targets import Targets
from merging.streaming.chunk import not_finite
from merging.streaming.origin import Origin, origin
from merging.streaming.tensors import host_bytes, torch_dtype
from storage.deltas.delta import TensorTerm
from storage.encodings.cutoffs import Counts, find_cutoff
from storage.encodings.frames import CHUNK, chunk_span
from storage.encodings.numeric import as_bits
from storage.errors import UsageError

if TYPE_CHECKING:
    from torch import Tensor

_COURSES = 8
_VALUES_ALONE = Combine(elects=False, by_weight=False, scale=1.0, base_scale=0.0)


@dataclass
class DeviceSkill:
    """One skill's terms by tensor, and its head. In pinned host memory: one arena, and what to make of it."""

    terms: dict[str, Term] = field(default_factory=dict)
    held: dict[str, HeldTerm] = field(default_factory=dict)
    heads: dict[str, Tensor] = field(default_factory=dict)
    arena: Arena = field(default_factory=Arena)
    offsets: dict[str, Mapping[int, int]] = field(default_factory=dict)
    pinned: Tensor | None = None
    raws: dict[str, Raw] = field(default_factory=dict)

    def size(self) -> int:
        """Bytes, each memory once."""
        tensors = [*self.heads.values(), *(tensor for term in self.terms.values() for tensor in term.held)]
        tensors += [self.pinned] if self.pinned is not None else []
        return sum({tensor.data_ptr(): tensor.nbytes for tensor in tensors}.values())


class DeviceMemory:
    """A base and skills (by digest) on a device; skills perhaps in pinned host memory, brought over for each merge."""

    engine = "triton"

    def __init__(
        self,
        entries: HeldBase,
        bases: Mapping[str, Tensor],
        deltas: Mapping[str, HeldDelta],
        skills: Mapping[str, DeviceSkill],
        device: torch.device,
    ):
        self.base = entries
        self.deltas = deltas
        self.device = str(device)
        self._place = device
        self._bases = dict(bases)
        self._skills = dict(skills)
        self._courses: dict[tuple[object, ...], _Course] = {}

    def merge(self, plan: Plan, targets: Targets) -> None:
        """Compute every output that has a target, and write it there.

        Raises InputRefused where a result is not finite, but only when all are written.
        """
        landings = {name: _Landing(target) for name, target in targets.items()}
        _refuse_unlike(plan)
        with told_out_of_memory(self.device), on_device(self._place):
            course = self._course(plan, landings)
            for name, source in course.carried:
                landings[name].raw.copy_(source)
            shares = np.array(_shares(plan), np.float64)
            raws = [landings[output.name].raw for output in course.merged]
            flags = course.launches.start(raws, plan.combine_of(""), shares)
            for landing in landings.values():
                landing.finish()
            bad = torch.nonzero(flags).reshape(-1).tolist()  # waits for the device
        if bad:
            output = course.merged[bad[0]]
            raise landings[output.name].refusal(output)

    def _course(self, plan: Plan, landings: Mapping[str, _Landing]) -> _Course:
        """What is to be done, kept for the next recipe that differs in weights alone."""
        skills = tuple(skill.digest for skill in plan.skills)
        if any(self._skills[digest].pinned is not None for digest in skills):
            return self._new_course(plan, landings)
        recipe = plan.recipe
        # Beside the weights' own effect, weights of 1 may make the result the fine-tune, and leave a tensor the base's.
        settings = tuple((name, value) for name, value in sorted(recipe.parameters.items()) if name != "lambda")
        combine = plan.combine_of("")
        ones = tuple(each == 1.0 for each in (combine.base_scale, combine.scale, *_shares(plan)))
        alignment = tuple((name, landing.raw.data_ptr() % ALIGNED) for name, landing in landings.items())
        key = (
            recipe.method,
            skills,
            settings,
            recipe.head,
            recipe.dtype,
            ones,
            alignment,
        )
        if key not in self._courses:
            while len(self._courses) >= _COURSES:
                self._courses.pop(next(iter(self._courses)))
            self._courses[key] = self._new_course(plan, landings)
        return self._courses[key]

    def _new_course(self, plan: Plan, landings: Mapping[str, _Landing]) -> _Course:
        brought = {skill.digest: self._brought(skill.digest) for skill in plan.skills}
        carried, merged, works = [], [], []
        for output in plan.outputs:
            if output.name not in landings or not output.elements:
                continue
            made_of = origin(plan, output)
            source = self._source(plan, made_of)
            if made_of.carried:
                carried.append((output.name, source))
            else:
                merged.append(output)
                works.append(self._work(plan, made_of, source, landings[output.name].raw, brought))
        return _Course(tuple(carried), tuple(merged), Launches(works, self._place))

    def own_tensors(self, plan: Plan) -> Targets:
        """The base's own tensors for the plan's outputs, where dtypes are equal, and new ones for the others.

        Merging into them takes no second model's memory, but is the last thing that this memory can do.
        """
        return {output.name: self._own_tensor(output) for output in plan.outputs}

    def _own_tensor(self, output: OutputTensor) -> Tensor:
        dtype = torch_dtype(output.dtype)
        if output.base is None or self.base.entries[output.base].dtype != output.dtype:
            return torch.empty(output.shape, dtype=dtype, device=self._place)
        return self._bases[output.base].view(dtype).reshape(output.shape)

    def cutoffs(self, plan: Plan) -> Mapping[tuple[str, str], float]:
        """The trimming cutoffs of a plan's skills."""

        def cutoff(skill: SkillTerm, terms: Sequence[TensorTerm], keep: int) -> float:
            return find_cutoff(keep, lambda prefix: self._histogram(plan, skill, terms, prefix))

        with told_out_of_memory(self.device), on_device(self._place):
            return find_cutoffs(plan, cutoff)

    def products(self, plan: Plan) -> Mapping[str, Matrix]:
        """Refused: no method that needs inner products is computed here."""
        raise _unlike(plan)

    def base_size(self) -> int:
        """Bytes that the base takes on the device."""
        return sum(tensor.nbytes for tensor in self._bases.values())

    def skill_sizes(self) -> Mapping[str, int]:
        """Bytes that each skill takes, by digest."""
        return {digest: skill.size() for digest, skill in self._skills.items()}

    def close(self) -> None:
        """Let go of the memory."""
        self.base, self.deltas = HeldBase({}, {}), {}
        self._bases.clear()
        self._skills.clear()
        self._courses.clear()

    def _brought(self, digest: str) -> Mapping[str, Term]:
        """A skill's terms, on the device."""
        skill = self._skills[digest]
        if skill.pinned is None:
            return skill.terms
        arena = skill.pinned.to(self._place, non_blocking=True)
        return {name: _moved(skill.terms[name], offsets, arena) for name, offsets in skill.offsets.items()}

    def _source(self, plan: Plan, origin: Origin) -> Tensor:
        if origin.output.base is not None:
            return self._bases[origin.output.base]
        assert plan.head is not None
        assert origin.output.head is not None
        return self._skills[plan.head.manifest.digest].heads[origin.output.head]

    def _work(
        self, plan: Plan, origin: Origin, source: Tensor, out: Tensor, brought: Mapping[str, Mapping[str, Term]]
    ) -> Work:
        name = origin.output.base or ""
        given = [plan.contribution(name, skill, term, 0) for skill, term in origin.terms]
        terms = [brought[skill.digest][term.name] for skill, term in origin.terms]
        numbers = {skill.digest: number for number, skill in enumerate(plan.skills)}
        return Work(
            base=source,
            dtype=origin.dtype,
            out=out,
            out_dtype=origin.output.dtype,
            elements=origin.output.elements,
            terms=tuple(zip(terms, given, strict=True)),
            rebuilds=bool(given) and plan.is_identity(tuple(given), plan.combine_of(name)),
            scaled=origin.output.base is not None,
            skills=tuple(numbers[skill.digest] for skill, _ in origin.terms),
        )

    def _histogram(self, plan: Plan, skill: SkillTerm, terms: Iterable[TensorTerm], prefix: int | None) -> Counts:
        """As ``storage.encodings.cutoffs.count_magnitudes`` counts, of a skill's values in some tensors."""
        total = torch.zeros(1 << 16, dtype=torch.int64, device=self._place)
        brought = self._brought(skill.digest)
        for term in terms:
            values = torch.empty(term.tensor.elements, dtype=torch.int32, device=self._place)
            given = plan.contribution(term.name, skill, term, 0)
            alone = Contribution(given.term, 1.0, 1.0, given.drop)
            own = ((brought[term.name], alone),)
            raw, elements = values.view(torch.uint8), term.tensor.elements
            work = Work(self._bases[term.name], term.tensor.dtype, raw, "F32", elements, own)
            launch([work], _VALUES_ALONE, self._place)
            patterns = values & 0x7FFFFFFF
            patterns = patterns[patterns != 0]
            upper = patterns >> 16
            bins = upper if prefix is None else patterns[upper == prefix] & 0xFFFF
            total += torch.bincount(bins, minlength=1 << 16)
        return total.cpu().numpy().astype(np.uint64)


@dataclass(frozen=True)
class _Course:
    """A plan without its weights: outputs that are the base's own bytes, and the launches that make the others."""

    carried: tuple[tuple[str, Tensor], ...]
    merged: tuple[OutputTensor, ...]
    launches: Launches


class _Landing:
    """The bytes that a tensor's result is written to: its own, or where they do not lie in one piece, others."""

    def __init__(self, target: Tensor):
        self._target = target
        whole = target.is_contiguous()
        self._whole = target if whole else torch.empty_like(target, memory_format=torch.contiguous_format)
        self.raw = self._whole.reshape(-1).view(torch.uint8)

    def finish(self) -> None:
        """Copy to the target what was not written there at once."""
        if self._whole is not self._target:
            self._target.copy_(self._whole)

    def refusal(self, output: OutputTensor) -> Exception:
        """What to raise where the result is not finite."""
        values = self._whole.reshape(-1)
        first = int(torch.nonzero(~torch.isfinite(values))[0])
        start, count = chunk_span(first // CHUNK, output.elements)
        raw = host_bytes(values[start : start + count].cpu())
        return not_finite(output, start, as_bits(raw.data, output.dtype))


def _refuse_unlike(plan: Plan) -> None:
    if not plan.alike:
        raise _unlike(plan)


def _unlike(plan: Plan) -> UsageError:
    return UsageError(
        f"this merge ({plan.method.name}) does not treat all tensors alike, or adds rows to the vocabulary: "
        "a device's memory can do neither",
        hint="open the resident store with device='cpu', or use store.load(…, device='cuda')",
    )


def _shares(plan: Plan) -> list[float]:
    return [plan.share("", skill) for skill in plan.skills]


def on_device(device: torch.device) -> AbstractContextManager[object]:
    """Where a CUDA device is meant: what is launched without naming one goes there."""
    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()


def _moved(term: Term, offsets: Mapping[int, int], arena: Tensor) -> Term:
    """A term whose arena has been brought to the device; what was made of its mask stays where it is."""
    row = term.row.copy()
    for column, offset in offsets.items():
        row[column] = arena.data_ptr() + offset
    return Term(term.kind, row, term.scaling, (arena, *term.held))
