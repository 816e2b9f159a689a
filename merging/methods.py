"""The merge methods: one table of what each does, with its parameters and source.

A method is a row, not a class: how deltas are sparsified on the way in, how terms combine, and which parameters
a user may set. All of them compute in fp32, each multiply and add rounded on its own (``merging.reference``).
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass

from storage.encodings.philox import keep_threshold, quantized_drop_rate
from storage.errors import UsageError

ParameterValue = float | int | bool | str


@dataclass(frozen=True)
class Parameter:
    """One parameter of a method: its type, default and range (``low`` ≤ value < or ≤ ``high``)."""

    name: str
    default: ParameterValue
    summary: str
    low: float = -math.inf
    high: float = math.inf
    open_low: bool = False
    open_high: bool = False
    choices: tuple[str, ...] = ()
    draws: bool = False  # only has an effect on skills that are stored unsparsified

    def check(self, value: object) -> ParameterValue:
        """The value in its type, or UsageError saying what is allowed."""
        if self.choices:
            if value not in self.choices:
                raise self._refused(value, f"one of {', '.join(self.choices)}")
            return str(value)
        if isinstance(self.default, bool):
            return self._boolean(value)
        return self._number(value)

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
        low = f"{'above' if self.open_low else 'at least'} {self.low:g}" if self.low > -math.inf else ""
        high = f"{'below' if self.open_high else 'at most'} {self.high:g}" if self.high < math.inf else ""
        return " and ".join(part for part in (low, high) if part) or "finite"

    def _refused(self, value: object, expected: str) -> UsageError:
        return UsageError(f"parameter {self.name}={value!r} must be {expected}", hint=self.summary)


_LAMBDA = Parameter("lambda", 1.0, "λ, scale of the merged delta", -1e30, 1e30)
_DROP_RATE = Parameter(
    "drop_rate", 0.9, "p, drop rate of DARE for skills stored unsparsified", 0.0, 1.0, open_high=True, draws=True
)
_SEED = Parameter("seed", 0, "seed of DARE's masks for skills stored unsparsified", 0, (1 << 53) - 1, draws=True)
_DENSITY = Parameter("density", 0.2, "share of each skill's values that trimming keeps", 0.0, 1.0, open_low=True)
_TRIM = Parameter(
    "trim",
    "model",
    "trim over the whole model (the paper's code) or within each tensor (mergekit)",
    choices=("model", "tensor"),
)
_DIVISOR = Parameter(
    "divisor",
    "count",
    "divide by the count of agreeing skills (the paper) or the sum of their weights (mergekit)",
    choices=("count", "weights"),
)
_NORMALIZE = Parameter("normalize", True, "divide by the sum of the weights")


@dataclass(frozen=True)
class Method:
    """One merge method.

    ``drops``: DARE is applied to skills that are stored unsparsified. ``trims``: keeps each skill's largest
    values. ``elects``: elects a sign per element and averages what agrees, instead of adding everything up.
    """

    name: str
    summary: str
    formula: str
    source: str
    parameters: tuple[Parameter, ...]
    drops: bool = False
    trims: bool = False
    elects: bool = False
    normalizes: bool = False

    def check(self, given: Mapping[str, object], *, draws: bool) -> dict[str, ParameterValue]:
        """All parameters that have an effect, defaults filled in. Raises UsageError for any other.

        ``draws``: whether any skill is stored unsparsified, so that DARE's own parameters have an effect.
        """
        known = {parameter.name: parameter for parameter in self.parameters}
        for name in given:
            if name not in known:
                raise self._unknown(name, tuple(known))
            if known[name].draws and not draws:
                raise UsageError(
                    f"parameter {name} has no effect: every skill here was sparsified when it was registered",
                    hint="leave it out, or register the skills with --encoding exact",
                )
        checked = {
            name: parameter.check(given.get(name, parameter.default))
            for name, parameter in known.items()
            if draws or not parameter.draws
        }
        if "drop_rate" in checked:
            # What the 16-bit mask really drops is what is recorded and rescaled by.
            checked["drop_rate"] = quantized_drop_rate(keep_threshold(float(checked["drop_rate"])))
        return checked

    def _unknown(self, name: str, known: tuple[str, ...]) -> UsageError:
        near = difflib.get_close_matches(name, known, n=1)
        takes = f"it takes {', '.join(known)}"
        hint = f"did you mean {near[0]!r}? {takes}" if near else takes
        return UsageError(f"method {self.name} has no parameter {name!r}", hint=hint)


_TABLE = (
    Method(
        "linear",
        "weighted average of the fine-tuned models",
        "Σ wₖθₖ / Σ wₖ, computed as θ₀ + Σ (wₖ/Σw)·δₖ",
        "Wortsman et al. 2022, https://arxiv.org/abs/2203.05482",
        (_NORMALIZE,),
        normalizes=True,
    ),
    Method(
        "task_arithmetic",
        "add weighted deltas to the base",
        "θ₀ + λ Σ wₖδₖ",
        "Ilharco et al. 2023, https://arxiv.org/abs/2212.04089",
        (_LAMBDA,),
    ),
    Method(
        "dare_linear",
        "task arithmetic on deltas dropped at random and rescaled",
        "θ₀ + λ Σ wₖ·(mₖ⊙τₖ)/(1−pₖ), mₖ ~ Bernoulli(1−pₖ)",
        "Yu et al. 2024, https://arxiv.org/abs/2311.03099",
        (_LAMBDA, _DROP_RATE, _SEED),
        drops=True,
    ),
    Method(
        "ties",
        "trim small values, elect a sign, average what agrees",
        "θ₀ + λ·mean of the agreeing non-zero wₖ·trim(δₖ)",
        "Yadav et al. 2023, https://arxiv.org/abs/2306.01708",
        (_LAMBDA, _DENSITY, _TRIM, _DIVISOR),
        trims=True,
        elects=True,
    ),
    Method(
        "dare_ties",
        "DARE instead of trimming, then sign election and disjoint averaging",
        "θ₀ + λ·mean of the agreeing non-zero wₖ·(mₖ⊙τₖ)/(1−pₖ)",
        "Yu et al. 2024, https://arxiv.org/abs/2311.03099; Yadav et al. 2023, https://arxiv.org/abs/2306.01708",
        (_LAMBDA, _DROP_RATE, _SEED, _DIVISOR),
        drops=True,
        elects=True,
    ),
)

METHODS: dict[str, Method] = {method.name: method for method in _TABLE}


def method_named(name: str) -> Method:
    """The method of this name. Raises UsageError naming the nearest one."""
    if name in METHODS:
        return METHODS[name]
    near = difflib.get_close_matches(name, METHODS, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise UsageError(f"unknown method {name!r}", hint=f"{hint}the methods are {', '.join(METHODS)}")
