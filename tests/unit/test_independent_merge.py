"""Section 7 of docs/format.md is enough: merges computed from that page alone equal those of the engine, to the bit."""

import itertools

import numpy as np
import pytest

from merging.choosing import open_engine
from merging.methods import METHODS, Fused
from merging.passes.trimming import with_cutoffs
from merging.plans.planning import make_plan
from merging.recipes.recipe import make_recipe
from merging.streaming.materializer import materialize
from merging.streaming.sinks import MemorySink
from storage.checkpoints.checkpoint import open_checkpoint
from storage.deltas.build import build_delta
from storage.deltas.delta import DeltaFile
from storage.encodings.coding import EXACT, dare_coding
from storage.progress import Silent
from tests.golden import make
from tests.unit import format1_decoder as decoder
from tests.unit import format1_merge

STEPS = (-2.0, -1.0, 0.0, 1.0, 2.0)  # three deltas on this grid cancel, agree and stay zero in every combination
SPARSE = dare_coding(0.5, 4, "bf16")
PARAMETERS = {
    "linear": ({}, {"normalize": False}),
    "task_arithmetic": ({}, {"lambda": -0.3}),
    "dare_linear": ({"drop_rate": 0.5}, {"drop_rate": 0.0, "lambda": 1 / 3}, {"drop_rate": 0.5, "q": 0.7}),
    "ties": (
        {"density": 1.0},
        {"density": 0.3},
        {"density": 0.3, "trim": "tensor", "divisor": "weights"},
        {"density": 1e-9},
    ),
    "dare_ties": ({"drop_rate": 0.5}, {"drop_rate": 0.0, "divisor": "weights"}, {"drop_rate": 0.3, "q": 0.9}),
    "passthrough": ({"scale": 1.0}, {"scale": -0.3}),
}


def grid():
    """A base of ones (and one tensor that stays), and three fine-tunes whose deltas cover the grid."""
    columns = np.array(list(itertools.product(STEPS, repeat=3)), np.float32).T / 64
    count = columns.shape[1]
    base = {name: (dtype, (count,), decoder.narrow(np.ones(count, np.float32), dtype).tobytes())
            for name, dtype in (("a", "F32"), ("b", "BF16"), ("same", "F16"))}  # fmt: skip
    tuned = [
        {name: (dtype, shape, decoder.narrow(1 + column, dtype).tobytes()) for name, (dtype, shape, _) in base.items()}
        | {"same": base["same"]}
        for column in columns
    ]
    return base, tuned


@pytest.fixture(scope="module")
def skills(tmp_path_factory):
    """(base, its tensors, open deltas): two exact skills and one that is stored dropped."""
    folder = tmp_path_factory.mktemp("grid")
    tensors, tuned = grid()
    deltas = []
    for index, (model, coding) in enumerate(zip(tuned, (EXACT, EXACT, SPARSE), strict=True)):
        make.save_models(folder / str(index), tensors, model, {})
        checkpoint, path = open_checkpoint(folder / str(index) / "tuned"), folder / f"{index}.safetensors"
        base = make.open_base(folder / str(index) / "base")
        encoding = "exact" if coding == EXACT else "dare"
        build_delta(base, checkpoint, encoding, coding, path, threads=1, progress=Silent())
        checkpoint.close()
        deltas.append(DeltaFile.open(path))
    yield base, tensors, deltas
    for delta in deltas:
        delta.close()


def both(skills, method, parameters, weights, dtype=None):
    """The merge by the engine and by the page: {name: raw bytes} twice."""
    base, tensors, deltas = skills
    used = dict(zip((delta.manifest.digest for delta in deltas), weights, strict=False))
    sparse = frozenset(delta.manifest.digest for delta in deltas if delta.manifest.encoding == "dare")
    recipe = make_recipe(method, base.digest, used, parameters, stored_sparse=sparse, dtype=dtype)
    plan = make_plan(recipe, base.source, base.digests, {delta.manifest.digest: delta for delta in deltas})
    sink = MemorySink()
    materialize(with_cutoffs(plan, 1, Silent()), sink, open_engine("cpu"), 2, Silent())
    files = {delta.manifest.digest: decoder.DeltaFile(delta.path.read_bytes()) for delta in deltas}
    merged = format1_merge.merge(recipe.to_dict(), tensors, files)
    return {name: bytes(raw) for name, raw in sink.tensors.items()}, {name: raw for name, (_, _, raw) in merged.items()}


@pytest.mark.parametrize("weights", [(1, 1, 1), (0.7, -0.7, 0.1), (1,), (0.3,), (0.1, 0.2, 1e-9)], ids=str)
@pytest.mark.parametrize("method", PARAMETERS)
def test_merges_computed_from_the_page_alone(skills, method, weights):
    if method == "passthrough":
        weights = (1,)
    for parameters, dtype in itertools.product(PARAMETERS[method], (None, "F16")):
        engine, page = both(skills, method, parameters, weights, dtype)
        assert engine == page, (parameters, dtype)


def test_every_method_of_the_fused_pass_is_covered():
    assert set(PARAMETERS) == {name for name, method in METHODS.items() if isinstance(method.how, Fused)}


def test_one_exact_skill_of_weight_one_is_the_fine_tune(skills):
    _, tuned = grid()
    for method in ("task_arithmetic", "linear"):
        engine, page = both(skills, method, {}, (1,))
        assert engine == page == {name: raw for name, (_, _, raw) in tuned[0].items()}
