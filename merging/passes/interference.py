"""How the deltas of a recipe's skills lie to each other, before anything is merged: lengths, angles, signs, by layer.

Of each tensor, in one pass over the stored deltas as ``merging.passes.products`` takes it, dₖ = wₖ·δₖ being what is
added up:

    norm         ‖dₖ‖
    cosine       ⟨dᵢ, dⱼ⟩ / (‖dᵢ‖·‖dⱼ‖)
    overlap      the share of elements that neither delta leaves alone
    agreement    the share of those that both move in the same direction
    cancelled    1 − ‖Σ dₖ‖ / Σ ‖dₖ‖, of which 1 − √(Σ ‖dₖ‖²) / Σ ‖dₖ‖ where all dₖ are at right angles

A skill that was dropped when it was stored holds m⊙δ/q, q = 1 − p, m its mask with P(m = 1) = q. For two skills,
E ⟨m₁⊙δ₁/q₁, m₂⊙δ₂/q₂⟩ = ⟨δ₁, δ₂⟩·P(m₁ = m₂ = 1)/(q₁q₂), which is ⟨δ₁, δ₂⟩ for independent masks, and
E ‖m⊙δ/q‖² = ‖δ‖²/q. Multiplying by q₁q₂/P(m₁ = m₂ = 1) therefore estimates every product without bias: by 1 for
independent masks, by q for a norm, by the larger q where two skills drop the same fine-tune with the same seed, as one
mask then lies within the other. The variance of such a product is estimated by (1 − P)·Σ (its summands)².
Signs count where both were kept; what was not stored says nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from merging.methods import METHODS
from merging.passes.products import Job, Matrix, base_chunk, by_chunk, deltas, inner
from merging.plans.plan import Plan
from merging.settings import layer_of
from storage.deltas.delta import TensorTerm
from storage.deltas.roles import is_vocabulary
from storage.dtypes import MERGEABLE
from storage.encodings.frames import chunk_span
from storage.encodings.measure_kernels import ROW, add_square_products, count_signs
from storage.encodings.numeric import BITS, Bits, Floats
from storage.encodings.philox import FULL, quantized_drop_rate
from storage.progress import Progress

Counts = NDArray[np.int64]
EMBEDDINGS, OTHER, WHOLE = "embeddings", "other", "whole model"


@dataclass(frozen=True)
class Overlap:
    """What some elements of k skills' deltas have in common, (k, k) each; adds up over tensors.

    ``products``: ⟨dᵢ, dⱼ⟩; ``variances``: of those that are estimated; ``both``: elements that are zero in neither;
    ``same``: those of them whose signs are equal. ``elements``: how many there are in all.
    """

    elements: int
    products: Matrix
    variances: Matrix
    both: Counts
    same: Counts

    @classmethod
    def nothing(cls, skills: int, elements: int = 0) -> Overlap:
        """Of skills that change none of so many elements."""
        size = (skills, skills)
        return cls(elements, np.zeros(size), np.zeros(size), np.zeros(size, np.int64), np.zeros(size, np.int64))

    def __add__(self, other: Overlap) -> Overlap:
        return Overlap(
            self.elements + other.elements,
            self.products + other.products,
            self.variances + other.variances,
            self.both + other.both,
            self.same + other.same,
        )

    def ordered(self, places: Sequence[int]) -> Overlap:
        """The same, of the skills at these places in turn."""
        picked = np.ix_(places, places)
        return Overlap(
            self.elements, self.products[picked], self.variances[picked], self.both[picked], self.same[picked]
        )

    def norm(self, skill: int) -> float:
        """‖dₖ‖."""
        return math.sqrt(max(0.0, float(self.products[skill, skill])))

    def cosine(self, one: int, other: int) -> float | None:
        """The cosine between two skills, −1 to 1; None where one of them changes nothing."""
        lengths = self.norm(one) * self.norm(other)
        return max(-1.0, min(1.0, float(self.products[one, other]) / lengths)) if lengths else None

    def error(self, one: int, other: int) -> float:
        """The standard error of the cosine, by the dropping alone; 0 where neither skill was dropped."""
        lengths = self.norm(one) * self.norm(other)
        return math.sqrt(float(self.variances[one, other])) / lengths if lengths else 0.0

    def overlap(self, one: int, other: int) -> float:
        """The share of elements that both skills change, as far as is stored."""
        return float(self.both[one, other]) / self.elements if self.elements else 0.0

    def agreement(self, one: int, other: int) -> float | None:
        """The share of the elements that both change which they change in one direction; None of no elements."""
        both = int(self.both[one, other])
        return int(self.same[one, other]) / both if both else None

    def cancelled(self) -> float | None:
        """The share of the norms that is lost in the sum, 0 to 1; None where fewer than two skills change anything."""
        return self._lost(float(self.products.sum()))

    def unrelated(self) -> float | None:
        """What ``cancelled`` would be if all skills were at right angles to each other."""
        return self._lost(float(np.trace(self.products)))

    def _lost(self, squares: float) -> float | None:
        norms = [self.norm(skill) for skill in range(len(self.products))]
        if sum(norm > 0 for norm in norms) < 2:
            return None
        return max(0.0, min(1.0, 1 - math.sqrt(max(0.0, squares)) / math.fsum(norms)))


@dataclass(frozen=True)
class Interference:
    """The overlap of a plan's skills over the whole model, and group by group: embeddings, layers in order, the rest.

    ``skills``: their digests; ``estimated``: whether each was dropped when it was stored.
    """

    skills: tuple[str, ...]
    estimated: tuple[bool, ...]
    whole: Overlap
    groups: tuple[tuple[str, Overlap], ...]

    def ordered(self, skills: Sequence[str]) -> Interference:
        """The same, with the skills in another order."""
        places = [self.skills.index(skill) for skill in skills]
        return Interference(
            tuple(skills),
            tuple(self.estimated[place] for place in places),
            self.whole.ordered(places),
            tuple((label, group.ordered(places)) for label, group in self.groups),
        )


def find_interference(plan: Plan, threads: int, progress: Progress) -> Interference:
    """Read every delta of the plan once and compare them.

    Deltas count as they are stored, with their weights, before the method drops or trims. Sums are fp64 and taken in
    the order of the chunks: the same on any number of threads. Memory: a thread holds one chunk of every skill.
    """
    # As they are stored: this method neither drops nor trims, and no first pass has found coefficients.
    plan = replace(plan, method=METHODS["task_arithmetic"], cutoffs={}, coefficients={})
    size = len(plan.skills)
    found: dict[str, Overlap] = {}
    for name, part in by_chunk(plan, lambda job: _chunk(plan, job), threads, progress):
        found[name] = found.get(name, Overlap.nothing(size)) + part
    groups: dict[str, Overlap] = {}
    for label, name, elements in _mergeable(plan):
        own = _weighed(plan, name, found[name]) if name in found else Overlap.nothing(size, elements)
        groups[label] = groups.get(label, Overlap.nothing(size)) + own
    return Interference(
        tuple(skill.digest for skill in plan.skills),
        tuple(_is_dropped(plan, place) for place in range(size)),
        sum(groups.values(), Overlap.nothing(size)),
        tuple(groups.items()),
    )


def _mergeable(plan: Plan) -> Iterator[tuple[str, str, int]]:
    """(Group, tensor, elements) of all that deltas can change, groups in order."""
    names = [name for name, entry in plan.base.entries.items() if entry.dtype in MERGEABLE]
    layers = {name: layer_of(name) for name in names}
    stacks = {layer[0] for layer in layers.values() if layer is not None}

    def group(name: str) -> tuple[int, str, int]:
        layer = layers[name]
        if layer is not None:
            return 1, layer[0], layer[1]
        return (0, EMBEDDINGS, 0) if is_vocabulary(name) or "embed" in name else (2, OTHER, 0)

    for name in sorted(names, key=lambda name: (group(name), name)):
        place, label, number = group(name)
        if place == 1:
            stack = f"{label.rstrip('.')} " if len(stacks) > 1 and label else ""
            label = f"{stack}layer {number}"
        yield label, name, plan.base.entries[name].elements


def _chunk(plan: Plan, job: Job) -> Overlap:
    """The overlap of one chunk, neither weighed nor corrected."""
    rows = deltas(plan, job, _base(plan, job))
    size = len(rows)
    count = chunk_span(job[1], plan.base.entries[job[0]].elements)[1]
    found = replace(Overlap.nothing(size, count), products=inner(rows))
    estimated = [
        row is not None and _kept(job[2][skill.digest][1]) < 1 for row, skill in zip(rows, plan.skills, strict=True)
    ]
    for i, one in enumerate(rows):
        for j, other in enumerate(rows[:i]):
            if one is not None and other is not None:
                both, same = count_signs(one, other)
                found.both[i, j] = found.both[j, i] = both
                found.same[i, j] = found.same[j, i] = same
                if estimated[i] or estimated[j]:
                    found.variances[i, j] = found.variances[j, i] = _squares(one, other)
    return found


def _squares(one: Floats, other: Floats) -> float:
    sums = np.zeros(ROW)
    add_square_products(one, other, sums)
    return float(sums.sum())


def _base(plan: Plan, job: Job) -> Bits:
    """The base's chunk where some delta is told relative to it; else nothing is read."""
    name, index, terms = job
    if any(skill.base is None and term.tensor.needs_base for skill, term in terms.values()):
        return base_chunk(plan, job)
    entry = plan.base.entries[name]
    return np.zeros(chunk_span(index, entry.elements)[1], BITS[entry.dtype])


