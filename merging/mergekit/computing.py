"""One whole tensor of a plan, computed as mergekit does: each model's tensor rebuilt, one call of the arithmetic."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from blake3 import blake3

from merging.engines.combination import Change, measure_change
from merging.engines.numba_engine import values
from merging.mergekit.aligning import aligned
from merging.mergekit.dtypes import role_of_base, working_dtype
from merging.mergekit.models import Model, Models
from merging.mergekit.stack import StackedModel
from merging.mergekit.threads import one_thread
from merging.methods.method import Arithmetic
from merging.methods.parameters import ParameterValue
from merging.plans.added_rows import added_bits
from merging.streaming.tensors import host_bytes, import_torch, torch_dtype
from storage.checkpoints.inputs import check_digest
from storage.encodings.chunks import KeptChunk, rebuild
from storage.encodings.frames import chunk_count, chunk_span
from storage.encodings.numeric import Bits, as_bits, as_bytes, finite, narrow, widen
from storage.encodings.philox import mask_key

if TYPE_CHECKING:
    from torch import Tensor

    from merging.plans.plan import Plan, SkillTerm
    from merging.streaming.origin import Origin
    from storage.deltas.delta import TensorTerm


def merged_tensor(plan: Plan, how: Arithmetic, origin: Origin, base: Bits) -> Bits:
    """The merged tensor's bits in the output dtype; ``base``: its bits in the base.

    Each model is rebuilt bit for bit where its skill is stored `exact`, else as base + δ rounded once to the
    fine-tune's dtype. Raises EnvironmentFailure without torch, InputRefused where the arithmetic has no answer.
    """
    torch = import_torch()
    with torch.no_grad(), one_thread(torch):
        merged = how.merge(_models(plan, how, origin, base)).to(torch_dtype(origin.output.dtype)).contiguous()
    return as_bits(as_bytes(host_bytes(merged)), origin.output.dtype)


def _models(plan: Plan, how: Arithmetic, origin: Origin, base: Bits) -> Models:
    """The models in the recipe's order, converted to one dtype."""
    recipe, name = plan.recipe, origin.output.base or ""
    parts, shared = _lineup(plan, origin)
    found = {part.model: _rebuilt(plan, part, origin, base) for part in parts}
    role = role_of_base(recipe)
    keys = {model: key for model, (_, _, key) in found.items()}
    if role == "base":
        found[recipe.base] = _tensor(base, origin.dtype, origin.output.own_shape), origin.dtype, 0
    dtype = torch_dtype(working_dtype(recipe, [own for _, own, _ in found.values()]))
    tensors = {model: tensor.to(dtype) for model, (tensor, _, _) in found.items()}
    if origin.output.aligned:
        tensors = _aligned(plan, parts, origin, tensors)
    others = tuple(Model(tensors[part.model], part.weight, part.parameters, keys[part.model]) for part in parts)
    if role == "first":
        return Models(others[0].tensor, others[1:], shared, name)
    return Models(tensors[recipe.base] if role == "base" else None, others, shared, name)


