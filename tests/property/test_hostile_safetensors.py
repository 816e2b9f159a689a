"""Whatever bytes a file holds, reading its header gives tensors that tile it, or InputRefused; never anything else."""

import json
import struct
import tracemalloc

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from storage.checkpoints.safetensors_file import read_header
from storage.errors import InputRefused

DTYPES = {"F32": 4, "BF16": 2, "U8": 1, "I64": 8}
SETTINGS = settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
STORABLE = st.characters(exclude_characters="\0", codec="utf-8")
"""What databases can keep."""


@st.composite
def valid_files(draw):
    """A sound file of a few tensors in any order."""
    names = st.lists(st.text(STORABLE, max_size=6), unique=True, max_size=5)
    names = draw(names.filter(lambda n: "__metadata__" not in n))
    header, cursor = {}, 0
    if draw(st.booleans()):
        text = st.text(STORABLE, max_size=4)
        header["__metadata__"] = draw(st.dictionaries(text, text, max_size=2))
    for name in names:
        dtype = draw(st.sampled_from(sorted(DTYPES)))
        shape = draw(st.lists(st.integers(0, 4), max_size=3))
        size = DTYPES[dtype]
        for axis in shape:
            size *= axis
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [cursor, cursor + size]}
        cursor += size
    text = json.dumps(header, ensure_ascii=draw(st.booleans())).encode()
    return struct.pack("<Q", len(text)) + text + bytes(cursor)


@st.composite
def mutated_files(draw):
    """A sound file with some bytes flipped, cut, inserted, or replaced by absurd numbers."""
    data = bytearray(draw(valid_files()))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        match draw(st.sampled_from(["flip", "cut", "insert", "size", "number", "nest"])):
            case "flip" if at < len(data):
                data[at] ^= draw(st.integers(1, 255))
            case "cut":
                del data[at : at + draw(st.integers(1, 40))]
            case "insert":
                data[at:at] = draw(st.binary(min_size=1, max_size=20))
            case "size":
                data[:8] = struct.pack("<Q", draw(st.integers(0, 2**64 - 1) | st.integers(0, len(data) + 9)))
            case "number":
                number = draw(
                    st.sampled_from([b"-1", b"1e9", b"9223372036854775807", b"9" * 50, b"NaN", b"null", b"0.0"])
                )
                data[:] = data.replace(draw(st.sampled_from([b"0", b"1", b"4"])), number, 1)
            case "nest":
                data[at:at] = draw(st.sampled_from([b"[", b"{", b'{"a":'])) * draw(st.integers(1, 3000))
        if draw(st.booleans()) and len(data) >= 8:
            data[:8] = struct.pack("<Q", draw(st.integers(0, len(data))))
    return bytes(data)


def check(tmp_path, data):
    path = tmp_path / "x.safetensors"
    path.write_bytes(data)
    refusal = None
    try:
        entries, metadata = read_header(path)
    except InputRefused as error:
        refusal = error.message
    if refusal is not None:
        assert refusal.startswith(str(path))
        assert refusal.isprintable()
        return None
    assert all(isinstance(text, str) for pair in metadata.items() for text in pair)
    spans = sorted((entry.offset, entry.offset + entry.nbytes) for entry in entries.values())
    edges = [8 + int.from_bytes(data[:8], "little"), *(end for _, end in spans)]
    assert [begin for begin, _ in spans] == edges[:-1]
    assert edges[-1] == len(data)
    return entries


@SETTINGS
@given(data=valid_files())
def test_sound_files_are_read(tmp_path, data):
    assert check(tmp_path, data) is not None


@SETTINGS
@given(data=mutated_files())
def test_mutated_files_are_read_or_refused(tmp_path, data):
    check(tmp_path, data)


@SETTINGS
@given(data=st.binary(max_size=200))
@example(data=struct.pack("<Q", 10) + b'{"\x00":null}')
def test_random_bytes_are_read_or_refused(tmp_path, data):
    check(tmp_path, data)


def test_memory_is_bounded_by_the_file_not_by_its_claims(tmp_path):
    claims = [
        struct.pack("<Q", 99_999_999) + b"{}",
        struct.pack("<Q", 2**63) + b"{}",
    ]
    for shape in ([2**62], [2**31, 2**31], [2**40]):
        text = json.dumps({"a": {"dtype": "U8", "shape": shape, "data_offsets": [0, 2**40]}}).encode()
        claims.append(struct.pack("<Q", len(text)) + text)
    tracemalloc.start()
    try:
        for data in claims:
            assert check(tmp_path, data) is None
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
