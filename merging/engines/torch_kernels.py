"""The torch engine's arithmetic: eager operations only, the same bits as ``merging.engines.reference`` on any device.

Every operation here is one torch call that rounds once: nothing is compiled or fused, so no multiply and add ever
contract, and divisors are always tensors (CUDA multiplies by the reciprocal of a scalar one). Bit patterns are held
in int64, the one integer type whose shifts and sums cannot overflow here.
"""

from __future__ import annotations

from functools import reduce
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from merging.engines.combination import Combine, Contribution
from merging.engines.dense import SMALLEST_DIVISOR
from storage.dtypes import DTYPES
from storage.encodings import exact, int4, magnitude, philox, sign
from storage.encodings.chunks import ChunkTerm, DenseChunk, KeptChunk, LowRankChunk
from storage.encodings.numeric import BITS, Bits
from storage.errors import IntegrityFailure

_SIGNED = {2: np.int16, 4: np.int32}
_LOW16, _LOW32 = 0xFFFF, 0xFFFFFFFF
_BF16_NAN = 0x7FC0


def merge(
    base: Bits,
    dtype: str,
    contributions: tuple[Contribution, ...],
    combine: Combine,
    out_dtype: str,
    device: torch.device,
) -> Bits:
    """Merge one chunk; see ``merging.engines.combination`` for the arithmetic."""
    bits = upload(base, device)
    terms = [_values(c, bits, device) * _fp32(c.coefficient) for c in contributions]
    merged = _elect(terms, contributions, by_weight=combine.by_weight) if combine.elects else reduce(torch.add, terms)
    out = widen(bits, dtype) * _fp32(combine.base_scale) + merged * _fp32(combine.scale)
    return download(narrow(out, out_dtype), out_dtype)


def upload(bits: Bits, device: torch.device) -> Tensor:
    """Unsigned bit patterns as an int64 tensor on the device."""
    signed = torch.tensor(bits.view(_SIGNED[bits.itemsize]), device=device)
    return signed.to(torch.int64) & (_LOW16 if bits.itemsize == 2 else _LOW32)


def download(bits: Tensor, dtype: str) -> Bits:
    """Bit patterns held in int64 back as an unsigned numpy array."""
    signed: NDArray[Any] = bits.to(torch.int32 if dtype == "F32" else torch.int16).cpu().numpy()
    return signed.view(BITS[dtype])


def widen(bits: Tensor, dtype: str) -> Tensor:
    """The fp32 values of bit patterns."""
    if dtype == "F16":
        return bits.to(torch.int16).view(torch.float16).to(torch.float32)
    pattern = bits << 16 if dtype == "BF16" else bits
    return pattern.to(torch.int32).view(torch.float32)


def narrow(values: Tensor, dtype: str) -> Tensor:
    """Bit patterns of fp32 values rounded to nearest, ties to even; NaN stays NaN."""
    if dtype == "F16":
        return values.to(torch.float16).view(torch.int16).to(torch.int64) & _LOW16
    bits = values.view(torch.int32).to(torch.int64) & _LOW32
    if dtype == "F32":
        return bits
    # By integers: a processor's own conversion may take denormals for zero. CUDA's NaN is all ones, which the
    # rounding would carry over into a zero.
    rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
    return torch.where(torch.isnan(values), _BF16_NAN, rounded)


def philox4x32(counter: Tensor, key: tuple[int, int]) -> Tensor:
    """Philox4x32-10 of int64 counters of shape (n, 4), giving words of shape (n, 4)."""
    device = counter.device
    factors = torch.tensor([[philox.M0], [philox.M1]], dtype=torch.int64, device=device)
    keys = [[[(key[0] + r * philox.W0) & _LOW32], [(key[1] + r * philox.W1) & _LOW32]] for r in range(philox.ROUNDS)]
    even, odd = counter[:, 0::2].T, counter[:, 1::2].T
    for round_key in torch.tensor(keys, dtype=torch.int64, device=device):
        # In halves of the counter word, so that no product exceeds 48 bits.
        low_product = (even & _LOW16) * factors
        upper = (even >> 16) * factors + (low_product >> 16)
        high, low = upper >> 16, ((upper & _LOW16) << 16) | (low_product & _LOW16)
        even, odd = high.flip(0) ^ odd ^ round_key, low.flip(0)
    return torch.stack((even[0], odd[0], even[1], odd[1]), dim=1)


