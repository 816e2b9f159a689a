"""Resident mode: a base and compressed skills kept in memory, any combination of them made in one pass.

What keeps them is a ``Memory``: the host's, or a device's. The same results to the bit, whichever.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from merging.methods import Spanned
from merging.passes.products import Matrix, with_coefficients
from merging.plans.plan import OutputTensor, Plan
from merging.plans.planning import make_plan, with_recipe, with_statistics
from merging.recipes.recipe import Recipe
from merging.recipes.semantics import MERGEKIT
from merging.residence.holding import HeldBase, HeldDelta
from merging.residence.targets import Targets, count_as_written, existing_tensors, new_tensors
from storage.statistics.statistics_file import StatisticsFile

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module


Files = Mapping[str, StatisticsFile]
"""Open statistics by skill digest."""


class Memory(Protocol):
    """Where a base and skills (by digest) are kept, and what merges them there."""

    engine: str
    device: str
    base: HeldBase
    deltas: Mapping[str, HeldDelta]

    def merge(self, plan: Plan, targets: Targets) -> None:
        """Compute every output that has a target, and write it there.

        Raises InputRefused where a result is not finite, but only when all are written.
        """

    def cutoffs(self, plan: Plan) -> Mapping[tuple[str, str], float]:
        """The trimming cutoffs of a plan's skills, by skill digest and tensor name."""

    def products(self, plan: Plan) -> Mapping[str, Matrix]:
        """The inner products of a plan's base and skills, by tensor name."""

    def base_size(self) -> int:
        """Bytes that the base takes."""

    def skill_sizes(self) -> Mapping[str, int]:
        """Bytes that each skill takes, by digest."""

    def close(self) -> None:
        """Let go of the memory."""


class Resident:
    """Recipes over what a memory holds. What does not depend on weights is found out once: which tensors come of
    what, and cutoffs and inner products, which depend on skills, density and trim alone.
    """

    def __init__(self, memory: Memory, base_digests: Mapping[str, str]):
        self.memory = memory
        self._digests = base_digests
        self._plans: dict[tuple[object, ...], Plan] = {}
        self._cutoffs: dict[tuple[object, ...], Mapping[tuple[str, str], float]] = {}
        self._products: dict[tuple[str, ...], Mapping[str, Matrix]] = {}

    def load(self, recipe: Recipe, statistics: Files | None = None) -> Targets:
        """The merged model as new tensors. ``statistics``: those that the recipe names, by skill digest.

        Raises InputRefused where the result is not finite.
        """
        plan = self._plan(recipe, statistics)
        targets = new_tensors(plan.outputs, self.memory.device)
        self.memory.merge(plan, targets)
        return {output.name: targets[output.name] for output in plan.outputs}

    def load_into(self, recipe: Recipe, target: Mapping[str, Tensor] | Module, statistics: Files | None = None) -> None:
        """Write the merged model over the target's tensors.

        Raises InputRefused, nothing written, where the target does not fit; and where the result is not finite, when
        all of it is written: the target must then be loaded again before it is used.
        """
        plan = self._plan(recipe, statistics)
        targets = existing_tensors(
            plan.outputs, target, self.memory.device, lambda one, other: _alike(plan, one, other)
        )
        try:
            self.memory.merge(plan, targets)
        finally:
            count_as_written(targets)

    def close(self) -> None:
        """Let go of the memory; to do so twice does no harm."""
        self._plans.clear()
        self._cutoffs.clear()
        self._products.clear()
        self.memory.close()

    def _plan(self, recipe: Recipe, statistics: Files | None) -> Plan:
        named = tuple(term.skill for term in recipe.terms)
        vocabulary = recipe.vocabulary.to_dict() if recipe.vocabulary else None
        key: tuple[object, ...] = (named, recipe.head, recipe.dtype, repr(vocabulary))
        if recipe.semantics == MERGEKIT:
            key = (recipe.digest,)  # the dtypes of its tensors depend on more
        if key not in self._plans:
            make_room(self._plans)
            deltas = {digest: self.memory.deltas[digest] for digest in sorted({*named, *filter(None, [recipe.head])})}
            self._plans[key] = make_plan(recipe, self.memory.base, self._digests, deltas)
        plan = with_statistics(with_recipe(self._plans[key], recipe), statistics or {})
        if isinstance(plan.method.how, Spanned):
            return with_coefficients(plan, self._products_of(plan, named))
        return self._with_cutoffs(plan) if plan.method.fused.trims else plan

    def _products_of(self, plan: Plan, named: tuple[str, ...]) -> Mapping[str, Matrix]:
        """They depend on the skills alone."""
        if named not in self._products:
            make_room(self._products)
            self._products[named] = self.memory.products(plan)
        return self._products[named]

    def _with_cutoffs(self, plan: Plan) -> Plan:
        cutoffs: dict[tuple[str, str], float] = {}
        for skill in plan.skills:
            key = (skill.digest, plan.recipe.parameters["density"], plan.recipe.parameters["trim"])
            if key not in self._cutoffs:
                make_room(self._cutoffs)
                self._cutoffs[key] = self.memory.cutoffs(dataclasses.replace(plan, skills=(skill,)))
            cutoffs |= self._cutoffs[key]
        return dataclasses.replace(plan, cutoffs=cutoffs)


def make_room(cache: dict[Any, Any], limit: int = 256) -> None:
    """Let go of what was kept first, so that serving any number of recipes takes bounded memory."""
    while len(cache) >= limit:
        del cache[next(iter(cache))]


def _alike(plan: Plan, one: OutputTensor, other: OutputTensor) -> bool:
    """Whether two outputs are the same to the bit: the same base bytes, changed by the same terms."""
    if one.base is None or other.base is None:
        head = plan.head.manifest.head if plan.head is not None else {}
        digests = [head[each.head].digest if each.head else None for each in (one, other)]
        return digests[0] is not None and digests[0] == digests[1] and one.dtype == other.dtype
    if (one.added or one.aligned) and any(
        skill.delta.manifest.added(one.base) != skill.delta.manifest.added(other.base) for skill in plan.skills
    ):
        return False
    same_base = plan.base_digests[one.base] == plan.base_digests[other.base] and one.dtype == other.dtype
    return same_base and all(_same_term(skill.delta, one.base, other.base) for skill in plan.skills)


def _same_term(delta: object, one: str, other: str) -> bool:
    assert isinstance(delta, HeldDelta)
    if delta.resolve(one) == delta.resolve(other):
        return True
    return delta.term(one) is None and delta.term(other) is None
