"""Chunk frames on disk: exact bytes of the table, and every kind of damage is an IntegrityFailure."""

import contextlib
import os
import struct

import numpy as np
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.encodings.frames import (
    CHUNK,
    chunk_count,
    chunk_span,
    compress,
    read_exactly,
    read_frame,
    read_table,
    table,
)
from storage.errors import IntegrityFailure

CONTENTS = [b"kept values of the first chunk" * 40, b"", b"the third"]
ELEMENTS = 2 * CHUNK + 5
LARGEST = 4 * CHUNK
WHERE = "skill.safetensors: tensor 'w'"


def payload(contents=CONTENTS, frames=None):
    frames = [compress(data) for data in contents] if frames is None else frames
    return table([(len(f), len(d)) for f, d in zip(frames, contents, strict=True)]) + b"".join(frames)


class Stored:
    """Bytes in a file, some way in, as a payload lies in a delta file."""

    def __init__(self, folder, data, elements=ELEMENTS, after=b"next payload"):
        path = folder / "payload"
        path.write_bytes(b"8 bytes." + data + after)
        self.fd, self.size, self.elements = os.open(path, os.O_RDONLY), len(data), elements

    def read(self, nbytes=None, largest=LARGEST):
        try:
            frames = read_table(self.fd, 8, self.size if nbytes is None else nbytes, self.elements, largest, WHERE)
            return [read_frame(self.fd, frame, WHERE) for frame in frames.frames]
        finally:
            os.close(self.fd)


def refused(folder, data, **options):
    with pytest.raises(IntegrityFailure, match="tensor 'w'") as caught:
        Stored(folder, data, **options).read()
    return str(caught.value)


def test_chunks_cover_the_elements():
    assert [chunk_count(n) for n in (0, 1, CHUNK, CHUNK + 1)] == [0, 1, 1, 2]
    assert chunk_span(0, 10) == (0, 10)
    assert chunk_span(2, ELEMENTS) == (2 * CHUNK, 5)
    assert CHUNK % 8 == CHUNK % 512 == 0


def test_what_was_written_is_read(tmp_path):
    assert Stored(tmp_path, payload()).read() == CONTENTS


def test_the_table_is_pairs_of_little_endian_sizes():
    assert table([(1, 2), (0, 0), (0x01020304, 5)]).hex() == "0100000002000000" + "00" * 8 + "0403020105000000"


def test_a_frame_carries_its_size_and_a_checksum():
    parameters = zstandard.get_frame_parameters(compress(b"data" * 100))
    assert (parameters.content_size, parameters.has_checksum, parameters.dict_id) == (400, True, 0)
    assert compress(b"") == b""


@pytest.mark.parametrize("kept", [0, 1, 7, 20, 23])
def test_a_payload_too_small_for_its_table(tmp_path, kept):
    assert "too small for 3 chunks" in refused(tmp_path, payload()[:kept])


def test_a_payload_cut_in_its_frames(tmp_path):
    assert "frames end at byte" in refused(tmp_path, payload()[:-1])


def test_bytes_after_the_last_frame(tmp_path):
    assert "frames end at byte" in refused(tmp_path, payload() + b"x")


def test_a_file_cut_short(tmp_path):
    stored = Stored(tmp_path, payload()[:-10], after=b"")
    with pytest.raises(IntegrityFailure, match="the file ends"):
        stored.read(nbytes=len(payload()))


@pytest.mark.parametrize("claim", [LARGEST + 1, 2**32 - 1])
def test_a_table_that_claims_more_than_a_chunk_can_hold(tmp_path, claim):
    data = bytearray(payload())
    data[4:8] = struct.pack("<I", claim)
    assert "at most" in refused(tmp_path, bytes(data))


@pytest.mark.parametrize("entry", [(0, 9), (9, 0)])
def test_an_empty_frame_with_content_or_content_without_a_frame(tmp_path, entry):
    data = bytearray(payload())
    data[8:16] = struct.pack("<II", *entry)
    refused(tmp_path, bytes(data))


@pytest.mark.parametrize("claim", [1, 1199, 1201, LARGEST])
def test_a_table_and_a_frame_that_disagree(tmp_path, claim):
    data = bytearray(payload())
    assert len(CONTENTS[0]) == 1200
    data[4:8] = struct.pack("<I", claim)
    assert "bytes its table says" in refused(tmp_path, bytes(data))


