"""What a merge method declares: its parameters, its needs, how it is computed, how exactly, and where it is from."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from merging.methods.parameters import Parameter, ParameterValue
from merging.settings import Setting, checked, constant, mapped, values, varies
from storage.encodings.numeric import Floats
from storage.encodings.philox import keep_threshold, quantized_drop_rate
from storage.errors import UsageError

if TYPE_CHECKING:
    from torch import Tensor

    from merging.mergekit.models import Models

Need = Literal["unsparsified", "gram", "fisher"]
"""What a skill must carry: all of its delta, Gram matrices of its layers' inputs, its diagonal Fisher information."""
Class = Literal["bits", "library", "torch", "close"]
"""How exactly a result can be repeated: the same bytes anywhere; the same bytes wherever the C library computes the
same sines and roots; the same bytes with the same torch on the same kind of processor; the same values but for
rounding, which depends on the linear algebra library and its threads."""


@dataclass(frozen=True)
class Fused:
    """Element by element, in the fused pass of every engine (``merging.engines.combination``).

    ``drops``: DARE is applied to skills that are stored unsparsified. ``trims``: keeps each skill's largest values.
    ``elects``: elects a sign per element and averages what agrees, instead of adding everything up. ``normalizes``: has
    the parameter `normalize`, and divides by the sum of the weights. ``scales``: the parameter `scale` is a factor on
    everything.
    """

    drops: bool = False
    trims: bool = False
    elects: bool = False
    normalizes: bool = False
    scales: bool = False


@dataclass(frozen=True)
class Products:
    """One tensor's inner products in fp64, of the base (at 0) and each skill's delta: ⟨xᵢ, xⱼ⟩, (k+1, k+1)."""

    products: NDArray[np.float64]
    weights: tuple[float, ...]
    parameters: Mapping[str, ParameterValue]
    tensor: str


@dataclass(frozen=True)
class Coefficients:
    """β and cₖ of out = β·θ₀ + Σ cₖ·δₖ."""

    base: float
    skills: tuple[float, ...]


@dataclass(frozen=True)
class Spanned:
    """A combination of base and deltas whose coefficients depend on their norms and angles, tensor by tensor.

    A first pass takes the inner products; the second is the fused pass with the coefficients. ``sums``: divides by the
    sum of the weights, which must not be zero.
    """

    coefficients: Callable[[Products], Coefficients]
    sums: bool = False


@dataclass(frozen=True)
class Part:
    """One skill's part in a tensor: its delta in fp32, rescaled; its weight; what was collected of it, if anything.

    ``statistics``: the Fisher information of the same elements, fp32; or the Gram matrix of the layer's inputs, fp64
    (columns, columns). None where the skill carries none for this tensor. ``transposed``: the tensor's first axis is
    the layer's inputs, as in transformers' Conv1D, and not its last.
    """

    delta: Floats
    weight: float
    parameters: Mapping[str, ParameterValue]
    statistics: NDArray[np.floating] | None = None
    transposed: bool = False
    key: int = 0  # of random masks of this skill and tensor


@dataclass(frozen=True)
class Inputs:
    """What a tensor is computed from: θ₀ in fp32, and each skill's part, in canonical order.

    Of the tensor's own shape for a method that computes whole tensors, else a run of its elements.
    """

    base: Floats
    parts: Sequence[Part]
    parameters: Mapping[str, ParameterValue]
    tensor: str


@dataclass(frozen=True)
class Computed:
    """By a function of plain arrays that gives the merged values in fp32, of whole tensors or of any run of elements.

    ``averages``: it is an average of models, so that of one skill it is that skill's model, whatever its weight.
    """

    merge: Callable[[Inputs], Floats]
    whole: bool
    averages: bool = False


@dataclass(frozen=True)
class Arithmetic:
    """As mergekit computes it: by a function of torch tensors, each whole, in the dtype of the inputs.

    ``base``: whether mergekit's ``base_model`` has a part of its own, which is never weighed. ``own``: the parameters
    that a model can have for itself. ``widens``: the result is fp32, whatever the inputs are.
    """

    merge: Callable[[Models], Tensor]
    base: Literal["ignored", "optional", "required"] = "ignored"
    own: frozenset[str] = frozenset()
    widens: bool = False


class Unified:
    """One vector for all skills, with a mask and a scale for each, kept with a named merge (``merging.unified``).

    The result is the model of one of the skills, the recipe's task.
    """


