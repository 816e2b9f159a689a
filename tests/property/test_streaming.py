"""Laws of the streaming materializer: threads, shards and the kind of sink never show in the bytes."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import safe_open

from merging.engines import reference
from merging.streaming.materializer import materialize
from merging.streaming.sinks import MemorySink, ShardSink
from storage.encodings import frames
from storage.encodings.coding import EXACT, dare_coding
from storage.progress import Silent
from tests.unit.tiny_models import Tiny, tensor

SHAPES = st.lists(st.integers(0, 300), min_size=1, max_size=8)


@pytest.fixture(autouse=True)
def short_chunks(monkeypatch):
    monkeypatch.setattr(frames, "CHUNK", 64)


def models(folder, sizes, dtypes, changed, coding):
    random = np.random.default_rng(len(sizes))
    base = Tiny(
        folder, {f"t{i}": tensor(random.standard_normal(n), dtypes[i % len(dtypes)]) for i, n in enumerate(sizes)}
    )
    tuned = {
        name: tensor(values.floats + np.float32(0.01), values.dtype) if i % changed == 0 else values
        for i, (name, values) in enumerate(base.tensors.items())
    }
    return base, base.delta(tuned, coding)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(
    sizes=SHAPES,
    dtypes=st.lists(st.sampled_from(["F32", "BF16", "F16"]), min_size=1, max_size=3),
    changed=st.integers(1, 3),
    coding=st.sampled_from([EXACT, dare_coding(0.5, 1, "int4")]),
    out_dtype=st.sampled_from([None, "F32"]),
    threads=st.integers(1, 6),
    shard_size=st.integers(1, 3000),
)
def test_any_threads_and_shards_give_the_same_tensors(sizes, dtypes, changed, coding, out_dtype, threads, shard_size):
    with tempfile.TemporaryDirectory() as folder:
        base, delta = models(Path(folder), sizes, dtypes, changed, coding)
        try:
            plan = base.plan("task_arithmetic", [(delta, 1.0)], out_dtype)
            memory = MemorySink()
            alone = {each.name: each for each in materialize(plan, memory, reference, 1, Silent())}
            out = Path(folder, "out")
            out.mkdir()
            with ShardSink(out, shard_size, {"format": "pt"}) as sink:
                together = {each.name: each for each in materialize(plan, sink, reference, threads, Silent())}
            assert together == alone
            assert read_back(out) == {name: bytes(data) for name, data in memory.tensors.items()}
            assert sorted(path.name for path in out.glob("*.safetensors")) == [file.name for file in sink.files]
        finally:
            base.close()


def read_back(folder):
    """Every tensor's bytes, by the safetensors library."""
    found = {}
    for path in folder.glob("*.safetensors"):
        with safe_open(path, "pt") as opened:
            for name in opened.keys():  # noqa: SIM118  (it is no mapping)
                values = opened.get_tensor(name).contiguous().reshape(-1)
                found[name] = values.view(torch.uint8).numpy().tobytes() if values.numel() else b""
    return found
