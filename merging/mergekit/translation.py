"""A configuration of mergekit as an expression, a method and parameters, with which a store computes the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from merging.mergekit.config import Config, ModelName, Slice, Source
from merging.methods.method import Arithmetic, Method
from merging.methods.parameters import Parameter
from merging.setting_text import spelled, spelled_pairs
from merging.settings import Setting, checked
from storage.errors import UsageError

_WEIGHT = "weight"


@dataclass(frozen=True)
class Translation:
    """What is merged, and the parameters that all models share."""

    expression: str
    parameters: dict[str, Any]


def translated(
    config: Config, method: Method, base: str, names: Mapping[ModelName, str], layers: int | None, where: str
) -> Translation:
    """The configuration over registered models: ``base``, the reference that all are fine-tunes of, and theirs.

    ``layers``: how many the models have, None where that is not known. Raises UsageError naming what has no equivalent.
    """
    part = _only_slice(config, layers, where)
    _refuse_unknown(config, method, where)
    own, shared = _split(method)
    role, sources = _line_up(part, method, base, names, where)
    terms = "".join(_term(source, names, method, own, part, where) for source in sources)
    parameters = {
        parameter.name: value
        for parameter in (*own, *shared)
        if (value := _setting(part, parameter, None, where)) is not None
    }
    if role is not None:
        parameters["base_model"] = role
    if config.dtype is not None and any(parameter.name == "compute_dtype" for parameter in method.parameters):
        parameters["compute_dtype"] = config.dtype
    return Translation(base + terms, parameters)


def _only_slice(config: Config, layers: int | None, where: str) -> Slice:
    spans = {(source.first, source.last) for each in config.slices for source in each.sources}
    if len(config.slices) == 1 and spans <= {(None, None), (0, layers)}:
        return config.slices[0]
    raise UsageError(
        f"{where}: slices that stack or shift layers have no equivalent here",
        hint="merge whole models; a slice of all layers of every model can be imported",
    )


def _refuse_unknown(config: Config, method: Method, where: str) -> None:
    known = {parameter.name for parameter in method.parameters} | ({_WEIGHT} if method.weighted else set())
    if odd := sorted(config.parameters - known):
        takes = ", ".join(sorted(known - {"base_model", "compute_dtype"})) or "none"
        raise UsageError(
            f"{where}: parameter {odd[0]!r} has no meaning for merge_method {config.method}",
            hint=f"leave it out; {config.method} takes {takes}",
        )


def _split(method: Method) -> tuple[list[Parameter], list[Parameter]]:
    """The parameters that a model can have for itself, and those that all share."""
    given = [parameter for parameter in method.parameters if parameter.name not in ("base_model", "compute_dtype")]
    return [each for each in given if each.each], [each for each in given if not each.each]


def _line_up(
    part: Slice, method: Method, base: str, names: Mapping[ModelName, str], where: str
) -> tuple[str | None, list[Source]]:
    """Mergekit's base_model as a parameter, None where that needs no saying; and the models in their order."""
    sources = list(part.sources)
    how = method.how
    assert isinstance(how, Arithmetic)
    if how.base == "ignored":
        return None, sources
    if part.base is None:
        if how.base == "required":
            raise UsageError(f"{where}: merge_method {method.name} needs a base_model")
        return "none", sources
    others = [source for source in sources if source.model != part.base]
    if names[part.base] == base:
        return None, others
    own = next((source for source in sources if source.model == part.base), Source(part.base))
    return "first", [Source(own.model), *others]


def _term(
    source: Source, names: Mapping[ModelName, str], method: Method, own: list[Parameter], part: Slice, where: str
) -> str:
    """A model with its operator. mergekit's base_model has neither weight nor parameters."""
    weight: Setting = 1.0
    alone: dict[str, Setting] = {}
    if source.model != part.base or not _has_part(method):
        if method.weighted:
            found = part.setting(_WEIGHT, source)
            weight = 1.0 if found is None else checked(found, _number, f"{where}: weight of {source.model}")
        said = [parameter for parameter in own if parameter.name in source.parameters]
        settings = {parameter.name: _setting(part, parameter, source, where) for parameter in said}
        alone = {name: value for name, value in settings.items() if value is not None}
    negative = isinstance(weight, float) and weight < 0
    written = spelled(-weight if negative else weight)  # type: ignore[operator]  # only a number is negative
    return f" {'-' if negative else '+'} {written}*{names[source.model]}{spelled_pairs(alone) if alone else ''}"


def _has_part(method: Method) -> bool:
    return isinstance(method.how, Arithmetic) and method.how.base != "ignored"


def _setting(part: Slice, parameter: Parameter, source: Source | None, where: str) -> Setting | None:
    """What the configuration says of a parameter; of tensors that it says nothing of, the default."""
    if not parameter.each and any(parameter.name in each.parameters for each in part.sources):
        raise UsageError(
            f"{where}: {parameter.name} stands beside one model, and is one for all of them",
            hint="mergekit does not look there: put it under parameters of the whole",
        )
    found = part.setting(parameter.name, source, parameter.default)
    return None if found is None else checked(found, parameter.check, f"{where}: {parameter.name}")


def _number(value: object) -> float:
    try:
        return float(value)  # type: ignore[arg-type]  # what is no number is told by float itself
    except (TypeError, ValueError):
        raise UsageError(f"{value!r} is no weight", hint="a weight is a number") from None
