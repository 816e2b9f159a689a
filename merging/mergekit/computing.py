"""One whole tensor of a plan, computed as mergekit does: each model's tensor rebuilt, one call of the arithmetic."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from merging.mergekit.dtypes import role_of_base, working_dtype
from merging.mergekit.models import Model, Models
from merging.mergekit.threads import one_thread
from merging.methods.method import Arithmetic
from merging.numba_engine import values
from merging.tensors import host_bytes, import_torch, torch_dtype
from storage.encodings.chunks import KeptChunk, rebuild
from storage.encodings.frames import chunk_count, chunk_span
from storage.encodings.numeric import Bits, as_bits, as_bytes, narrow, widen
from storage.encodings.philox import mask_key

if TYPE_CHECKING:
    from torch import Tensor

    from merging.chunk import Origin
    from merging.plan import Plan, SkillTerm
    from storage.deltas.delta import TensorTerm

    Found = tuple[SkillTerm, TensorTerm]


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
    recipe, own = plan.recipe, _tensor(base, origin.dtype, origin.output.own_shape)
    terms = {skill.place: (skill, term) for skill, term in origin.terms}
    name = origin.output.base or ""
    local = plan.settings.of(name)
    found = [(place, _rebuilt(plan, terms.get(place), origin, base, own)) for place in recipe.places]
    role = role_of_base(recipe)
    inputs = [dtype for _, (_, dtype) in found] + ([origin.dtype] if role == "base" else [])
    dtype = torch_dtype(working_dtype(recipe, inputs))
    others = tuple(
        Model(tensor.to(dtype), local.weights[place], local.each[place], _key(plan, terms.get(place), name))
        for place, (tensor, _) in found
    )
    if role == "first":
        return Models(others[0].tensor, others[1:], local.parameters, name)
    return Models(own.to(dtype) if role == "base" else None, others, local.parameters, name)


def _key(plan: Plan, found: Found | None, name: str) -> int:
    seed = int(plan.settings.of(name).parameters.get("seed", 0))
    return found[1].key(seed) if found is not None else mask_key(seed, plan.base_digests[name], name)


def _rebuilt(plan: Plan, found: Found | None, origin: Origin, base: Bits, own: Tensor) -> tuple[Tensor, str]:
    """A model's tensor and its dtype; the base's own for the base, and where a skill changes nothing."""
    if found is None:
        return own, origin.dtype
    skill, term = found
    dtype, name = term.tensor.fine_tuned_dtype, origin.output.base or ""
    out: Bits | None = None
    for index in range(chunk_count(base.size)):
        start, count = chunk_span(index, base.size)
        bits = _chunk(plan, skill, term, base[start : start + count], dtype, index, name)
        if out is None:
            out = np.empty(base.size, bits.dtype)
        out[start : start + count] = bits
    assert out is not None  # an empty tensor has no pieces
    return _tensor(out, dtype, origin.output.own_shape), dtype


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
