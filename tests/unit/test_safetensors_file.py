"""Safetensors files: exact bytes, both directions against the safetensors library, and every refusal by name."""

import hashlib
import json
import os
import resource
import struct

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from storage.checkpoints.safetensors_file import (
    SafetensorsWriter,
    index_json,
    layout,
    plan_shards,
    read_header,
    shard_names,
)
from storage.errors import Conflict, EnvironmentFailure, InputRefused, UsageError

SPECS = [
    ("b.weight", "F32", (2, 3)),
    ("a.weight", "BF16", (4,)),
    ("step", "I64", ()),
    ("nothing", "F16", (0, 5)),
    ("β.größe 🙂", "U8", (3,)),
    ("mask", "BOOL", (2, 1)),
    ("fp8", "F8_E4M3", (2,)),
]


def raw(tmp_path, header, data=b"", name="x.safetensors"):
    """A file with any header, given as bytes or as a document."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path = tmp_path / name
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path


def one(dtype="F32", shape=(2,), offsets=(0, 8)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


def write(path, specs, contents, metadata=None, piece=3):
    with SafetensorsWriter(path, specs, metadata) as writer:
        for name, _, _ in writer.layout:
            for at in range(0, len(contents[name]), piece):
                writer.write(name, memoryview(contents[name])[at : at + piece])
    return writer


def contents_of(specs):
    sizes = {"F32": 4, "F16": 2, "BF16": 2, "I64": 8, "U8": 1, "BOOL": 1, "F8_E4M3": 1}
    result = {}
    for name, dtype, shape in specs:
        count = sizes[dtype]
        for size in shape:
            count *= size
        result[name] = bytes(range(1, count + 1)) if dtype != "BOOL" else b"\1" * count
    return result


def test_exact_bytes(tmp_path):
    path = tmp_path / "m.safetensors"
    writer = write(path, [("a", "U8", (1,)), ("b", "F16", (1,))], {"a": b"\7", "b": b"\1\2"}, {"format": "pt"})
    header = (
        b'{"__metadata__":{"format":"pt"},"b":{"dtype":"F16","shape":[1],"data_offsets":[0,2]},'
        b'"a":{"dtype":"U8","shape":[1],"data_offsets":[2,3]}}'
    )
    header += b" " * (-len(header) % 8)
    assert path.read_bytes() == struct.pack("<Q", len(header)) + header + b"\1\2\7"
    assert writer.size == path.stat().st_size
    assert writer.sha256 == "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()


def test_same_bytes_as_the_library_for_one_dtype(tmp_path):
    tensors = {f"layer.{i}.weight": torch.arange(6, dtype=torch.float32).reshape(2, 3) + i for i in (2, 0, 10, 1)}
    save_file(tensors, tmp_path / "library.safetensors", metadata={"format": "pt"})
    contents = {name: tensor.numpy().tobytes() for name, tensor in tensors.items()}
    write(tmp_path / "ours.safetensors", [(n, "F32", (2, 3)) for n in tensors], contents, {"format": "pt"}, piece=100)
    assert (tmp_path / "ours.safetensors").read_bytes() == (tmp_path / "library.safetensors").read_bytes()


def test_library_reads_ours(tmp_path):
    path = tmp_path / "m.safetensors"
    contents = contents_of(SPECS)
    write(path, SPECS, contents, {"ключ": "значение"})
    tensors = load_file(path)
    assert sorted(tensors) == sorted(name for name, _, _ in SPECS)
    for name, _, shape in SPECS:
        assert tuple(tensors[name].shape) == shape
        assert tensors[name].reshape(-1).view(torch.uint8).numpy().tobytes() == contents[name]
    with safe_open(path, "pt") as opened:
        assert opened.metadata() == {"ключ": "значение"}


def test_we_read_the_librarys(tmp_path):
    tensors = {
        "β": torch.randn(3, 2).bfloat16(),
        "empty": torch.zeros(0, 4),
        "scalar": torch.tensor(2.5, dtype=torch.float64),
        "mask": torch.tensor([True, False]),
        "complex": torch.zeros(2, dtype=torch.complex64),
    }
    path = tmp_path / "m.safetensors"
    save_file(tensors, path, metadata={"format": "pt", "empty": ""})
    entries, metadata = read_header(path)
    assert metadata == {"format": "pt", "empty": ""}
    assert list(entries) == sorted(tensors)
    data = path.read_bytes()
    for name, entry in entries.items():
        assert entry.file == "m.safetensors"
        assert entry.shape == tuple(tensors[name].shape)
        assert entry.elements == tensors[name].numel()
        expected = tensors[name].reshape(-1).view(torch.uint8).numpy().tobytes()
        assert data[entry.offset : entry.offset + entry.nbytes] == expected
    assert {name: entry.dtype for name, entry in entries.items()} == {
        "β": "BF16",
        "empty": "F32",
        "scalar": "F64",
        "mask": "BOOL",
        "complex": "C64",
    }


def test_header_is_aligned_and_tensors_too(tmp_path):
    path = tmp_path / "m.safetensors"
    write(path, SPECS, contents_of(SPECS))
    sizes = {"F32": 4, "F16": 2, "BF16": 2, "I64": 8, "U8": 1, "BOOL": 1, "F8_E4M3": 1}
    assert all(entry.offset % sizes[entry.dtype] == 0 for entry in read_header(path)[0].values())


def test_layout_does_not_depend_on_order():
    assert layout(SPECS) == layout(SPECS[::-1])
    assert [name for name, _, _ in layout(SPECS)][:2] == ["step", "b.weight"]


def test_tensors_may_lie_in_any_order(tmp_path):
    path = raw(
        tmp_path, {"a": one(offsets=(8, 16)), "b": one(offsets=(0, 8)), "c": one(shape=(0,), offsets=(8, 8))}, b"x" * 16
    )
    assert {name: entry.nbytes for name, entry in read_header(path)[0].items()} == {"a": 8, "b": 8, "c": 0}


def test_empty_file_of_no_tensors(tmp_path):
    assert read_header(raw(tmp_path, b"{}")) == ({}, {})
    write(tmp_path / "none.safetensors", [], {})
    assert read_header(tmp_path / "none.safetensors") == ({}, {})


@pytest.mark.parametrize(
    ("header", "data", "words"),
    [
        (b"[]", b"", ["does not start with"]),
        (b" {}", b"", ["does not start with"]),
        (b"", b"", ["does not start with"]),
        (b"{", b"", ["not valid JSON"]),
        (b'{"\xff": 1}', b"", ["not UTF-8"]),
        (b'{"a":' + b"[" * 200_000, b"", ["nested too deeply"]),
        (b'{"a":' + b'{"a":' * 200_000, b"", ["nested too deeply"]),
        (b'{"a":1,"a":2}', b"", ["'a'", "given twice"]),
        (b'{"a":{"dtype":"F32","dtype":"F16","shape":[],"data_offsets":[0,4]}}', b"", ["'dtype'", "given twice"]),
        (b'{"\\ud800":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}', b"", ["not valid Unicode"]),
        ({"a": 1}, b"", ["'a'", "exactly dtype, shape and data_offsets"]),
        ({"a": {**one(), "more": 1}}, b"", ["'a'", "exactly"]),
        ({"a": one(dtype="F4")}, b"", ["'a'", "unknown dtype 'F4'"]),
        ({"a": one(dtype="X\x1b[31m")}, b"", ["\\x1b"]),
        ({"a": {**one(), "dtype": 5}}, b"", ["'a'", "unknown dtype"]),
        ({"a": one(shape=(-1,))}, b"", ["'a'", "shape must be"]),
        ({"a": one(shape=(2.0,))}, b"", ["'a'", "shape must be"]),
        ({"a": one(shape=(True,))}, b"", ["'a'", "shape must be"]),
        ({"a": {**one(), "shape": "2"}}, b"", ["'a'", "shape must be"]),
        ({"a": one(shape=(1,) * 65)}, b"", ["'a'", "at most 64"]),
        ({"a": one(shape=(1 << 62, 4))}, b"", ["'a'", "overflows"]),
        ({"a": one(shape=(1 << 62, 0, 1 << 62))}, b"", ["'a'", "overflows"]),
        ({"a": one(shape=(1 << 80,))}, b"", ["'a'", "shape must be"]),
        ({"a": one(offsets=(8, 0))}, b"", ["'a'", "data_offsets must be"]),
        ({"a": one(offsets=(-8, 0))}, b"", ["'a'", "data_offsets must be"]),
        ({"a": one(offsets=(0, 8, 8))}, b"", ["'a'", "data_offsets must be"]),
        ({"a": one(offsets=(0, 1 << 70))}, b"", ["'a'", "data_offsets must be"]),
        ({"a": one(dtype="F64")}, b"x" * 8, ["'a'", "takes 16 bytes", "give it 8"]),
        ({"a": one(), "b": one(offsets=(4, 12))}, b"x" * 12, ["'b'", "overlaps", "begins at 4, expected 8"]),
        ({"a": one(), "b": one(offsets=(0, 8))}, b"x" * 8, ["overlaps"]),
        ({"a": one(offsets=(4, 12))}, b"x" * 12, ["'a'", "leaves a hole", "begins at 4, expected 0"]),
        ({"a": one()}, b"x" * 7, ["truncated"]),
        ({"a": one()}, b"x" * 9, ["1 bytes after the last tensor"]),
        ({}, b"x", ["1 bytes after the last tensor"]),
        ({"__metadata__": {"a": 1}}, b"", ["texts to texts"]),
        ({"__metadata__": [1]}, b"", ["texts to texts"]),
        (b'{"__metadata__":{"a":"\\udfff"}}', b"", ["not valid Unicode"]),
        (b'{"a":' + b"9" * 5000 + b"}", b"", ["not valid JSON"]),
    ],
)
def test_hostile_headers_are_refused_by_name(tmp_path, header, data, words):
    path = raw(tmp_path, header, data)
    with pytest.raises(InputRefused) as caught:
        read_header(path)
    for word in [str(path), *words]:
        assert word in caught.value.message
    assert "\x1b" not in caught.value.message


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"", "too short"),
        (b"1234567", "too short"),
        (struct.pack("<Q", 100_000_001) + b"{}", "at most 100000000"),
        (struct.pack("<Q", 0xFFFFFFFFFFFFFFFF) + b"{}", "at most 100000000"),
        (struct.pack("<Q", 3) + b"{}", "truncated"),
        (b"version https://git-lfs.github.com/spec/v1", "at most 100000000"),
    ],
)
def test_files_that_are_not_safetensors(tmp_path, content, word):
    path = tmp_path / "x.safetensors"
    path.write_bytes(content)
    with pytest.raises(InputRefused, match=word) as caught:
        read_header(path)
    assert caught.value.hint


def test_absent_folder_and_pipe(tmp_path):
    with pytest.raises(InputRefused, match="no such file"):
        read_header(tmp_path / "absent.safetensors")
    with pytest.raises(InputRefused, match="not a regular file"):
        read_header(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputRefused, match="not a regular file"):
        read_header(tmp_path / "pipe")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(InputRefused, match="not a folder"):
        read_header(tmp_path / "file" / "x")


def test_writer_insists_on_order_and_size(tmp_path):
    specs = [("a", "U8", (2,)), ("b", "U8", (2,))]
    writer = SafetensorsWriter(tmp_path / "m", specs)
    with pytest.raises(ValueError, match="'b' came where the layout has 'a'"):
        writer.write("b", b"x")
    with pytest.raises(ValueError, match="room for 2"):
        writer.write("a", b"xyz")
    writer.write("a", b"xy")
    with pytest.raises(ValueError, match="'a' came where"):
        writer.write("a", b"x")
    writer.write("b", b"z")
    with pytest.raises(ValueError, match="1 bytes early, within 'b'"):
        writer.close()
    writer.close()


def test_pieces_put_anywhere_make_the_same_file(tmp_path):
    contents = contents_of(SPECS)
    write(tmp_path / "streamed", SPECS, contents)
    with SafetensorsWriter(tmp_path / "put", SPECS) as writer:
        for name, _, _ in reversed(writer.layout):
            for at in reversed(range(0, len(contents[name]), 3)):
                assert not writer.complete
                writer.put(name, at, memoryview(contents[name])[at : at + 3])
        for name, _, _ in writer.layout:
            writer.follow(contents[name])
        assert writer.complete
    assert (tmp_path / "put").read_bytes() == (tmp_path / "streamed").read_bytes()
    assert writer.sha256 == "sha256:" + hashlib.sha256((tmp_path / "put").read_bytes()).hexdigest()


def test_nothing_is_put_outside_of_its_tensor_or_left_unhashed(tmp_path):
    writer = SafetensorsWriter(tmp_path / "m", [("a", "U8", (2,)), ("b", "U8", (2,))])
    for start, data in ((-1, b"x"), (1, b"xy"), (3, b"x")):
        with pytest.raises(ValueError, match="'a', which has 2"):
            writer.put("a", start, memoryview(data))
    writer.put("b", 0, memoryview(b"xy"))
    writer.put("a", 0, memoryview(b"xy"))
    writer.follow(b"xy")
    assert not writer.complete
    with pytest.raises(ValueError, match="2 bytes early, within 'b'"):
        writer.close()


def test_writer_refuses_what_it_cannot_spell(tmp_path):
    for specs in (
        [("a", "U8", ()), ("a", "U8", ())],
        [("__metadata__", "U8", ())],
        [("a", "F128", ())],
        [("a", "U8", (-1,))],
    ):
        with pytest.raises(ValueError):
            SafetensorsWriter(tmp_path / "m", specs)
    assert not (tmp_path / "m").exists()


def test_writer_leaves_what_exists(tmp_path):
    (tmp_path / "m").write_bytes(b"mine")
    with pytest.raises(Conflict, match="exists already"):
        SafetensorsWriter(tmp_path / "m", [])
    assert (tmp_path / "m").read_bytes() == b"mine"
    with pytest.raises(EnvironmentFailure, match="cannot create"):
        SafetensorsWriter(tmp_path / "no" / "m", [])


def test_writer_closes_the_file_on_an_error(tmp_path):
    writer = SafetensorsWriter(tmp_path / "m", [("a", "U8", (2,))])

    def fail():
        with writer:
            writer.write("a", b"x")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert (tmp_path / "m").exists()
    with pytest.raises(ValueError, match="after it was closed"):
        writer.write("a", b"y")


def test_full_disk_is_said_clearly(tmp_path):
    """A limit on file size makes the kernel write short, then refuse: as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    writer = SafetensorsWriter(tmp_path / "m", [("a", "U8", (5000,))])
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(EnvironmentFailure, match=r"cannot write .* bytes written"), writer:
            writer.write("a", b"x" * 5000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (tmp_path / "m").stat().st_size == 1000


def test_short_writes_are_completed(tmp_path, monkeypatch):
    whole = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, data, at: whole(fd, memoryview(data)[:7], at))
    write(tmp_path / "m", SPECS, contents_of(SPECS), piece=1000)
    monkeypatch.undo()
    assert sorted(load_file(tmp_path / "m")) == sorted(name for name, _, _ in SPECS)


def test_shards_are_filled_in_name_order():
    specs = [(f"t{i}", "F32", (10,)) for i in range(5)]
    assert [[s[0] for s in shard] for shard in plan_shards(specs[::-1], 80)] == [["t0", "t1"], ["t2", "t3"], ["t4"]]
    assert len(plan_shards(specs, 200)) == 1
    assert plan_shards([], 1) == []
    big = [("a", "U8", (5,)), ("b", "U8", (100,)), ("c", "U8", (5,)), ("d", "U8", (0,))]
    assert [[s[0] for s in shard] for shard in plan_shards(big, 10)] == [["a"], ["b"], ["c", "d"]]
    with pytest.raises(UsageError):
        plan_shards(specs, 0)


def test_shard_names_and_index():
    assert shard_names(1) == ["model.safetensors"]
    assert shard_names(3)[1] == "model-00002-of-00003.safetensors"
    shards = plan_shards([("b", "F32", (2,)), ("a", "F16", (2,))], 4)
    assert json.loads(index_json(shards)) == {
        "metadata": {"total_size": 12},
        "weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"},
    }
    assert index_json(shards).endswith(b"}\n")