@dataclass(frozen=True)
class Method:
    """One merge method. What it is called, takes and needs stands here and nowhere else.

    ``weighted``: whether skills have weights; a method without refuses any but 1. ``signed``: whether they may be
    negative. ``skills``: how many it takes, at
    least and at most (None: any number). ``consistent`` raises UsageError for parameters that do not go together.
    """

    name: str
    summary: str
    formula: str
    source: str
    how: Fused | Spanned | Computed | Unified | Arithmetic
    parameters: tuple[Parameter, ...] = ()
    needs: frozenset[Need] = frozenset()
    exactness: Class = "bits"
    weighted: bool = True
    signed: bool = True
    skills: tuple[int, int | None] = (1, None)
    consistent: Callable[[Mapping[str, ParameterValue]], None] | None = None

    def collects(self, skills: int) -> Literal["gram", "fisher"] | None:
        """The kind of statistics that are needed of each of so many skills; an average of one needs none."""
        if isinstance(self.how, Computed) and self.how.averages and skills == 1:
            return None
        return "gram" if "gram" in self.needs else "fisher" if "fisher" in self.needs else None

    @property
    def fused(self) -> Fused:
        """How the fused pass combines; of a method computed otherwise, that it just adds up."""
        return self.how if isinstance(self.how, Fused) else Fused()

    def check(self, given: Mapping[str, object], *, draws: bool) -> dict[str, Setting]:
        """All parameters that have an effect, defaults filled in. Raises UsageError for any other.

        ``draws``: whether any skill is stored unsparsified, so that DARE's own parameters have an effect.
        """
        for name in given:
            if self._known(name).draws and not draws:
                raise UsageError(
                    f"parameter {name} has no effect: every skill here was sparsified when it was registered",
                    hint="leave it out, or register the skills with --encoding exact",
                )
        checked = {
            parameter.name: _setting(parameter, given.get(parameter.name, parameter.default))
            for parameter in self.parameters
            if (draws or not parameter.draws) and (parameter.name in given or not parameter.unless)
        }
        self.agree(checked)
        return checked

    def check_each(self, given: Mapping[str, object], skill: str, *, draws: bool) -> dict[str, Setting]:
        """The parameters of one skill alone, of those that may be given so. Raises UsageError for any other.

        ``draws``: whether the skill is stored unsparsified.
        """
        for name in given:
            known = self._known(name)
            if not known.each:
                able = ", ".join(parameter.name for parameter in self.parameters if parameter.each)
                raise UsageError(
                    f"parameter {name} of {self.name} is one for all skills, not for {skill} alone",
                    hint=f"for one skill there are: {able}" if able else "give it once, beside the skills",
                )
            if known.draws and not draws:
                raise UsageError(
                    f"parameter {name} has no effect on {skill}, which was sparsified when it was registered"
                )
        return {name: _setting(self._known(name), value) for name, value in sorted(given.items())}

    def agree(self, parameters: Mapping[str, Setting]) -> None:
        """Raise UsageError for parameters that do not go together, where they are the same for every tensor."""
        if self.consistent is not None and not any(map(varies, parameters.values())):
            self.consistent({name: constant(value) for name, value in parameters.items()})

    def to_dict(self) -> dict[str, Any]:
        """What the method is, takes and needs, as plain values."""
        least, most = self.skills
        return {
            "name": self.name,
            "summary": self.summary,
            "formula": self.formula,
            "source": self.source,
            "weighted": self.weighted,
            "least_skills": least,
            "most_skills": most,
            "needs": sorted(self.needs),
            "exactness": self.exactness,
            "parameters": [parameter.to_dict() for parameter in self.parameters],
        }

    def sums(self, parameters: Mapping[str, Setting], skills: int) -> bool:
        """Whether weights are divided by their sum, which then must not be zero."""
        if isinstance(self.how, Fused):
            return self.how.normalizes and bool(parameters["normalize"])
        if isinstance(self.how, Spanned):
            return self.how.sums and skills > 1
        return isinstance(self.how, Computed) and self.how.averages

    def check_skills(self, weights: Sequence[Setting]) -> None:
        """Raise UsageError where the method cannot take so many skills, or none with such weights."""
        least, most = self.skills
        if len(weights) < least or (most is not None and len(weights) > most):
            takes = f"at least {least}" if most is None else f"{least} to {most}"
            takes = f"exactly {least}" if least == most else takes
            one = most == 1 or (most is None and least == 1)
            mergekits = " --semantics mergekit" if isinstance(self.how, Arithmetic) else ""
            raise UsageError(
                f"{self.name} takes {takes} {'skill' if one else 'skills'}, "
                f"and here {'is' if len(weights) == 1 else 'are'} {len(weights)}",
                hint=f"see `mergestore methods {self.name}{mergekits}`",
            )
        if not self.signed and any(float(value) < 0 for weight in weights for value in values(weight)):
            raise UsageError(
                f"{self.name} takes weights of at least 0: how much each skill's data count",
                hint="to take a skill away, use task_arithmetic",
            )
        if not self.weighted and any(weight != 1 for weight in weights):
            which = "the" if most == 1 else "each"
            raise UsageError(
                f"{self.name} has no weights: it does not ask how much of {which} skill to take",
                hint=f"leave the weights out: BASE + {'SKILL' if most == 1 else 'ONE + TWO'}",
            )

    def _known(self, name: str) -> Parameter:
        for parameter in self.parameters:
            if parameter.name == name:
                return parameter
        known = [parameter.name for parameter in self.parameters]
        near = difflib.get_close_matches(name, known, n=1)
        takes = f"it takes {', '.join(known)}" if known else "it takes none"
        hint = f"did you mean {near[0]!r}? {takes}" if near else takes
        raise UsageError(f"method {self.name} has no parameter {name!r}", hint=hint)


def _setting(parameter: Parameter, given: object) -> Setting:
    setting = checked(given, parameter.check, parameter.name)
    if varies(setting) and not parameter.varies:
        raise UsageError(
            f"parameter {parameter.name} is one for the whole model, found {given!r}", hint=parameter.summary
        )
    # What the 16-bit mask really drops is what is recorded and rescaled by.
    if parameter.name == "drop_rate" and parameter.draws:
        return mapped(setting, lambda rate: quantized_drop_rate(keep_threshold(float(rate))))
    return setting