def _weighed(plan: Plan, name: str, found: Overlap) -> Overlap:
    """The overlap of one tensor, with the skills' weights in it, and corrected for what was dropped."""
    terms = {skill.digest: term for skill, term in plan.terms(name)}
    weights = np.array([plan.share(name, skill) for skill in plan.skills])
    factors, chances = np.ones_like(found.products), np.ones_like(found.products)
    for i, one in enumerate(plan.skills):
        for j, other in enumerate(plan.skills):
            if one.digest in terms and other.digest in terms:
                chances[i, j] = _both_kept(terms[one.digest], terms[other.digest])
                factors[i, j] = _kept(terms[one.digest]) * _kept(terms[other.digest]) / chances[i, j]
    scales = factors * np.outer(weights, weights)
    signs = np.sign(scales).astype(np.int64)
    return Overlap(
        found.elements,
        found.products * scales,
        found.variances * (1 - chances) * scales**2,
        found.both * np.abs(signs),
        np.where(signs < 0, found.both - found.same, found.same * signs),
    )


def _both_kept(one: TensorTerm, other: TensorTerm) -> float:
    """The probability that two skills both kept an element."""
    kept = _kept(one), _kept(other)
    if max(kept) < 1 and _mask(one) == _mask(other):
        return min(kept)
    return kept[0] * kept[1]


def _mask(term: TensorTerm) -> int:
    assert term.tensor.coding is not None
    return term.key(term.tensor.coding.seed)


def _kept(term: TensorTerm) -> float:
    """q: the probability that an element was kept."""
    coding = term.tensor.coding
    return 1 - quantized_drop_rate(coding.threshold if coding is not None else FULL)


def _is_dropped(plan: Plan, place: int) -> bool:
    tensors = plan.skills[place].delta.manifest.tensors.values()
    return any(tensor.coding is not None and tensor.coding.threshold != FULL for tensor in tensors)
