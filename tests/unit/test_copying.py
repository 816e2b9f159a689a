"""One reading of a file gives its copy, its digest and those of its tensors, however the file is laid out."""

import os
import threading
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.blobs import hash_file
from storage.checkpoints import copying
from storage.checkpoints.copying import copy_hashed
from storage.checkpoints.safetensors_file import SafetensorsWriter, layout, read_header
from storage.digests import blake3_digest
from storage.errors import EnvironmentFailure, InputRefused

SHAPES = st.dictionaries(
    st.text("abcdef.", min_size=1, max_size=4),
    st.tuples(st.sampled_from(["F32", "BF16", "F64", "U8", "F8_E4M3"]), st.integers(0, 40)),
    min_size=1,
    max_size=9,
)
SIZES = {"F32": 4, "BF16": 2, "F64": 8, "U8": 1, "F8_E4M3": 1}


def write(path, tensors):
    """A safetensors file of (dtype, elements) by name, holding bytes that count up; its entries and their bytes."""
    specs = layout([(name, dtype, (count,)) for name, (dtype, count) in tensors.items()])
    contents = {}
    with SafetensorsWriter(path, specs) as writer:
        for number, (name, dtype, (count,)) in enumerate(specs):
            contents[name] = (np.arange(count * SIZES[dtype]) % 61 + number % 3).astype(np.uint8).tobytes()
            writer.write(name, contents[name])
    return read_header(path)[0], contents


def copy(source, target, entries=(), threads=2):
    advanced = []
    copied = copy_hashed(source, target, entries, where="here", threads=threads, advance=advanced.append)
    assert sum(advanced) == source.stat().st_size
    return copied


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(tensors=SHAPES, piece=st.sampled_from([8, 16, 64, 4096]), threads=st.integers(1, 4))
def test_copy_and_digests_are_those_of_the_bytes(tmp_path_factory, tensors, piece, threads):
    folder = tmp_path_factory.mktemp("copy")
    entries, contents = write(folder / "source", tensors)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(copying, "PIECE", piece)
        copied = copy(folder / "source", folder / "target", entries.values(), threads)
    assert (folder / "target").read_bytes() == (folder / "source").read_bytes()
    assert copied.blob == hash_file(folder / "source")
    assert copied.tensors == {name: blake3_digest(raw) for name, raw in contents.items()}


def test_a_file_of_no_tensors_is_copied_too(tmp_path):
    for content in (b"", b"{}", bytes(range(256)) * 70_000):
        source = tmp_path / str(len(content))
        source.write_bytes(content)
        copied = copy(source, source.with_suffix(".copy"))
        assert copied.blob.digest == blake3_digest(content)
        assert copied.tensors == {}
        assert source.with_suffix(".copy").read_bytes() == content


@pytest.mark.parametrize("shared", [False, True])
def test_every_byte_is_read_once(tmp_path, monkeypatch, shared):
    """From the original; or from the copy, where that shares its blocks and the original may be changed meanwhile."""
    entries, contents = write(tmp_path / "source", {"a": ("F32", 3000), "b": ("BF16", 7), "c": ("U8", 999)})
    content, read, written = (tmp_path / "source").read_bytes(), {}, []

    def clone(source, target):
        if shared:
            os.write(target, content)
            os.write(os.open(tmp_path / "source", os.O_WRONLY), b"somebody else's")
        return shared

    def preadv(descriptor, buffers, offset, real=os.preadv):
        count = real(descriptor, buffers, offset)
        read.setdefault(os.fstat(descriptor).st_ino, []).append((offset, count))
        return count

    monkeypatch.setattr(copying, "share_blocks", clone)
    monkeypatch.setattr(copying, "PIECE", 1024)
    monkeypatch.setattr(os, "preadv", preadv)
    monkeypatch.setattr(copying, "write_at", lambda *arguments, real=copying.write_at: written.append(real(*arguments)))
    copied = copy(tmp_path / "source", tmp_path / "target", entries.values())
    ((inode, spans),) = read.items()
    assert inode == (tmp_path / ("target" if shared else "source")).stat().st_ino
    ends = np.cumsum([count for _, count in sorted(spans)])
    assert [offset for offset, _ in sorted(spans)] == [0, *ends[:-1]]
    assert ends[-1] == len(content)
    assert bool(written) != shared
    assert (tmp_path / "target").read_bytes() == content
    assert copied.blob.digest == blake3_digest(content)
    assert copied.tensors == {name: blake3_digest(raw) for name, raw in contents.items()}


def test_nan_is_refused_by_tensor_and_element(tmp_path, monkeypatch):
    monkeypatch.setattr(copying, "PIECE", 64)
    values = np.zeros(1000, np.float32)
    values[777] = np.nan
    with SafetensorsWriter(tmp_path / "source", layout([("big", "F32", (1000,)), ("small", "F32", (3,))])) as writer:
        writer.write("big", values.tobytes())
        writer.write("small", bytes(12))
    entries, _ = read_header(tmp_path / "source")
    with pytest.raises(InputRefused, match="here: tensor 'big': element 777 is nan"):
        copy_hashed(
            tmp_path / "source", tmp_path / "t", entries.values(), where="here", threads=3, advance=lambda _: None
        )


def test_a_file_cut_short_after_it_was_opened_is_refused(tmp_path):
    entries, _ = write(tmp_path / "source", {"a": ("F32", 3000)})
    os.truncate(tmp_path / "source", 5000)
    with pytest.raises(InputRefused, match="ends at byte 5000"):
        copy_hashed(
            tmp_path / "source", tmp_path / "t", entries.values(), where="here", threads=2, advance=lambda _: None
        )


def test_nothing_is_at_work_after_a_failure(tmp_path, monkeypatch):
    """The file is closed then; a thread that went on writing would write into whatever is opened next."""
    entries, _ = write(tmp_path / "source", {"a": ("F32", 30_000)})
    monkeypatch.setattr(copying, "PIECE", 64)
    before = set(threading.enumerate())

    def fail(_):
        raise KeyboardInterrupt

    with suppress(KeyboardInterrupt):
        copy_hashed(tmp_path / "source", tmp_path / "t", entries.values(), where="x", threads=4, advance=fail)
    assert set(threading.enumerate()) == before


def test_a_full_disk_is_the_surroundings_fault(tmp_path, monkeypatch):
    entries, _ = write(tmp_path / "source", {"a": ("F32", 300)})

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(copying, "write_at", full)
    with pytest.raises(EnvironmentFailure, match="No space left"):
        copy_hashed(tmp_path / "source", tmp_path / "t", entries.values(), where="x", threads=2, advance=lambda _: None)
