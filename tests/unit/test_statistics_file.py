"""Statistics files: written and read back, read without our code, and every damage found."""

import json
import struct

import numpy as np
import pytest
import zstandard

from storage.digests import blake3_digest, canonical_json
from storage.encodings.frames import CHUNK
from storage.errors import IntegrityFailure
from storage.statistics.manifest import Manifest, Payload, Use, read_manifest
from storage.statistics.statistics_file import StatisticsFile, StatisticsWriter
from storage.statistics.triangle import elements_of, unfolded

SKILL, MODEL, DATA = blake3_digest(b"skill"), blake3_digest(b"model"), "sha256:" + "0" * 64


def write(folder, values, *, kind="fisher", columns=None, pieces=7, rows=5, **more):
    path = folder / "statistics.safetensors"
    path.unlink(missing_ok=True)
    with StatisticsWriter(folder / "spool") as writer:
        content = writer.add_values("w", np.array_split(values, pieces))
        payload = Payload(values.size, content, columns, rows if columns else None)
        manifest = Manifest(
            kind, SKILL, MODEL, DATA, 5, {"labels": "sampled"}, {"w": payload},
            {"w": Use("w"), "other": Use("w", transposed=kind == "gram")}, None if columns else 1.5, **more,
        )  # fmt: skip
        writer.finish(path, manifest, {"torch": "1"})
    assert not (folder / "spool").exists()
    return path, manifest


def noise(count):
    return np.random.default_rng(1).normal(0, 1, count).astype(np.float32)


@pytest.mark.parametrize("count", [1, 1000, CHUNK, CHUNK + 5])
def test_values_are_read_back_in_any_span(tmp_path, count):
    values = noise(count)
    path, manifest = write(tmp_path, values)
    with StatisticsFile.open(path) as file:
        assert file.manifest == manifest
        assert file.software == {"torch": "1"}
        for start, size in ((0, count), (0, 1), (count - 1, 1), (count // 2, count - count // 2), (count, 0)):
            assert np.array_equal(file.values("other", start, size), values[start : start + size])
        file.check_content("w")
        with pytest.raises(IntegrityFailure, match="asked for"):
            file.values("w", 1, count)


def test_a_chunk_of_zeros_takes_no_frame(tmp_path):
    values = np.concatenate([np.zeros(CHUNK, np.float32), noise(3), np.zeros(2, np.float32)])
    path, _ = write(tmp_path, values)
    with StatisticsFile.open(path) as file:
        assert np.array_equal(file.values("w", 0, values.size), values)
    assert path.stat().st_size < 2000


def test_a_gram_matrix_is_its_lower_triangle(tmp_path):
    whole = np.arange(9, dtype=np.float32).reshape(3, 3)
    whole = whole + whole.T
    path, _ = write(tmp_path, whole[np.tril_indices(3)], kind="gram", columns=3)
    with StatisticsFile.open(path) as file:
        assert np.array_equal(file.matrix("w"), whole)
        assert file.matrix("w").dtype == np.float64
    assert np.array_equal(unfolded(np.array([1, 2, 3], np.float32), 2), [[1, 2], [2, 3]])
    assert [elements_of(columns) for columns in (0, 1, 3)] == [0, 1, 6]


def test_the_same_values_are_the_same_bytes_however_they_came(tmp_path):
    values = noise(CHUNK + 100)
    found = {write(tmp_path, values, pieces=pieces)[0].read_bytes() for pieces in (1, 3, 50)}
    assert len(found) == 1


def test_it_can_be_read_from_the_format_page_alone(tmp_path):
    values = noise(300)
    path, manifest = write(tmp_path, values)
    raw = path.read_bytes()
    (size,) = struct.unpack_from("<Q", raw)
    header = json.loads(raw[8 : 8 + size])
    document = json.loads(header["__metadata__"]["mergestore.collected"])
    assert blake3_digest(canonical_json(document)) == manifest.digest
    begin, end = header["w"]["data_offsets"]
    payload = raw[8 + size + begin : 8 + size + end]
    stored, decoded = struct.unpack_from("<II", payload)
    assert (8 + stored, decoded) == (len(payload), 4 * 300)
    planes = np.frombuffer(zstandard.decompress(payload[8:]), np.uint8).reshape(4, 300)
    bits = sum(planes[place].astype(np.uint32) << (24 - 8 * place) for place in range(4))
    assert np.array_equal(bits.view(np.float32), values)
    content = blake3_digest(struct.pack("<I", decoded) + planes.tobytes())
    assert document["payloads"]["w"] == {"elements": 300, "content": content}


def test_every_flipped_byte_is_found(tmp_path):
    path, original = write(tmp_path, noise(40))
    whole = path.read_bytes()
    for position in range(len(whole)):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 0x21]) + whole[position + 1 :])
        try:
            with StatisticsFile.open(path) as file:
                manifest = file.manifest
                file.check_content("w")
                software = file.software
        except IntegrityFailure:
            continue
        # What is left says that it is something else: whoever opens it compares the digest with what is on record.
        assert (manifest.digest, software) != (original.digest, {"torch": "1"}), position


@pytest.mark.parametrize("length", [0, 7, 100, -1])
def test_a_file_cut_short_is_none(tmp_path, length):
    path, _ = write(tmp_path, noise(40))
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(IntegrityFailure):
        StatisticsFile.open(path)


GOOD = {
    "format": 1, "kind": "gram", "skill": SKILL, "model": MODEL, "data": DATA, "examples": 3, "settings": {},
    "payloads": {"w": {"elements": 6, "content": SKILL, "columns": 3, "rows": 9}},
    "tensors": {"w": {"payload": "w"}, "v": {"payload": "w", "transposed": True}},
}  # fmt: skip


def test_a_good_manifest_is_read():
    assert read_manifest(GOOD, "here").to_dict() == GOOD


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"kind": "hessian"},
        {"kind": "fisher"},
        {"skill": "skill"},
        {"data": None},
        {"examples": 0},
        {"examples": True},
        {"settings": []},
        {"norm": 1.0},
        {"more": 1},
        {"payloads": {"w": {"elements": 7, "content": SKILL, "columns": 3, "rows": 9}}},
        {"payloads": {"w": {"elements": 6, "content": SKILL, "columns": 3, "rows": 0}}},
        {"payloads": {"w": {"elements": 6, "content": SKILL}}},
        {"payloads": {"w": {"elements": 6, "content": SKILL, "columns": 3, "rows": 9, "odd": 1}}},
        {"payloads": {}},
        {"tensors": {"w": {"payload": "absent"}}},
        {"tensors": {"w": {"payload": "w", "transposed": False}}},
        {"tensors": {"w": "w"}},
        {"tensors": []},
    ],
    ids=str,
)
def test_a_manifest_that_is_none_is_refused(change):
    with pytest.raises(IntegrityFailure, match="here"):
        read_manifest(GOOD | change, "here")


@pytest.mark.parametrize("document", [None, 3, [], {}, "x", {"format": 1}])
def test_something_else_is_no_manifest(document):
    with pytest.raises(IntegrityFailure):
        read_manifest(document, "here")
