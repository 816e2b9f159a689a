"""Encoding one chunk of a delta: the kept values between base and fine-tune, quantized or exact.

The stored bytes are a function of the base's and fine-tune's bits, the coding and the mask key: nothing else.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from storage.encodings import (
    encode_kernels,
    exact_kernels,
    int4,
    int4_kernels,
    magnitude,
    mask_kernels,
    sign,
    sign_kernels,
)
from storage.encodings.coding import Coding
from storage.encodings.magnitude import Places
from storage.encodings.measured import Measured, Tally
from storage.encodings.numeric import Bits, Floats, convert, read_only, split_planes, widen
from storage.encodings.numeric_kernels import DTYPE

LARGEST = 3.3895313892515355e38
"""Magnitude up to which a delta value survives every encoding: the largest finite bf16."""


_LEAST_GROUP = 4096  # codes of one exponent from which on a zstd block of their own pays

_Parts = list[memoryview]  # frame content in parts of one kind each


@dataclass(frozen=True)
class EncodedChunk:
    """Decoded frame content of one chunk (empty when every kept value is zero) and its statistics.

    ``cuts`` are offsets between parts of different kinds (places, codes, scales …), for ``frames.compress``: a hint
    that makes the frame smaller, and no part of the content.
    """

    data: bytes
    measured: Measured
    cuts: tuple[int, ...] = ()


def difference(base: Bits, base_dtype: str, fine_tuned: Bits, fine_tuned_dtype: str) -> Floats:
    """The delta between bit patterns of equal length: widened, then subtracted in fp32."""
    with np.errstate(over="ignore"):  # an overflow shows in the statistics, which the caller checks
        return widen(fine_tuned, fine_tuned_dtype) - widen(base, base_dtype)


def encode_chunk(
    base: Bits,
    base_dtype: str,
    fine_tuned: Bits,
    fine_tuned_dtype: str,
    coding: Coding,
    key: int,
    start: int,
    cutoff: float = 0.0,
) -> EncodedChunk:
    """Encode one chunk from bit patterns of equal length; ``start`` is its first element in the tensor.

    ``cutoff``, of a coding that selects by magnitude: values of at least this magnitude are kept, zeros never.
    """
    tally = Tally()
    pair = (read_only(base), DTYPE[base_dtype], read_only(fine_tuned), DTYPE[fine_tuned_dtype], *tally.arrays)
    places, kept = _choose(pair, coding, key, start, cutoff)
    measured = tally.measured(base.size, base.size if places is None else places.size)
    if coding.values == "exact":
        parts = _exact(convert(base, base_dtype, fine_tuned_dtype), fine_tuned, fine_tuned_dtype, places)
    else:
        parts = _pack(kept, coding) if kept.any() else []
    if places is not None and coding.selects_magnitude:
        # Where a value is kept it counts, even if its code is 0: between two dtypes that can mean a delta.
        parts = [*_gaps(places, base.size), *parts] if places.size else []
    elif coding.values == "exact" and not any(np.any(part) for part in parts):
        parts = []
    cuts = itertools.accumulate(len(part) for part in parts[:-1])
    return EncodedChunk(b"".join(parts), measured, tuple(cuts))


def _choose(pair: tuple[Any, ...], coding: Coding, key: int, start: int, cutoff: float) -> tuple[Places | None, Floats]:
    """Places (None: all) and delta values of what is kept; the whole delta is measured. `exact` needs no values."""
    count = pair[0].size
    if not coding.sparsified:
        values = np.empty(0 if coding.values == "exact" else count, np.float32)
        encode_kernels.subtract(*pair, values)
        return None, values
    places, values = np.empty(count, np.int64), np.empty(count, np.float32)
    if coding.selects_magnitude:
        smallest = max(np.float32(cutoff).view(np.uint32), np.uint32(1))
        kept = encode_kernels.keep_largest(*pair, smallest, places, values)
    else:
        kept = encode_kernels.keep_masked(*pair, np.uint64(key), np.uint32(coding.threshold), start, places, values)
    return places[:kept], values[:kept]


def _exact(base: Bits, fine_tuned: Bits, dtype: str, places: Places | None) -> _Parts:
    """The planes of `exact` codes, each in groups of alike exponents; both patterns are of ``dtype``."""
    if places is not None:
        base, fine_tuned = base[places], fine_tuned[places]
    base, ranks = read_only(base), np.empty(256, np.int64)
    planes = np.empty((base.itemsize, base.size), np.uint8)
    exact_kernels.rank_codes(base, DTYPE[dtype], ranks)
    groups = _groups(ranks, base.size)
    encode_kernels.exact_planes(
        base, read_only(fine_tuned), np.uint32(8 * base.itemsize), DTYPE[dtype], ranks, planes.reshape(-1)
    )
    return [plane[first:last].data for plane in planes for first, last in itertools.pairwise(groups)]


def _groups(ranks: NDArray[np.int64], count: int) -> list[int]:
    """Where groups of codes begin, each of at least ``_LEAST_GROUP``; and the end."""
    bounds = [0]
    for rank in ranks.tolist():
        if rank - bounds[-1] >= _LEAST_GROUP and count - rank >= _LEAST_GROUP:
            bounds.append(rank)
    return [*bounds, count]


def _pack(kept: Floats, coding: Coding) -> _Parts:
    """Codes or signs, then scales; or bf16 values."""
    kept = read_only(kept)
    if coding.values == "bf16":
        planes = np.empty((2, kept.size), np.uint8)
        encode_kernels.bf16_planes(kept, planes[0], planes[1])
        return [planes[0].data, planes[1].data]
    block, each = (sign.BLOCK, 8) if coding.values == "sign" else (int4.BLOCK, 2)
    codes = np.empty(-(-kept.size // each), np.uint8)
    scales = np.empty(-(-kept.size // block), np.uint16)
    quantize = sign_kernels.quantize if coding.values == "sign" else int4_kernels.quantize
    quantize(kept, block, codes, scales)
    return [codes.data, memoryview(split_planes(scales))]


def _gaps(places: Places, count: int) -> _Parts:
    gaps = np.empty(places.size + count // magnitude.LONG, np.uint8)
    used = mask_kernels.gaps_of_places(read_only(places), gaps)
    return [memoryview(magnitude.HEADER.pack(places.size, used) + gaps[:used].tobytes())]
