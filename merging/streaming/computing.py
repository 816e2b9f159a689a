"""Methods that compute with a function of plain arrays: what it is given, of one piece of one tensor."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from merging.engines.numba_engine import values
from merging.methods import Computed, Inputs, Part
from storage.encodings.frames import chunk_count, chunk_span
from storage.encodings.numeric import Bits, Floats, widen

if TYPE_CHECKING:
    from merging.plans.plan import Plan, SkillTerm
    from merging.streaming.origin import Origin
    from storage.deltas.delta import TensorTerm


def computed(plan: Plan, how: Computed, origin: Origin, index: int, base: Bits) -> Floats:
    """The merged values in fp32 of one piece, one-dimensional; ``base``: its bits in the base."""
    shape = origin.output.own_shape if how.whole else (base.size,)
    changed = {skill.digest: term for skill, term in origin.terms}
    parts = [_part(plan, skill, changed.get(skill.digest), origin, index, base, shape) for skill in plan.skills]
    own = widen(base, origin.dtype).reshape(shape)
    name = origin.output.base or ""
    return how.merge(Inputs(own, parts, plan.settings.of(name).parameters, name)).reshape(-1)


def _part(
    plan: Plan,
    skill: SkillTerm,
    term: TensorTerm | None,
    origin: Origin,
    index: int,
    base: Bits,
    shape: tuple[int, ...],
) -> Part:
    delta = np.zeros(base.size, np.float32)
    name, key = origin.output.base or "", 0
    local = plan.settings.of(name)
    if term is not None:
        for chunk in range(chunk_count(base.size)) if origin.whole else [index]:
            start, count = chunk_span(chunk, base.size) if origin.whole else (0, base.size)
            contribution = plan.contribution(name, skill, term, chunk)
            part = delta[start : start + count]
            values(contribution, base[start : start + count], part)
            part *= np.float32(contribution.rescale)
        key = term.key(int(local.parameters.get("seed", 0)))
    statistics = plan.statistics_of(skill, name, *origin.span(index))
    transposed = plan.statistics is not None and plan.statistics.transposed(skill.digest, name)
    weight, own = local.weights[skill.place], local.each[skill.place]
    return Part(delta.reshape(shape), weight, own, statistics, transposed, key)
