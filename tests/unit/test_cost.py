"""What a merge takes, by sizes alone: passes, bytes, memory."""

import numpy as np
import pytest

from merging.streaming import cost
from merging.streaming.cost import PROCESS, cost_of
from merging.streaming.materializer import SPARE
from storage.encodings.coding import EXACT, dare_coding
from storage.encodings.frames import CHUNK
from tests.unit.tiny_models import tensor

RANDOM = np.random.default_rng(3)
BIG = CHUNK + 5


def noise(size):
    return RANDOM.normal(0, 1e-3, size).astype(np.float32)


@pytest.fixture
def planned(tiny):
    base = tiny(w=tensor(noise(BIG), "BF16"), v=tensor(noise(64), "BF16"))
    tuned = [{"w": tensor(noise(BIG), "BF16"), "v": base.tensors["v"]} for _ in range(2)]

    def plan(method, coding, dtype=None, **parameters):
        name = f"{method}-{coding.values}"
        skills = [(base.delta(each, coding, f"{name}-{number}"), 1.0) for number, each in enumerate(tuned)]
        return base.plan(method, skills, dtype, **parameters), sum(delta.path.stat().st_size for delta, _ in skills)

    return plan


def test_the_fused_pass_by_hand(planned):
    plan, stored = planned("task_arithmetic", EXACT)
    found = cost_of(plan, 3)
    assert [(each.what, each.base, each.skills) for each in found.passes] == [
        ("check the skills' files", 0, stored),
        ("merge", 2 * (BIG + 64), stored),
    ]
    assert found.read == 2 * (BIG + 64) + 2 * stored
    assert found.written == 2 * (BIG + 64)
    # Seven pairs of buffers of a bf16 chunk, and three copies of two frames of as much for each thread.
    assert found.memory == PROCESS + (3 + SPARE) * 2 * 2 * CHUNK + 3 * 2 * 3 * 2 * CHUNK


def test_a_wider_result_takes_wider_buffers_and_more_disk(planned):
    plan, _ = planned("task_arithmetic", EXACT, dtype="F32")
    found = cost_of(plan, 1)
    assert found.written == 4 * (BIG + 64)
    assert found.memory == PROCESS + (1 + SPARE) * 2 * 4 * CHUNK + 2 * 3 * 2 * CHUNK


def test_dropped_skills_take_little(planned):
    dropped, exact = (
        cost_of(planned("task_arithmetic", coding)[0], 2) for coding in (dare_coding(0.9, 0, "int4"), EXACT)
    )
    assert dropped.memory < exact.memory
    assert dropped.read < exact.read


@pytest.mark.parametrize(
    ("method", "stages"),
    [
        ("ties", ["find what to trim", "merge"]),
        ("karcher", ["find lengths and angles", "merge"]),
        ("fisher", ["merge, by a function of chunks"]),
        ("sce", ["merge, whole tensors"]),
    ],
)
def test_stages_are_those_of_the_method(planned, method, stages):
    plan, stored = planned(method, EXACT)
    found = cost_of(plan, 2)
    assert [stage.what for stage in found.stages] == stages
    assert found.memory == PROCESS + max(stage.bytes for stage in found.stages)
    if method == "ties":
        assert found.passes[1].base == 2 * 2 * BIG  # both skills are decoded against the base
    if method == "karcher":
        assert (found.passes[1].base, found.passes[1].skills) == (2 * BIG, stored)


def test_whole_tensors_are_in_memory_with_every_delta(planned):
    plan, _ = planned("sce", EXACT)
    fused, _ = planned("task_arithmetic", EXACT)
    whole = cost_of(plan, 1).memory - cost_of(fused, 1).memory
    assert whole == BIG * (2 + 2 + 4 * (2 + cost._WHOLE_ARRAYS))
