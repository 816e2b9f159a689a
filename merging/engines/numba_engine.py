"""The CPU engine: one fused, compiled pass over each chunk; the same bits as ``merging.engines.reference``."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from merging.engines import kernels
from merging.engines.combination import Change, Combine, Contribution
from storage.encodings.numeric import Bits, Floats, read_only
from storage.encodings.numeric_kernels import DTYPE
from storage.encodings.packed import check_used, pack

name = "numba"
device = "cpu"

_FACTORS = np.dtype(
    [
        ("coefficient", np.float32),
        ("weight", np.float32),
        ("cutoff", np.float32),
        ("drop_threshold", np.uint32),  # 0: no mask is drawn
        ("drop_key", np.uint64),
    ],
    align=True,
)


def merge(
    base: Bits, dtype: str, contributions: tuple[Contribution, ...], combine: Combine, out_dtype: str, out: Bits
) -> Change:
    """Merge one chunk; see ``merging.engines.combination`` for the arithmetic."""
    terms = [contribution.term for contribution in contributions]
    packed, used = pack(terms, base), np.zeros(len(terms), np.int64)
    base = read_only(base)
    flat = (combine.elects, combine.by_weight, np.float32(combine.scale), np.float32(combine.base_scale))
    squares, changed, finite, sound = kernels.merge_chunk(
        base,
        DTYPE[dtype],
        packed.terms,
        packed.data,
        packed.masks,
        packed.floats,
        _factors(contributions),
        flat,
        DTYPE[out_dtype],
        out,
        used,
    )
    check_used(terms, packed, used, sound=sound)
    return Change(squares, changed, finite)


def values(contribution: Contribution, base: Bits, out: Floats) -> None:
    """The contribution's delta values into ``out``: dense, dropped and trimmed, before its coefficient."""
    packed, used = pack([contribution.term], base), np.zeros(1, np.int64)
    base = read_only(base)
    factors = _factors((contribution,))
    sound = kernels.values_chunk(base, packed.terms, packed.data, packed.masks, packed.floats, factors, used, out)
    check_used([contribution.term], packed, used, sound=sound)


def _factors(contributions: tuple[Contribution, ...]) -> NDArray[np.void]:
    factors = np.zeros(len(contributions), _FACTORS)
    for row, contribution in zip(factors, contributions, strict=True):
        row["coefficient"], row["weight"] = contribution.coefficient, contribution.weight
        row["cutoff"] = contribution.cutoff
        if contribution.drop is not None:
            row["drop_threshold"], row["drop_key"] = contribution.drop.threshold, contribution.drop.key
    return factors
