"""Deltas added to another base than they were made against: ``general + 0.4*(math - pretrained)``."""

import numpy as np
import pytest

from merging.engines import numba_engine, reference
from merging.engines.torch_engine import TorchEngine
from merging.passes.preparing import prepared
from merging.plans.plan import OtherBase
from merging.plans.planning import make_plan
from merging.recipes.recipe import Chosen, make_recipe
from merging.streaming.materializer import materialize
from merging.streaming.sinks import MemorySink
from storage.encodings.coding import EXACT, Coding, dare_coding
from storage.encodings.numeric import BITS, widen
from storage.errors import InputRefused, IntegrityFailure
from storage.progress import Silent
from tests.unit.tiny_models import digest_of, tensor

RANDOM = np.random.default_rng(4)
ENGINES = [reference, numba_engine, TorchEngine("cpu")]


def noise(shape, scale=1.0):
    return RANDOM.normal(0, scale, shape).astype(np.float32)


def added(target, other, skills, method="task_arithmetic", engine=reference, **parameters):
    """Skills of ``other`` and of ``target`` added to ``target``: (delta, weight, the base it was made against)."""
    chosen = {delta.manifest.digest: Chosen(weight, base=digest_of(own.tensors)) for delta, weight, own in skills}
    recipe = make_recipe(method, digest_of(target.tensors), chosen, parameters)
    others = {digest_of(other.tensors): OtherBase(other.source, other.digests)}
    deltas = {delta.manifest.digest: delta for delta, _, _ in skills}
    plan = prepared(make_plan(recipe, target.source, target.digests, deltas, others), 2, Silent())
    sink = MemorySink()
    merged = materialize(plan, sink, engine, 2, Silent())
    return {
        done.name: widen(np.frombuffer(sink.tensors[done.name], BITS[done.dtype]), done.dtype).reshape(done.shape)
        for done in merged
    }


@pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: engine.name)
def test_by_hand(tiny, engine):
    pretrained, general = tiny(w=tensor([1.0, 2.0, -0.0])), tiny(w=tensor([10.0, 20.0, -0.0]))
    math = pretrained.delta({"w": tensor([1.5, 1.0, -0.0])})
    merged = added(general, pretrained, [(math, 2.0, pretrained)], engine=engine)
    assert merged["w"].tolist() == [11.0, 18.0, 0.0]


@pytest.mark.parametrize("dtypes", [("F32", "F32"), ("BF16", "F32"), ("BF16", "F16")], ids=str)
@pytest.mark.parametrize("method", ["task_arithmetic", "dare_ties", "ties", "breadcrumbs", "linear", "karcher"])
def test_engines_agree_and_the_own_base_decides_the_delta(tiny, method, dtypes):
    pretrained = tiny(w=tensor(noise((30, 40)), dtypes[0]), v=tensor(noise(9), dtypes[0]))
    general = tiny(w=tensor(noise((30, 40)), dtypes[1]), v=tensor(noise(9), dtypes[1]))
    whole = {"w": tensor(noise((30, 40)), dtypes[0]), "v": tensor(noise(9), dtypes[0])}
    near = {"w": tensor(noise((30, 40)), dtypes[1]), "v": general.tensors["v"]}
    skills = [(pretrained.delta(whole), 0.7, pretrained), (general.delta(near), 0.4, general)]
    if method != "karcher" and method != "breadcrumbs":
        skills.append((pretrained.delta(whole, dare_coding(0.5, 3, "exact")), 0.3, pretrained))
    merged = [added(general, pretrained, skills, method, engine) for engine in ENGINES]
    for other in merged[1:]:
        assert all(merged[0][name].tobytes() == other[name].tobytes() for name in merged[0])
    if method == "task_arithmetic":
        own = {name: each.floats.astype(np.float64) for name, each in pretrained.tensors.items()}
        target = general.tensors["v"].floats
        mask_free = target + 0.7 * (whole["v"].floats - own["v"])
        assert np.abs(merged[0]["v"] - mask_free).max() < 10  # the dropped skill adds its share
        assert merged[0]["v"].tobytes() != target.tobytes()


def test_the_same_delta_stored_in_any_encoding_is_added(tiny):
    pretrained, general = tiny(w=tensor(noise(500))), tiny(w=tensor(noise(500)))
    tuned = {"w": tensor(pretrained.tensors["w"].floats + noise(500, 0.1))}
    exact = added(general, pretrained, [(pretrained.delta(tuned, EXACT), 1.0, pretrained)])["w"]
    tau = tuned["w"].floats - pretrained.tensors["w"].floats
    assert np.array_equal(exact, general.tensors["w"].floats + tau)
    rounded = added(general, pretrained, [(pretrained.delta(tuned, Coding("bf16")), 1.0, pretrained)])["w"]
    assert np.allclose(rounded, exact, atol=2e-3)


def test_a_fine_tune_of_weight_one_is_not_taken_for_the_result(tiny):
    """With its own base in place the fine-tune's own bits would be the result; on another base they are not."""
    pretrained, general = tiny(w=tensor([1.0])), tiny(w=tensor([5.0]))
    merged = added(general, pretrained, [(pretrained.delta({"w": tensor([3.0])}), 1.0, pretrained)])
    assert merged["w"].tolist() == [7.0]


def test_tensors_of_other_names_or_shapes_are_refused(tiny):
    pretrained, general = tiny(w=tensor([1.0, 2.0]), v=tensor([1.0])), tiny(w=tensor([5.0]), x=tensor([1.0]))
    math = pretrained.delta({"w": tensor([3.0, 3.0]), "v": tensor([2.0])})
    with pytest.raises(InputRefused, match=r"other tensors than the target: 'v', 'w', 'x'"):
        added(general, pretrained, [(math, 1.0, pretrained)])


def test_the_other_base_is_checked_like_the_own(tiny):
    pretrained, general = tiny(w=tensor(noise(300))), tiny(w=tensor(noise(300)))
    math = pretrained.delta({"w": tensor(noise(300))})
    pretrained.source = tiny(w=tensor(noise(300))).source  # what lies on the disk is not what was registered
    with pytest.raises(IntegrityFailure, match="tensor 'w'"):
        added(general, pretrained, [(math, 1.0, pretrained)])


def test_a_delta_of_a_third_base_is_refused(tiny):
    pretrained, general, third = tiny(w=tensor([1.0])), tiny(w=tensor([5.0])), tiny(w=tensor([9.0]))
    with pytest.raises(InputRefused, match="another base"):
        added(general, pretrained, [(third.delta({"w": tensor([3.0])}), 1.0, pretrained)])