def _aligned(
    plan: Plan, parts: Sequence[StackedModel], origin: Origin, tensors: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """The models' tensors with the rows that they added, laid out as those of the result."""
    import torch

    grown = dict(tensors)
    for part in parts:
        skill = next((skill for skill in plan.skills if skill.digest == part.model), None)
        added = added_bits(skill.delta, part.tensor) if skill is not None else None
        if added is not None:
            own, bits = added
            rows = _tensor(bits, own, (-1, *origin.output.shape[1:]))
            grown[part.model] = torch.cat([tensors[part.model], rows.to(tensors[part.model].dtype)])
    assert plan.recipe.vocabulary is not None
    assert plan.recipe.vocabulary.alignment is not None
    return aligned(grown, plan.recipe.vocabulary.alignment, origin.output.shape[0])


def change_of_rows(plan: Plan, origin: Origin, base: Bits, out: Bits) -> Change:
    """How the rows of the base's tokens differ from those that it has, in a tensor whose rows are laid out anew."""
    assert plan.recipe.vocabulary is not None
    assert plan.recipe.vocabulary.alignment is not None
    output, columns = origin.output, math.prod(origin.output.shape[1:])
    squares, changed = 0.0, 0
    for first, row, count in plan.recipe.vocabulary.alignment.rows.get(plan.recipe.base, ()):
        own, made = (bits[start * columns : (start + count) * columns] for bits, start in ((base, row), (out, first)))
        part = measure_change(own, origin.dtype, made, output.dtype)
        squares, changed = squares + part.squares, changed + part.changed
    return Change(squares, changed, finite(out, output.dtype))


def _lineup(plan: Plan, origin: Origin) -> tuple[Sequence[StackedModel], Mapping[str, ParameterValue]]:
    """The models in their order, with what holds for this tensor; and the parameters that all share."""
    recipe, name = plan.recipe, origin.output.base or ""
    if plan.stack:
        stacked = plan.stack[origin.output.name]
        return stacked.models, stacked.parameters
    local = plan.settings.of(name)
    return [
        StackedModel(recipe.models[place].skill, name, local.weights[place], local.each[place])
        for place in recipe.places
    ], local.parameters


def _rebuilt(plan: Plan, part: StackedModel, origin: Origin, base: Bits) -> tuple[Tensor, str, int]:
    """A model's tensor, its dtype, and the key of its masks; the base's own where the model does not change it."""
    if part.tensor != origin.output.base:
        base = _read(plan, part.tensor)
    own, shape = plan.base.entries[part.tensor].dtype, origin.output.own_shape
    skill = next((skill for skill in plan.skills if skill.digest == part.model), None)
    term = skill.delta.term(part.tensor) if skill is not None else None
    seed = int(part.parameters.get("seed", 0))
    if skill is None or term is None:
        return _tensor(base, own, shape), own, mask_key(seed, plan.base_digests[part.tensor], part.tensor)
    dtype = term.tensor.fine_tuned_dtype
    out: Bits | None = None
    for index in range(chunk_count(base.size)):
        start, count = chunk_span(index, base.size)
        bits = _chunk(plan, skill, term, base[start : start + count], dtype, index, part.tensor)
        if out is None:
            out = np.empty(base.size, bits.dtype)
        out[start : start + count] = bits
    assert out is not None  # an empty tensor has no pieces
    return _tensor(out, dtype, shape), dtype, term.key(seed)


def _read(plan: Plan, name: str) -> Bits:
    """A whole tensor of the base, its digest checked."""
    entry = plan.base.entries[name]
    raw = bytearray(entry.nbytes)
    plan.base.read_into(name, 0, memoryview(raw))
    check_digest(f"tensor {name!r}", "blake3:" + blake3(raw).hexdigest(), plan.base_digests[name])
    return as_bits(memoryview(raw), entry.dtype)


def _chunk(plan: Plan, skill: SkillTerm, term: TensorTerm, base: Bits, dtype: str, index: int, name: str) -> Bits:
    contribution = plan.contribution(name, skill, term, index)
    chunk = contribution.term
    if isinstance(chunk, KeptChunk) and chunk.coding.values == "exact" and not chunk.coding.sparsified:
        return rebuild(chunk, base)
    delta = np.zeros(base.size, np.float32)
    values(contribution, base, delta)
    delta *= np.float32(contribution.rescale)
    return narrow(widen(base, term.tensor.dtype) + delta, dtype)


def _tensor(bits: Bits, dtype: str, shape: tuple[int, ...]) -> Tensor:
    """A tensor over the bits, which nothing writes to."""
    import torch

    found: Tensor = torch.from_numpy(bits.view(np.uint8)).view(torch_dtype(dtype)).reshape(shape)
    return found
