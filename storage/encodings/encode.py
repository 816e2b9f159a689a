"""Encoding one chunk of a delta: the kept values between base and fine-tune, quantized or exact.

The stored bytes are a function of the base's and fine-tune's bits, the coding and the mask key: nothing else.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from storage.encodings import int4, kernels
from storage.encodings.measured import Measured, measure_delta
from storage.encodings.numeric import Bits, Floats, bit_difference, convert, narrow, split_planes, widen
from storage.encodings.philox import FULL, check_seed, keep_threshold, quantized_drop_rate
from storage.errors import UsageError

Values = Literal["int4", "bf16", "exact"]
LARGEST = 3.3895313892515355e38
"""Magnitude up to which a delta value survives every encoding: the largest finite bf16."""


@dataclass(frozen=True)
class Coding:
    """How kept values are chosen and stored: `exact` keeps all of them (threshold 65536) as bit differences."""

    values: Values
    threshold: int = FULL
    seed: int = 0

    @property
    def drop_rate(self) -> float:
        """The quantized drop rate p; rescaling divides by 1 − p when merging, never here."""
        return quantized_drop_rate(self.threshold)

    def frame_size(self, kept: int, itemsize: int) -> int:
        """Decoded bytes of a chunk with ``kept`` kept values of a fine-tune dtype of ``itemsize`` bytes."""
        if self.values == "int4":
            return -(-kept // 2) + 2 * -(-kept // int4.BLOCK)
        return kept * (2 if self.values == "bf16" else itemsize)


def dare_coding(drop_rate: float, seed: int, values: str) -> Coding:
    """The coding of encoding `dare`. Raises UsageError for a value out of range."""
    if values not in get_args(Values):
        raise UsageError(f"unknown values {values!r}", hint=f"choose one of {', '.join(get_args(Values))}")
    return Coding(values, keep_threshold(drop_rate), check_seed(seed))  # type: ignore[arg-type]


EXACT = Coding("exact")


@dataclass(frozen=True)
class EncodedChunk:
    """Decoded frame content of one chunk (empty when every kept value is zero) and its statistics."""

    data: bytes
    measured: Measured


def encode_chunk(
    base: Bits, base_dtype: str, fine_tuned: Bits, fine_tuned_dtype: str, coding: Coding, key: int, start: int
) -> EncodedChunk:
    """Encode one chunk from bit patterns of equal length; ``start`` is its first element in the tensor."""
    with np.errstate(over="ignore"):  # an overflow shows in the statistics, which the caller checks
        delta = widen(fine_tuned, fine_tuned_dtype) - widen(base, base_dtype)
    if coding.values == "exact":
        source = bit_difference(convert(base, base_dtype, fine_tuned_dtype), fine_tuned)
    else:
        source = delta
    kept = _kept(source, coding, key, start)
    measured = dataclasses.replace(measure_delta(delta), kept=kept.size)
    return EncodedChunk(_pack(kept, coding) if kept.any() else b"", measured)


def _kept(source: Bits | Floats, coding: Coding, key: int, start: int) -> Bits | Floats:
    if coding.threshold == FULL:
        return source
    out = np.empty(source.size + 1, source.dtype)
    count = kernels.gather(np.uint64(key), np.uint32(coding.threshold), start, source, out)
    return out[:count]


def _pack(kept: Bits | Floats, coding: Coding) -> bytes:
    if coding.values == "exact":
        return split_planes(kept)
    if coding.values == "bf16":
        return split_planes(narrow(kept, "BF16"))
    codes = np.zeros(-(-kept.size // 2), np.uint8)
    scales = np.zeros(-(-kept.size // int4.BLOCK), np.uint16)
    kernels.quantize(kept, int4.BLOCK, codes, scales)
    return codes.tobytes() + split_planes(scales)