def mask(key: int, threshold: int, start: int, count: int, device: torch.device) -> Tensor:
    """Which of the elements [start, start + count) of a tensor are kept."""
    first, last = start // philox.LANES, -(-(start + count) // philox.LANES)
    index = torch.arange(first, last, dtype=torch.int64, device=device)
    zero = torch.zeros_like(index)
    words = philox4x32(torch.stack((index & _LOW32, index >> 32, zero, zero), dim=1), (key & _LOW32, key >> 32))
    lanes = torch.stack((words & _LOW16, words >> 16), dim=2).reshape(-1)
    offset = start - first * philox.LANES
    return lanes[offset : offset + count] < threshold


def dense(term: ChunkTerm, base: Tensor) -> Tensor:
    """The chunk's delta values as fp32, zero where dropped. Raises IntegrityFailure when its bytes do not fit."""
    if isinstance(term, LowRankChunk):
        return _low_rank(term, base.device) if term.gains is None else _rescaled(term, base)
    if isinstance(term, DenseChunk):
        return torch.from_numpy(term.values).to(base.device)
    device = base.device
    if not term.data and (term.coding.values != "exact" or term.coding.selects_magnitude):
        return torch.zeros(term.count, dtype=torch.float32, device=device)
    kept, data = _kept(term, device)
    if term.coding.values == "exact":
        return _exact(term, data, base, kept)
    count = int(kept.sum())
    _check_size(term, data, count)
    out = torch.zeros(term.count, dtype=torch.float32, device=device)
    return out.masked_scatter_(kept, _decoded(data, term.coding.values, count, device))


def _kept(term: KeptChunk, device: torch.device) -> tuple[Tensor, memoryview]:
    """Which elements are kept, and the bytes of their values."""
    if term.coding.selects_magnitude:
        try:
            places, data = magnitude.unpack_places(term.data, term.count)
        except ValueError as error:
            raise _damaged(term, str(error)) from error
        kept = torch.zeros(term.count, dtype=torch.bool, device=device)
        kept[torch.tensor(places, device=device)] = True
        return kept, data
    if term.coding.threshold == philox.FULL:
        return torch.ones(term.count, dtype=torch.bool, device=device), memoryview(term.data)
    return mask(term.key, term.coding.threshold, term.start, term.count, device), memoryview(term.data)


def _check_size(term: KeptChunk, data: memoryview, kept: int) -> None:
    if len(data) != term.coding.frame_size(kept, DTYPES[term.dtype].itemsize):
        raise _damaged(term, f"{len(data)} bytes do not hold the {kept} values that are kept")


def _damaged(term: KeptChunk, trouble: str) -> IntegrityFailure:
    return IntegrityFailure(
        f"{term.where}: {trouble}", hint="the skill is damaged: register it again, or import it from a copy"
    )


def _decoded(data: memoryview, values: str, count: int, device: torch.device) -> Tensor:
    if values == "bf16":
        return widen(_join_planes(data, 2, device), "BF16")
    return _dequantize(data, count, device) if values == "int4" else _signs(data, count, device)


def _join_planes(data: memoryview, itemsize: int, device: torch.device) -> Tensor:
    planes = torch.tensor(np.frombuffer(data, np.uint8), device=device).view(itemsize, -1).to(torch.int64)
    joined = planes[0]
    for plane in planes[1:]:
        joined = (joined << 8) | plane
    return joined


