"""Sinks: pieces in any order give the same files; a file is finished with its last byte; memory is written in place."""

import hashlib
import json
import random
import resource

import numpy as np
import pytest
from safetensors.numpy import load_file

from merging.plans.plan import OutputTensor
from merging.streaming.sinks import MemorySink, ShardSink
from storage.checkpoints.safetensors_file import SafetensorsWriter
from storage.errors import EnvironmentFailure

OUTPUTS = [
    OutputTensor("a", "F32", (3, 5)),
    OutputTensor("b", "U8", (7,)),
    OutputTensor("c", "F16", (0,)),
    OutputTensor("d", "F32", (11,)),
    OutputTensor("z", "U8", (0, 4)),
]
CONTENT = {o.name: np.random.default_rng(i).bytes(o.nbytes) for i, o in enumerate(OUTPUTS)}


def pieces_of(output, size=6):
    data = memoryview(CONTENT[output.name])
    return [(start, data[start : start + size]) for start in range(0, len(data), size)]


def fill(sink, seed=0):
    """Write all pieces in some order, and follow them in that of the lanes."""
    lanes = sink.lanes(OUTPUTS)
    pieces = [(output, *piece) for lane in lanes for output in lane for piece in pieces_of(output)]
    for output, start, data in random.Random(seed).sample(pieces, len(pieces)):
        sink.write(output, start, data)
    for output, _, data in pieces:
        sink.follow(output, data)


@pytest.mark.parametrize("shard_size", [1000, 64, 1])
def test_shards_hold_every_tensor_whatever_the_order_of_writing(tmp_path, shard_size):
    runs = []
    for seed in range(3):
        folder = tmp_path / str(seed)
        folder.mkdir()
        with ShardSink(folder, shard_size, {"format": "pt"}) as sink:
            fill(sink, seed)
        runs.append({path.name: path.read_bytes() for path in folder.iterdir()})
        files = {file.name: (file.size, file.sha256) for file in sink.files}
        weights = {name: data for name, data in runs[-1].items() if name.endswith(".safetensors")}
        assert files == {n: (len(d), "sha256:" + hashlib.sha256(d).hexdigest()) for n, d in weights.items()}
        assert list(files) == sorted(files)
        loaded = {name: array for path in folder.glob("*.safetensors") for name, array in load_file(path).items()}
        assert {name: array.tobytes() for name, array in loaded.items()} == CONTENT
    assert runs[0] == runs[1] == runs[2]
    if len(weights) > 1:
        index = json.loads(runs[0]["model.safetensors.index.json"])
        assert sorted(index["weight_map"]) == sorted(CONTENT)


def test_a_file_that_cannot_be_begun_is_in_nobodys_way(tmp_path):
    """Of two threads that write into one, both are told of the disk."""
    sink = ShardSink(tmp_path, 1000, {})
    sink.lanes(OUTPUTS)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (16, hard))
    try:
        for output in OUTPUTS[:2]:
            with pytest.raises(EnvironmentFailure, match="bytes written"):
                sink.write(output, 0, memoryview(b"x"))
            assert list(tmp_path.iterdir()) == []
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_file_is_finished_as_soon_as_its_last_byte_has_passed(tmp_path):
    with ShardSink(tmp_path, 64, {}) as sink:
        first, *others = sink.lanes(OUTPUTS)
        for output in first:
            for start, data in pieces_of(output):
                assert sink.files == []
                sink.write(output, start, data)
                sink.follow(output, data)
        assert [file.name for file in sink.files] == [f"model-00001-of-0000{1 + len(others)}.safetensors"]
        for lane in others:
            for output in lane:
                for start, data in pieces_of(output):
                    sink.write(output, start, data)
                    sink.follow(output, data)


def test_a_model_without_a_byte_is_a_model(tmp_path):
    with ShardSink(tmp_path, 10, {}) as sink:
        sink.lanes([OutputTensor("e", "F32", (0,))])
    assert [file.name for file in sink.files] == ["model.safetensors"]
    assert load_file(tmp_path / "model.safetensors")["e"].shape == (0,)


@pytest.mark.parametrize("missing", ["write", "follow"])
def test_a_missing_piece_is_not_published(tmp_path, missing, monkeypatch):
    def left_out(sink, output, *rest):
        return None if output.name == "d" else original(sink, output, *rest)

    original = getattr(ShardSink, missing)
    monkeypatch.setattr(ShardSink, missing, left_out)
    with pytest.raises(ValueError, match="44 bytes early"), ShardSink(tmp_path, 1000, {}) as sink:
        fill(sink)
    assert sink.files == []


def test_files_are_closed_after_an_error(tmp_path, monkeypatch):
    abandoned = []
    monkeypatch.setattr(
        SafetensorsWriter, "abandon", lambda self, do=SafetensorsWriter.abandon: abandoned.append(do(self))
    )

    def fail():
        with ShardSink(tmp_path, 64, {}) as sink:
            lanes = sink.lanes(OUTPUTS)
            for lane in lanes:
                sink.write(lane[0], 0, memoryview(CONTENT[lane[0].name])[:1])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert len(abandoned) >= 2
    assert not (tmp_path / "model.safetensors.index.json").exists()


def test_memory_is_written_in_place():
    sink = MemorySink()
    ((*outputs,),) = sink.lanes(OUTPUTS)
    assert outputs == OUTPUTS
    for output in outputs:
        for start, data in pieces_of(output):
            sink.place(output, start, len(data))[:] = data
        sink.place(output, 0, 0)
    assert {name: bytes(data) for name, data in sink.tensors.items()} == CONTENT
