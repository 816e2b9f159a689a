"""What happens to one chunk of one tensor: the inputs of every engine, as plain values.

The arithmetic, in fp32, each operation rounded on its own, terms in canonical order:

    tₖ = cₖ·vₖ                       vₖ stored delta values, cₖ = wₖ/(1 − pₖ) computed in fp64, rounded once
    sum:    m = t₁ + t₂ + …
    elect:  γ = sign(t₁ + t₂ + …), an exact zero counting as plus;  m = Σ agreeing tₖ / divisor
            tₖ agrees if it is not zero and has sign γ; the divisor is the count of agreeing terms, or the sum of
            their weights (1 where nothing agrees, or where that sum is within 1e-8 of zero)
    out = cast(β·base + λ·m)         β is 1 but for an unnormalized `linear`
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from storage.encodings.chunks import ChunkTerm
from storage.encodings.kernels import difference_energy
from storage.encodings.numeric import Bits, finite, widen


@dataclass(frozen=True)
class Drop:
    """A DARE mask drawn while merging, for a skill that is stored unsparsified."""

    key: int
    threshold: int


@dataclass(frozen=True)
class Contribution:
    """One skill's part in one chunk: its values, coefficient cₖ and weight wₖ.

    ``cutoff``: trimming sets values of smaller magnitude to zero (fp32, before the coefficient).
    """

    term: ChunkTerm
    coefficient: float
    weight: float
    drop: Drop | None = None
    cutoff: float = 0.0
    rescale: float = 1.0  # 1/(1 − pₖ), of which cₖ holds a share


@dataclass(frozen=True)
class Combine:
    """How the contributions of a chunk become its output."""

    elects: bool
    by_weight: bool
    scale: float  # λ
    base_scale: float  # β


@dataclass(frozen=True)
class Change:
    """How a merged chunk differs from the base: Σ(out − base)² in fp64, elements changed, whether all are finite."""

    squares: float = 0.0
    changed: int = 0
    finite: bool = True


def measure_change(base: Bits, dtype: str, out: Bits, out_dtype: str) -> Change:
    """Compare a merged chunk with the base that it was made from."""
    squares, changed = difference_energy(widen(out, out_dtype), widen(base, dtype))
    return Change(float(squares), int(changed), finite(out, out_dtype))


class Engine(Protocol):
    """Computes one chunk. Every engine gives the same bits."""

    name: str
    device: str

    def merge(
        self,
        base: Bits,
        dtype: str,
        contributions: tuple[Contribution, ...],
        combine: Combine,
        out_dtype: str,
        out: Bits,
    ) -> Change:
        """Write the merged chunk's bit patterns in ``out_dtype`` to ``out``, from those of the base in ``dtype``.

        ``out`` has the base's length and shares no memory with it. ``contributions`` is not empty.
        """