def _dequantize(data: memoryview, count: int, device: torch.device) -> Tensor:
    split = -(-count // 2)
    codes = torch.tensor(np.frombuffer(data[:split], np.uint8), device=device).to(torch.int32)
    nibbles = torch.stack((codes & 15, codes >> 4), dim=1).reshape(-1)[:count]
    scales = widen(_join_planes(data[split:], 2, device), "BF16")
    signed = nibbles - ((nibbles & 8) << 1)
    return signed.to(torch.float32) * scales[:, None].expand(-1, int4.BLOCK).reshape(-1)[:count]


def _signs(data: memoryview, count: int, device: torch.device) -> Tensor:
    split = -(-count // 8)
    signs = torch.tensor(np.frombuffer(data[:split], np.uint8), device=device)
    places = torch.arange(count, device=device)
    negative = (signs[places >> 3].to(torch.int64) >> (places & 7)) & 1
    scales = _join_planes(data[split:], 2, device)[places // sign.BLOCK]
    return widen(scales ^ (negative << 15), "BF16")


def _exact(term: KeptChunk, data: memoryview, base: Tensor, kept: Tensor) -> Tensor:
    own = widen(base, term.base_dtype)
    converted = base if term.dtype == term.base_dtype else narrow(own, term.dtype)
    codes = torch.zeros_like(base)
    if term.data:
        _check_size(term, data, int(kept.sum()))
        codes.masked_scatter_(kept, _in_place(data, converted[kept], term.dtype))
    rebuilt = _apply_difference(converted, codes, 8 * DTYPES[term.dtype].itemsize)
    delta = widen(rebuilt, term.dtype) - own
    return torch.where(kept, delta, torch.zeros_like(delta))


def _in_place(data: memoryview, base: Tensor, dtype: str) -> Tensor:
    """Codes from the order of the base's exponents back to that of the elements."""
    shift, exponents = exact.EXPONENT[dtype]
    codes = torch.empty_like(base)
    codes[torch.argsort((base >> shift) & exponents, stable=True)] = _join_planes(
        data, DTYPES[dtype].itemsize, base.device
    )
    return codes


def _apply_difference(bits: Tensor, codes: Tensor, width: int) -> Tensor:
    top, full = 1 << (width - 1), (1 << width) - 1
    ordered = torch.where((bits & top) != 0, bits ^ full, bits | top)
    difference = (codes >> 1) ^ (-(codes & 1) & full)
    moved = (ordered + difference) & full
    return torch.where((moved & top) != 0, moved ^ top, moved ^ full)


def _low_rank(term: LowRankChunk, device: torch.device) -> Tensor:
    """The lines of the product that the chunk touches, then the chunk cut out of them."""
    lines, across = (term.a.T, term.b) if term.transposed else (term.b, term.a.T)
    width = across.shape[0]
    first, last = term.start // width, -(-(term.start + term.count) // width)
    upper = torch.tensor(lines[first:last], device=device)
    right = torch.tensor(across, device=device)
    product = torch.zeros((last - first, width), dtype=torch.float32, device=device)
    for index in range(term.a.shape[0]):
        product += upper[:, index, None] * right[:, index]
    product *= _fp32(term.scaling)
    offset = term.start - first * width
    return product.reshape(-1)[offset : offset + term.count]


def _rescaled(term: LowRankChunk, base: Tensor) -> Tensor:
    own = widen(base, term.base_dtype)
    place = torch.arange(term.start, term.start + term.count, device=base.device)
    row = place % term.width if term.transposed else place // term.width
    gains = torch.tensor(term.gains, device=base.device)[row]
    return gains * (own + _low_rank(term, base.device)) - own


def _values(contribution: Contribution, base: Tensor, device: torch.device) -> Tensor:
    values, drop = dense(contribution.term, base), contribution.drop
    zero = torch.zeros_like(values)
    if drop is not None:
        kept = mask(drop.key, drop.threshold, contribution.term.start, contribution.term.count, device)
        values = torch.where(kept, values, zero)
    return torch.where(values.abs() < _fp32(contribution.cutoff), zero, values)


def _elect(terms: list[Tensor], contributions: tuple[Contribution, ...], *, by_weight: bool) -> Tensor:
    positive = reduce(torch.add, terms) >= 0
    merged, divisor = torch.zeros_like(terms[0]), torch.zeros_like(terms[0])
    for term, contribution in zip(terms, contributions, strict=True):
        agrees = (term != 0) & ((term > 0) == positive)
        share = _fp32(contribution.weight) if by_weight else 1.0
        merged = torch.where(agrees, merged + term, merged)
        divisor = torch.where(agrees, divisor + share, divisor)
    return merged / divisor.masked_fill(divisor.abs() < _fp32(SMALLEST_DIVISOR), 1.0)


def _fp32(number: float) -> float:
    """The fp32 value of a number, so that torch has nothing left to round."""
    return float(np.float32(number))
