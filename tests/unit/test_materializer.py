"""The streaming materializer: any number of threads gives the same bytes, buffers come back, an error ends all."""

import dataclasses
import threading

import numpy as np
import pytest

from merging.engines import reference
from merging.streaming import materializer
from merging.streaming.materializer import SPARE, materialize
from merging.streaming.sinks import MemorySink, ShardSink
from storage.encodings import frames
from storage.encodings.coding import dare_coding
from storage.errors import InputRefused, IntegrityFailure
from storage.progress import Silent
from tests.unit.tiny_models import Tiny, raw, tensor

THREADS = (1, 2, 9)


@pytest.fixture
def model(tmp_path, monkeypatch):
    """A base of every kind of tensor in chunks of 64 elements, and a plan for two skills of it."""
    monkeypatch.setattr(frames, "CHUNK", 64)
    random = np.random.default_rng(0)
    base = Tiny(
        tmp_path,
        {
            "a": tensor(random.standard_normal((30, 40)), "BF16"),
            "b": tensor(random.standard_normal(1000)),
            "empty": tensor(np.zeros((0, 3)), "F16"),
            "one": tensor([1.5], "F16"),
            "same": tensor(random.standard_normal(777), "BF16"),
            "two": tensor(random.standard_normal(400)),
        },
    )
    tuned = dict(base.tensors)
    for name in ("a", "b", "one"):
        moved = base.tensors[name].floats + np.float32(0.01) * random.standard_normal(base.tensors[name].shape)
        tuned[name] = tensor(moved, base.tensors[name].dtype)
    base.skills = [(base.delta(tuned), 0.5), (base.delta(tuned, dare_coding(0.5, 3, "int4")), -0.25)]
    yield base
    base.close()


def shards(plan, folder, threads, engine=reference, shard_size=1500):
    folder.mkdir()
    with ShardSink(folder, shard_size, {}) as sink:
        merged = materialize(plan, sink, engine, threads, Silent())
    return merged, {path.name: path.read_bytes() for path in folder.iterdir()}, sink.files


@pytest.mark.parametrize("method", ["task_arithmetic", "ties"])
@pytest.mark.parametrize("dtype", [None, "F32"])
def test_threads_do_not_matter(model, tmp_path, method, dtype):
    plan = model.plan(method, model.skills, dtype)
    first, *others = [shards(plan, tmp_path / f"out{threads}", threads) for threads in THREADS]
    assert all(other == first for other in others)
    assert len(first[2]) > materializer._SIDE_BY_SIDE
    sink = MemorySink()
    in_memory = materialize(plan, sink, reference, 4, Silent())
    assert sorted(in_memory, key=lambda t: t.name) == sorted(first[0], key=lambda t: t.name)
    written = {name: data.tobytes() for name, data in sink.tensors.items()}
    assert written.keys() == model.tensors.keys()
    assert all(any(data in file for file in first[1].values()) for data in written.values())


def test_a_carried_tensor_is_read_into_its_place_and_hashed_once(model, monkeypatch):
    hashed = []

    class Counting:
        def __init__(self):
            self._hasher = blake3()

        def update(self, data):
            hashed.append(bytes(data))
            self._hasher.update(data)

        def hexdigest(self):
            return self._hasher.hexdigest()

    blake3 = materializer.blake3
    monkeypatch.setattr(materializer, "blake3", Counting)
    plan = model.plan("task_arithmetic", model.skills)
    only = dataclasses.replace(plan, outputs=tuple(o for o in plan.outputs if o.name == "same"))
    sink = MemorySink()
    (merged,) = materialize(only, sink, reference, 1, Silent())
    assert (merged.digest, merged.squares, merged.changed) == (model.tensors["same"].digest, 0.0, 0)
    assert b"".join(hashed) == model.tensors["same"].bits.tobytes() == sink.tensors["same"].tobytes()


class Allocating:
    """The reference engine with memory of its own, which is counted."""

    name, device = "reference", "cpu"
    merge = staticmethod(reference.merge)

    def __init__(self):
        self.made = []

    def allocate(self, nbytes):
        self.made.append(nbytes)
        return np.empty(nbytes, np.uint8)


