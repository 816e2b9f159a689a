"""One bit a value: exact bytes, the scale of least error, and the kernels held to the definition."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from storage.encodings import sign, sign_kernels
from storage.encodings.chunks import KeptChunk, dense
from storage.encodings.coding import SIGN
from storage.encodings.encode import LARGEST, encode_chunk
from storage.encodings.frames import CHUNK
from storage.encodings.numeric import widen


def f32(*values):
    return np.array(values, np.float32)


def by_kernel(values, block=sign.BLOCK):
    signs = np.full(-(-values.size // 8), 0xFF, np.uint8)
    scales = np.zeros(-(-values.size // block), np.uint16)
    sign_kernels.quantize(values, block, signs, scales)
    out = np.empty(values.size, np.float32)
    sign_kernels.dequantize(signs, scales, block, out)
    return signs, scales, out


def test_signs_are_bits_lowest_first_and_zeros_count_as_plus():
    signs, scales = sign.quantize(f32(-1, 1, -1, 1, 1, 1, 1, -1, 1, -1, -0.0, 0))
    assert signs.tobytes() == bytes([0b10000101, 0b00000010])
    assert widen(scales, "BF16").tolist() == [0.83203125]  # 10 / 12, rounded to bf16


def test_values_are_plus_or_minus_the_mean_magnitude_of_their_block():
    values = np.concatenate([np.full(sign.BLOCK, -3, np.float32), f32(1, -1, 4)])
    decoded = sign.dequantize(*sign.quantize(values), values.size)
    assert decoded.tolist() == [-3.0] * sign.BLOCK + [2, -2, 2]


def test_the_mean_is_the_scale_of_least_squared_error():
    values = np.random.default_rng(0).standard_normal(sign.BLOCK).astype(np.float32)
    _, scales = sign.quantize(values)
    best = min(np.linspace(0.5, 1.1, 1201), key=lambda scale: np.square(np.abs(values) - scale).sum())
    assert widen(scales, "BF16")[0] == pytest.approx(best, rel=2**-8)


def test_a_block_fits_its_partial_sums_and_the_chunk():
    assert sign.BLOCK % sign.LANES == 0
    assert CHUNK % sign.BLOCK == 0


def test_bytes_of_a_chunk_are_signs_then_scale_planes():
    values = np.repeat(f32(1, -0.5), [sign.BLOCK, 9])
    base = np.zeros(values.size, np.uint32)
    data = encode_chunk(base, "F32", values.view(np.uint32), "F32", SIGN, 0, 0).data
    assert data == bytes(sign.BLOCK // 8) + b"\xff\x01" + bytes([0x3F, 0x3F, 0x80, 0x00])
    chunk = KeptChunk(data, SIGN, 0, 0, values.size, "F32", "F32", "here")
    assert dense(chunk, base).tolist() == values.tolist()


def test_an_unchanged_chunk_costs_nothing():
    base = np.arange(300, dtype=np.uint32)
    chunk = encode_chunk(base, "F32", base, "F32", SIGN, 0, 0)
    assert chunk.data == b""
    assert chunk.measured.kept == 300
    assert not dense(KeptChunk(b"", SIGN, 0, 0, 300, "F32", "F32", "here"), base).any()


@pytest.mark.parametrize("values", [f32(LARGEST, -LARGEST), f32(2.0**-149, -(2.0**-149)), f32(2.0**-134, 0)])
def test_corners_of_fp32_stay_finite(values):
    signs, scales, decoded = by_kernel(values)
    assert np.isfinite(decoded).all()
    assert (signs.tobytes(), scales.tobytes()) == tuple(part.tobytes() for part in sign.quantize(values))


def test_a_scale_below_zero_turns_its_signs_over():
    """No writer makes one; every engine must read it alike."""
    signs, scales = np.array([0b10], np.uint8), np.array([0xBF80], np.uint16)
    assert sign.dequantize(signs, scales, 2).tolist() == [-1, 1]
    out = np.empty(2, np.float32)
    sign_kernels.dequantize(signs, scales, sign.BLOCK, out)
    assert out.tolist() == [-1, 1]


finite = st.floats(-LARGEST, LARGEST, width=32) | st.floats(-0.0625, 0.0625, width=32)


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(arrays(np.float32, st.integers(1, 3 * sign.BLOCK), elements=finite), st.sampled_from([16, 128, sign.BLOCK]))
def test_compiled_and_plain_agree(values, block):
    signs, scales = sign.quantize(values, block)
    decoded = sign.dequantize(signs, scales, values.size, block)
    for mine, theirs in zip((signs, scales, decoded), by_kernel(values, block), strict=True):
        assert mine.tobytes() == theirs.tobytes()
