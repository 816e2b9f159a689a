"""A parameter of a merge method: its type, default, range, and what it does; those that several methods share."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from merging.settings import Value
from storage.errors import UsageError

ParameterValue = Value


@dataclass(frozen=True)
class Parameter:
    """One parameter of a method: its type, default and range (``low`` ≤ value < or ≤ ``high``).

    ``draws``: it only has an effect on skills that are stored unsparsified. ``each``: it may be given for each skill on
    its own. ``unless``: what holds where it is not given, in words; it is then no part of a recipe. A parameter that is
    a real number may differ from tensor to tensor (``merging.settings``).
    """

    name: str
    default: ParameterValue
    summary: str
    low: float = -math.inf
    high: float = math.inf
    open_low: bool = False
    open_high: bool = False
    choices: tuple[str, ...] = ()
    draws: bool = False
    each: bool = False
    unless: str = ""

    def check(self, value: object) -> ParameterValue:
        """The value in its type, or UsageError saying what is allowed."""
        if self.choices:
            if value not in self.choices:
                raise self._refused(value, f"one of {', '.join(self.choices)}")
            return str(value)
        if isinstance(self.default, bool):
            return self._boolean(value)
        return self._number(value)

    def to_dict(self) -> dict[str, Any]:
        """What it is and may be, as plain values."""
        return {
            "name": self.name,
            "default": self.unless or self.default,
            "allowed": self.allowed,
            "summary": self.summary,
            "varies": self.varies,
            "each": self.each,
        }

    @property
    def varies(self) -> bool:
        """Whether it may differ from tensor to tensor."""
        return isinstance(self.default, float)

    @property
    def allowed(self) -> str:
        """Its values, in words."""
        if self.choices:
            return ", ".join(self.choices)
        return "true, false" if isinstance(self.default, bool) else self._range()

    def _boolean(self, value: object) -> bool:
        known = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
        if isinstance(value, bool):
            return value
        if isinstance(value, str) and value.lower() in known:
            return known[value.lower()]
        raise self._refused(value, "true or false")

    def _number(self, value: object) -> float | int:
        whole = isinstance(self.default, int)
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise self._refused(value, "a number")
        try:
            number = int(value) if whole else float(value)
        except (ValueError, OverflowError):
            raise self._refused(value, "a whole number" if whole else "a number") from None
        if whole and isinstance(value, float) and number != value:
            raise self._refused(value, "a whole number")
        inside = self.low <= number <= self.high and math.isfinite(number)
        if not inside or (self.open_low and number == self.low) or (self.open_high and number == self.high):
            raise self._refused(value, self._range())
        return number + 0  # −0.0 becomes 0.0: canonical JSON spells them alike

    def _range(self) -> str:
        low = f"{'above' if self.open_low else 'at least'} {_bound(self.low)}" if self.low > -math.inf else ""
        high = f"{'below' if self.open_high else 'at most'} {_bound(self.high)}" if self.high < math.inf else ""
        return " and ".join(part for part in (low, high) if part) or "finite"

    def _refused(self, value: object, expected: str) -> UsageError:
        return UsageError(f"parameter {self.name}={value!r} must be {expected}", hint=self.summary)


def _bound(value: float) -> str:
    """A bound as a person writes it: 1e30, 2^53 − 1, 0.5."""
    if isinstance(value, int) and value > 1 and not (value + 1) & value:
        return f"2^{value.bit_length()} − 1"
    return f"{value:g}".replace("e+", "e")


LAMBDA = Parameter("lambda", 1.0, "λ, scale of the merged delta", -1e30, 1e30)
DROP_RATE = Parameter(
    "drop_rate",
    0.9,
    "p, drop rate of DARE for skills stored unsparsified",
    0.0,
    1.0,
    open_high=True,
    draws=True,
    each=True,
)
Q = Parameter(
    "q",
    1.0,
    "what survivors of dropping are divided by (DAREx-q), for large deltas above 1 − p",
    0.0,
    1.0,
    open_low=True,
    each=True,
    unless="1 − p",
)
SEED = Parameter("seed", 0, "seed of DARE's masks for skills stored unsparsified", 0, (1 << 53) - 1, draws=True)
DENSITY = Parameter(
    "density", 0.2, "share of each skill's values that trimming keeps", 0.0, 1.0, open_low=True, each=True
)
TRIM = Parameter(
    "trim",
    "model",
    "trim over the whole model (the paper's code) or within each tensor (mergekit)",
    choices=("model", "tensor"),
)
DIVISOR = Parameter(
    "divisor",
    "count",
    "divide by the count of agreeing skills (the paper) or the sum of their weights (mergekit)",
    choices=("count", "weights"),
)
NORMALIZE = Parameter("normalize", True, "divide by the sum of the weights")