@pytest.mark.parametrize("threads", THREADS)
def test_buffers_are_few_and_all_come_back(model, tmp_path, monkeypatch, threads):
    pools = []

    class Watched(materializer.Pool):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            pools.append(self)

    monkeypatch.setattr(materializer, "Pool", Watched)
    engine = Allocating()
    plan = model.plan("task_arithmetic", model.skills)
    shards(plan, tmp_path / "out", threads, engine)
    (pool,) = pools
    assert pool.lent == 0
    assert len(engine.made) == 2 * pool.made <= 2 * (threads + SPARE)
    assert set(engine.made) == {4 * 1200}  # the longest tensor, as F32


class Failing:
    """Raises at the n-th call of one method of what it stands for; notices calls after the end."""

    def __init__(self, target, method=None, at=7, error=None):
        self._target, self._method, self._left, self._error = target, method, at, error
        self._lock = threading.Lock()
        self.over = False
        self.late = 0

    def __getattr__(self, name):
        value = getattr(self._target, name)
        if not callable(value):
            return value

        def call(*arguments):
            self.late += self.over
            if name == self._method:
                with self._lock:
                    self._left -= 1
                    if self._left == 0:
                        raise self._error
            return value(*arguments)

        return call


STAGES = [
    ("base", "read_into", OSError("the disk is gone")),
    ("engine", "merge", MemoryError("the device is full")),
    ("sink", "place", ValueError("no room")),
    ("sink", "write", OSError("the disk is full")),
    ("sink", "follow", KeyboardInterrupt("while hashing")),
    ("progress", "advance", KeyboardInterrupt("while telling")),
]


@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize(("where", "method", "error"), STAGES)
@pytest.mark.parametrize("at", [1, 7])
def test_an_error_in_any_stage_ends_everything(model, tmp_path, threads, where, method, error, at):
    plan = model.plan("task_arithmetic", model.skills)
    parts = {"base": plan.base, "engine": reference, "sink": ShardSink(tmp_path, 1500, {}), "progress": Silent()}
    parts = {name: Failing(part, method if name == where else None, at, error) for name, part in parts.items()}
    before = threading.active_count()
    plan = dataclasses.replace(plan, base=parts["base"])

    def run():
        with parts["sink"]._target:
            materialize(plan, parts["sink"], parts["engine"], threads, parts["progress"])

    with pytest.raises(type(error)) as raised:
        run()
    assert raised.value is error
    assert threading.active_count() == before
    for part in parts.values():
        part.over = True
    assert sum(part.late for part in parts.values()) == 0


@pytest.mark.parametrize("threads", THREADS)
def test_a_changed_base_is_noticed(model, threads):
    plan = model.plan("task_arithmetic", model.skills)
    digests = dict(plan.base_digests) | {"same": plan.base_digests["a"]}
    with pytest.raises(IntegrityFailure, match="'same' hashes to"):
        materialize(dataclasses.replace(plan, base_digests=digests), MemorySink(), reference, threads, Silent())


@pytest.mark.filterwarnings("ignore:overflow")
@pytest.mark.parametrize("threads", THREADS)
def test_the_first_element_that_does_not_fit_is_named(tmp_path, monkeypatch, threads):
    monkeypatch.setattr(frames, "CHUNK", 64)
    values = np.ones(300, np.float32)
    values[[130, 131, 260]] = 1e38
    base = Tiny(tmp_path, {"w": tensor(np.ones(300))})
    try:
        plan = base.plan("task_arithmetic", [(base.delta({"w": tensor(values)}), 1e5)])
        with pytest.raises(InputRefused, match="element 130 of the result is inf"):
            materialize(plan, MemorySink(), reference, threads, Silent())
    finally:
        base.close()


def test_a_model_of_nothing(tmp_path):
    base = Tiny(tmp_path, {"e": raw(np.zeros((0, 2), np.uint32), "F32")})
    try:
        delta = base.delta({"e": base.tensors["e"]})
        (merged,) = materialize(base.plan("linear", [(delta, 1.0)]), MemorySink(), reference, 3, Silent())
        assert merged.digest == base.tensors["e"].digest
    finally:
        base.close()
