"""How a skill's values are chosen and stored: the parameters of every encoding that reads a checkpoint."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from storage.encodings import int4, sign
from storage.encodings.philox import FULL, check_seed, keep_threshold, quantized_drop_rate
from storage.errors import UsageError

Values = Literal["int4", "bf16", "exact", "sign"]
Trim = Literal["model", "tensor"]
KEPT_VALUES = ("int4", "bf16", "exact")
"""How kept values can be stored, however they were chosen."""
TRIMS: tuple[str, ...] = get_args(Trim)


@dataclass(frozen=True)
class Coding:
    """Which values are kept, and how.

    With a ``density``, the largest magnitudes of the whole model or of each tensor (``trim``); else those that the
    mask of ``threshold`` and ``seed`` keeps, which are all of them at threshold 65536. Values `sign` keep all.
    Raises ValueError for parts that do not go together.
    """

    values: Values
    threshold: int = FULL
    seed: int = 0
    density: float | None = None
    trim: Trim | None = None

    def __post_init__(self) -> None:
        masked = self.threshold != FULL or self.seed != 0
        if (self.density is None) != (self.trim is None):
            raise ValueError("a density needs a trim, and a trim a density")
        if masked and (self.values == "sign" or self.selects_magnitude):
            raise ValueError("values chosen by magnitude, and signs, have no mask")
        if self.density is not None and (self.values == "sign" or not 0 < self.density < 1):
            raise ValueError("a density lies between 0 and 1, and signs have none")

    @property
    def selects_magnitude(self) -> bool:
        """Whether the largest values are kept, and their places stored with them."""
        return self.density is not None

    @property
    def sparsified(self) -> bool:
        """Whether values were dropped when the skill was stored: then no mask is drawn while merging."""
        return self.threshold != FULL or self.selects_magnitude

    @property
    def drop_rate(self) -> float:
        """The quantized drop rate p of the mask; rescaling divides by 1 − p when merging, never here."""
        return quantized_drop_rate(self.threshold)

    def frame_size(self, kept: int, itemsize: int) -> int:
        """Bytes of ``kept`` values of a chunk whose fine-tune has a dtype of ``itemsize`` bytes.

        That is the whole decoded frame, but for values chosen by magnitude, where their places come before.
        """
        if self.values == "int4":
            return -(-kept // 2) + 2 * -(-kept // int4.BLOCK)
        if self.values == "sign":
            return -(-kept // 8) + 2 * -(-kept // sign.BLOCK)
        return kept * (2 if self.values == "bf16" else itemsize)

    def largest_frame(self, elements: int, itemsize: int) -> int:
        """The most bytes that a chunk of this many elements can decode to."""
        # Each gap takes one byte for every 255 elements that it passes, and one for the element it leads to.
        places = 8 + elements if self.selects_magnitude else 0
        return places + self.frame_size(elements, itemsize)


EXACT = Coding("exact")
SIGN = Coding("sign")


def dare_coding(drop_rate: float, seed: int, values: str) -> Coding:
    """The coding of encoding `dare`. Raises UsageError for a value out of range."""
    return Coding(_kept_values(values), keep_threshold(drop_rate), check_seed(seed))


def magnitude_coding(density: float, trim: str, values: str) -> Coding:
    """The coding of encoding `magnitude`. Raises UsageError for a value out of range."""
    if not 0 < density < 1:
        raise UsageError(
            f"density {density} is not between 0 and 1", hint="0.1 keeps the largest tenth; --encoding exact keeps all"
        )
    if trim not in TRIMS:
        raise UsageError(f"unknown trim {trim!r}", hint=f"choose one of {', '.join(TRIMS)}")
    return Coding(_kept_values(values), density=float(density), trim=trim)  # type: ignore[arg-type]


def _kept_values(values: str) -> Values:
    if values not in KEPT_VALUES:
        raise UsageError(f"unknown values {values!r}", hint=f"choose one of {', '.join(KEPT_VALUES)}")
    return values  # type: ignore[return-value]
