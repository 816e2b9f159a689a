"""The fused pass of the CPU engine: read a block of the base, decode every skill, combine, round, compare. Numba.

No fast-math and no contraction: each multiply and add rounds by itself, in the order of ``reference``, whose bits these
are. A block goes through all steps before the next one is read, so nothing but base and output leaves the first
caches.
"""

from __future__ import annotations

import numpy as np

from merging.engines.dense import SMALLEST_DIVISOR
from storage.encodings.block_kernels import decode, decode_kept, new_scratch, spread_add
from storage.encodings.exact_kernels import rank_codes
from storage.encodings.kernels import jit
from storage.encodings.mask_kernels import BLOCK, draw_bits
from storage.encodings.numeric_kernels import LANES, add_change, narrow, widen
from storage.encodings.packed import ALL, EXACT, INT4

_SMALLEST = np.float32(SMALLEST_DIVISOR)
_SMALLEST_FACTOR = np.float32(2.0**-16)


@jit
def merge_chunk(base, dtype, terms, data, masks, floats, factors, combine, out_dtype, out, used):
    """Merge one chunk into ``out``. Returns (Σ(out − base)², elements changed, all finite, data as it should be).

    ``factors``: one row a term (``numba_engine``); ``combine``: (elects, by_weight, λ, β); ``used`` (int64)
    receives how many kept values each term had.
    """
    scratch = new_scratch()
    ranks = _ranks(terms, base)
    own, merged = np.empty(BLOCK, np.float32), np.empty(BLOCK, np.float32)
    rows = np.empty((terms.size if combine[0] else 1, BLOCK), np.float32)
    divisor = np.empty(BLOCK if combine[0] else 0, np.float32)
    sums = np.zeros(LANES, np.float64)
    sparse = not combine[0] and _all_sparse(terms, factors)
    changed, finite, sound = np.int64(0), True, True
    for begin in range(0, base.size, BLOCK):
        size = min(BLOCK, base.size - begin)
        total = merged[:size]
        if sparse:
            sound &= _sum_kept(terms, data, masks, factors, begin, used, scratch, total)
        else:
            for k in range(terms.size):
                row = rows[k if combine[0] else 0, :size]
                sound &= delta(terms[k], k, data, masks, floats, factors[k], base, begin, used, ranks, scratch, row)
                _scale(row, factors[k].coefficient)
                if k == 0:
                    total[:] = row
                else:
                    _add(row, total)
        if combine[0]:
            _elect(rows, factors, combine[1], total, divisor[:size])
        widen(base[begin : begin + size], dtype, own[:size])
        _finish(own[:size], combine[3], combine[2], total)
        finite &= _narrow_and_compare(own[:size], total, out_dtype, out[begin : begin + size], rows[0, :size])
        changed += add_change(own[:size], rows[0, :size], sums)
    return sums.sum(), changed, finite, sound


@jit
def _all_sparse(terms, factors):
    """Whether adding up may pass over what is dropped: sparse int4 values, none of them dropped or trimmed again.

    And no coefficient so small that a value, 2^-133 at least, becomes a zero of the wrong sign.
    """
    for k in range(terms.size):
        sparse = terms[k].values == INT4 and terms[k].select != ALL
        again = factors[k].drop_threshold != 0 or factors[k].cutoff > 0
        if not sparse or again or abs(factors[k].coefficient) < _SMALLEST_FACTOR:
            return False
    return True


