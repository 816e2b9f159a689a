"""Compiled decoding of skills a block of elements at a time, so that what is decoded never leaves the first caches.

A *block* is ``BLOCK`` consecutive elements of a chunk; blocks of a chunk are decoded in order. Terms come packed
(``storage.encodings.packed``): ``term`` is one record, ``data``, ``masks`` and ``floats`` hold what all
terms of the chunk have. ``cursors`` (int64, one a term) counts the kept values used so far; ``ranks`` (int64,
256 a term) where the next `exact` code of each exponent lies. Small loops over slices: those become vector code.
"""

from __future__ import annotations

import numpy as np

from storage.encodings import int4, sign
from storage.encodings.exact_kernels import collect, rebuild
from storage.encodings.int4_kernels import scale_codes, unpack
from storage.encodings.kernels import _as_float, jit, low_rank
from storage.encodings.mask_kernels import BLOCK, count_bits, draw_bits, trailing_zeros
from storage.encodings.numeric_kernels import F32, widen
from storage.encodings.packed import ALL, BFLOAT, DENSE, DRAWN, EXACT, INT4, LOW_RANK, SIGN
from storage.encodings.sign_kernels import signed_scale

_INT4, _SIGN = int4.BLOCK, sign.BLOCK  # elements that share a scale


@jit
def decode(term, index, data, masks, floats, base, begin, cursors, ranks, scratch, values):
    """The delta values of ``values.size`` elements from ``begin`` of the chunk on; False where the data cannot be.

    ``base``: bit patterns of the whole chunk. ``scratch``: what ``new_scratch`` made.
    """
    if term.values == LOW_RANK:
        _low_rank(term, floats, begin, values)
        return True
    if term.values == DENSE:
        values[:] = floats[term.floats + begin : term.floats + begin + values.size]
        return True
    if term.size == 0:
        _clear(values)
        return True
    own = data[term.data : term.data + term.size]
    if term.values == SIGN:
        _signs(own, term.count, begin, values)
        return True
    if term.values == EXACT:
        _exact(own, term.count, term.dtype, base[begin : begin + values.size], ranks[index], values, scratch[4])
        return True
    first = cursors[index]
    if term.select == ALL:
        cursors[index] = first + values.size
        return _kept(term, own, first, values, scratch[2])
    _clear(values)
    count, sound = decode_kept(term, index, data, masks, begin, values.size, cursors, scratch)
    spread(scratch[1][: (values.size + 63) // 64], scratch[3][:count], values)
    return sound


@jit
def decode_kept(term, index, data, masks, begin, size, cursors, scratch):
    """The kept values of ``size`` elements of a sparse term, and their mask: ``scratch[3]`` and ``scratch[1]``.

    Returns how many, and False where the data cannot be.
    """
    bits = scratch[1][: (size + 63) // 64]
    if term.size == 0:
        bits[:] = np.uint64(0)
        return np.int64(0), True
    first = cursors[index]
    if term.select == DRAWN:
        count = draw_bits(term.key, term.threshold, term.start + begin, size, scratch[0], bits)
    else:
        word = term.mask + begin // 64
        bits[:] = masks[word : word + bits.size]
        count = count_bits(bits)
    cursors[index] = first + count
    own = data[term.data : term.data + term.size]
    return count, _kept(term, own, first, scratch[3][:count], scratch[2])


@jit
def new_scratch():
    """Working memory of one ``decode`` at a time: words, mask bits, nibbles, kept values, two more blocks."""
    return (
        np.empty(BLOCK // 2, np.uint32),
        np.empty(BLOCK // 64, np.uint64),
        np.empty(BLOCK + 2, np.int8),
        np.empty(BLOCK, np.float32),
        np.empty(2 * BLOCK, np.float32),
    )


@jit
def spread(bits, kept, values):
    """Set the elements that the mask keeps to the kept values."""
    used = 0
    for j in range(bits.size):
        word = bits[j]
        first = 64 * j
        while word != 0:
            values[first + np.int64(trailing_zeros(word))] = kept[used]
            used += 1
            word &= word - np.uint64(1)


@jit
def spread_add(bits, kept, coefficient, values):
    """Add coefficient times the kept values to the elements that the mask keeps."""
    for i in range(kept.size):
        kept[i] *= coefficient
    used = 0
    for j in range(bits.size):
        word = bits[j]
        first = 64 * j
        while word != 0:
            values[first + np.int64(trailing_zeros(word))] += kept[used]
            used += 1
            word &= word - np.uint64(1)


@jit
def _clear(values):
    for i in range(values.size):
        values[i] = np.float32(0)


@jit
def _kept(term, own, first, out, nibbles):
    """Kept values ``first`` … of the term; more than it has are a sign of damage, and come out as zeros."""
    if first + out.size > term.kept:
        _clear(out)
        return False
    if term.values == INT4:
        codes = (term.kept + 1) // 2
        blocks = (term.kept + _INT4 - 1) // _INT4
        high = own[codes : codes + blocks]
        _int4(own[:codes], high, own[codes + blocks : codes + 2 * blocks], first, out, nibbles)
    elif term.values == BFLOAT:
        _bf16(own[first : first + out.size], own[term.kept + first : term.kept + first + out.size], out)
    return True


@jit
def _int4(codes, high, low, first, out, nibbles):
    odd = first & 1
    unpack(codes[first // 2 : (first + out.size + 1) // 2], nibbles)
    own = nibbles[odd : odd + out.size]
    done = 0
    while done < out.size:
        block = (first + done) // _INT4
        end = min(out.size, (block + 1) * _INT4 - first)
        scale = _as_float((np.uint32(high[block]) << np.uint32(24)) | (np.uint32(low[block]) << np.uint32(16)))
        scale_codes(own[done:end], scale, out[done:end])
        done = end


@jit
def _bf16(high, low, out):
    bits = out.view(np.uint32)
    for i in range(bits.size):
        bits[i] = (np.uint32(high[i]) << np.uint32(24)) | (np.uint32(low[i]) << np.uint32(16))


@jit
def _signs(own, count, begin, values):
    split = (count + 7) // 8
    blocks = (own.size - split) // 2
    done = 0
    while done < values.size:
        block = (begin + done) // _SIGN
        end = min(values.size, (block + 1) * _SIGN - begin)
        bits = np.uint32(own[split + block]) << np.uint32(24) | np.uint32(own[split + blocks + block]) << np.uint32(16)
        signed_scale(own[(begin + done) // 8 : split], bits, values[done:end].view(np.uint32))
        done = end


@jit
def _exact(own, count, dtype, base, ranks, values, scratch):
    """fine-tune − base, with the fine-tune rebuilt from codes that lie in the order of the base's exponents."""
    codes = values.view(np.uint32)
    collect(own, count, dtype, base, ranks, codes)
    width = np.uint32(32) if dtype == F32 else np.uint32(16)
    rebuild(base, width, codes)
    fine_tuned, own_values = scratch[: base.size], scratch[BLOCK : BLOCK + base.size]
    widen(codes, dtype, fine_tuned)
    widen(base, dtype, own_values)
    for i in range(values.size):
        values[i] = fine_tuned[i] - own_values[i]


@jit
def _low_rank(term, floats, begin, values):
    middle = term.floats + term.lines * term.rank
    lines = floats[term.floats : middle].reshape((term.lines, term.rank))
    across = floats[middle : middle + term.rank * term.width].reshape((term.rank, term.width))
    low_rank(lines, across, term.scaling, term.start + begin, values)