def test_a_bomb_is_refused_before_it_is_decoded(tmp_path):
    bomb = compress(bytes(1 << 28))
    assert len(bomb) < 1 << 15
    data = payload([bytes(10_000)], [bomb])
    assert "bytes its table says" in refused(tmp_path, data, elements=1)


def test_a_bomb_that_lies_about_its_size(tmp_path):
    bomb = bytearray(compress(bytes(1 << 20)))
    parameters = zstandard.get_frame_parameters(bytes(bomb))
    assert parameters.content_size == 1 << 20
    # Frame header: magic (4), descriptor (1), then the size; a window byte is absent in a single segment.
    at = bytes(bomb).index(struct.pack("<I", 1 << 20))
    bomb[at : at + 4] = struct.pack("<I", 100)
    refused(tmp_path, payload([bytes(100)], [bytes(bomb)]), elements=1)


def test_a_frame_that_hides_its_size(tmp_path):
    frame = zstandard.ZstdCompressor(write_content_size=False).compress(b"abc" * 50)
    refused(tmp_path, payload([b"abc" * 50], [frame]), elements=1)


def test_a_second_frame_behind_the_first(tmp_path):
    frame = compress(b"one")
    refused(tmp_path, payload([b"one"], [frame + compress(b"two")]), elements=1)


def test_something_that_is_no_frame(tmp_path):
    for junk in (b"x", b"not a zstd frame at all", b"\x28\xb5\x2f\xfd", b"\x28\xb5\x2f\xfd\xff\xff\xff\xff\xff"):
        refused(tmp_path, payload([b"abc"], [junk]), elements=1)


def test_a_frame_that_wants_a_dictionary(tmp_path):
    dictionary = zstandard.ZstdCompressionDict(b"kept values and more kept values" * 20)
    frame = zstandard.ZstdCompressor(dict_data=dictionary).compress(b"kept values")
    try:
        found = Stored(tmp_path, payload([b"kept values"], [frame]), elements=1).read()
    except IntegrityFailure:
        return
    assert found == [b"kept values"]  # a raw dictionary that was not needed


def test_no_bit_of_a_frame_flips_unseen(tmp_path):
    """Every single-bit error in frames or table is found, or changes nothing of what is read."""
    good = payload()
    for bit in range(8 * len(good)):
        data = bytearray(good)
        data[bit // 8] ^= 1 << bit % 8
        with contextlib.suppress(IntegrityFailure):
            assert Stored(tmp_path, bytes(data)).read() == CONTENTS
        if bit % 64 == 0:  # what a thread decompresses with is not spoilt by what it refused
            assert Stored(tmp_path, good).read() == CONTENTS


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(data=st.binary(max_size=200), elements=st.integers(0, 3 * CHUNK))
def test_arbitrary_bytes_give_an_integrity_failure_or_their_content(tmp_path_factory, data, elements):
    folder = tmp_path_factory.getbasetemp()
    try:
        found = Stored(folder, data, elements).read()
    except IntegrityFailure:
        return
    assert len(found) == chunk_count(elements)


def test_read_exactly_reads_across_short_reads(tmp_path):
    path = tmp_path / "data"
    path.write_bytes(bytes(range(256)))
    with path.open("rb") as file:
        assert read_exactly(file.fileno(), 10, 250 - 10, "x") == bytes(range(240, 250))
        assert read_exactly(file.fileno(), 0, 1000, "x") == b""
        with pytest.raises(IntegrityFailure, match="ends at byte 256, 6 more"):
            read_exactly(file.fileno(), 12, 250, "x")


@pytest.mark.parametrize("cuts", [(), (1,), (1000, 2000), (2999,)])
def test_cuts_change_the_frame_and_not_what_it_holds(cuts):
    data = bytes(range(250)) * 12
    frame = compress(data, cuts)
    assert zstandard.frame_content_size(frame) == len(data)
    assert zstandard.get_frame_parameters(frame).has_checksum
    assert zstandard.ZstdDecompressor().decompress(frame, allow_extra_data=False) == data


def test_parts_of_different_kinds_are_smaller_apart():
    rng = np.random.default_rng(0)
    data = rng.integers(0, 20, 40_000, np.uint8).tobytes() + rng.integers(100, 250, 20_000, np.uint8).tobytes()
    assert len(compress(data, (40_000,))) < 0.98 * len(compress(data))


def test_a_frame_stored_in_more_than_any_writer_needs_is_not_read(tmp_path):
    data = payload([bytes(100)], [bytes(1500)])
    assert "a chunk of 100 bytes claims to be stored in 1500" in refused(tmp_path, data, elements=1)