@jit
def _sum_kept(terms, data, masks, factors, begin, used, scratch, total):
    """Add up terms of which most is dropped. A dropped value counts as a zero that has its coefficient's sign.

    So has a kept int4 zero; a sum of such zeros is minus zero only where all of them are.
    """
    zero = np.float32(-0.0)
    for k in range(terms.size):
        zero = zero if factors[k].coefficient < 0 else np.float32(0)
    for i in range(total.size):
        total[i] = zero
    sound = True
    bits = scratch[1][: (total.size + 63) // 64]
    for k in range(terms.size):
        count, intact = decode_kept(terms[k], k, data, masks, begin, total.size, used, scratch)
        spread_add(bits, scratch[3][:count], factors[k].coefficient, total)
        sound &= intact
    return sound


@jit
def delta(term, index, data, masks, floats, factor, base, begin, used, ranks, scratch, values):
    """A term's delta values of one block: decoded, dropped and trimmed, before its coefficient."""
    sound = decode(term, index, data, masks, floats, base, begin, used, ranks, scratch, values)
    if factor.drop_threshold != 0:
        _drop(factor.drop_key, factor.drop_threshold, term.start + begin, scratch, values)
    if factor.cutoff > 0:
        _trim(factor.cutoff, values)
    return sound


@jit
def values_chunk(base, terms, data, masks, floats, factors, used, out):
    """The delta values of the chunk of a single term into ``out``, as ``delta`` gives them; whether data is sound."""
    scratch = new_scratch()
    ranks = _ranks(terms, base)
    sound = True
    for begin in range(0, out.size, BLOCK):
        row = out[begin : min(begin + BLOCK, out.size)]
        sound &= delta(terms[0], 0, data, masks, floats, factors[0], base, begin, used, ranks, scratch, row)
    return sound


@jit
def _ranks(terms, base):
    """Where the codes of each exponent begin: the same for all `exact` terms, which have the base's dtype."""
    exact = 0
    for k in range(terms.size):
        exact += terms[k].values == EXACT
    ranks = np.empty((terms.size if exact else 1, 256), np.int64)
    first = np.int64(-1)
    for k in range(terms.size):
        if terms[k].values == EXACT and first < 0:
            rank_codes(base, terms[k].dtype, ranks[k])
            first = k
        elif terms[k].values == EXACT:
            ranks[k] = ranks[first]
    return ranks


@jit
def _drop(key, threshold, first, scratch, values):
    bits = scratch[1][: (values.size + 63) // 64]
    draw_bits(key, threshold, first, values.size, scratch[0], bits)
    for i in range(values.size):
        keep = (bits[i // 64] >> np.uint64(i % 64)) & np.uint64(1)
        values[i] = values[i] if keep else np.float32(0)


@jit
def _trim(cutoff, values):
    for i in range(values.size):
        values[i] = np.float32(0) if abs(values[i]) < cutoff else values[i]


@jit
def _scale(row, coefficient):
    for i in range(row.size):
        row[i] *= coefficient


@jit
def _add(row, total):
    for i in range(total.size):
        total[i] += row[i]


@jit
def _elect(rows, factors, by_weight, total, divisor):
    """Replace the sum of the terms in ``total`` by the average of those that agree with its sign."""
    positive = np.empty(total.size, np.uint8)
    for i in range(total.size):
        positive[i] = total[i] >= 0
    for i in range(total.size):
        total[i] = np.float32(0)
        divisor[i] = np.float32(0)
    for k in range(rows.shape[0]):
        share = factors[k].weight if by_weight else np.float32(1)
        _add_agreeing(rows[k, : total.size], positive, share, total, divisor)
    _divide(divisor, total)


@jit
def _add_agreeing(row, positive, share, total, divisor):
    for i in range(row.size):
        plus = positive[i] != 0
        # A total of NaN counts as minus, with which a NaN agrees: it must show in the result.
        agrees = (plus & (row[i] > 0)) | ((not plus) & (not (row[i] >= 0)))
        total[i] += row[i] if agrees else np.float32(0)
        divisor[i] += share if agrees else np.float32(0)


@jit
def _divide(divisor, total):
    for i in range(total.size):
        share = divisor[i] if abs(divisor[i]) >= _SMALLEST else np.float32(1)
        total[i] = total[i] / share


@jit
def _finish(own, base_scale, scale, total):
    for i in range(total.size):
        total[i] = base_scale * own[i] + scale * total[i]


@jit
def _narrow_and_compare(own, merged, dtype, out, rounded):
    finite = narrow(merged, dtype, out)
    widen(out, dtype, rounded)
    return finite
