"""A configuration of mergekit as an expression, a method and parameters, with which a store computes the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from merging.mergekit.config import Config, ModelName, Slice, Source
from merging.mergekit.stack import LayerSlice, SliceModel
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


def translated(config: Config, method: Method, base: str, names: Mapping[ModelName, str], where: str) -> Translation:
    """A configuration of whole models over registered ones: ``base``, the reference that all are fine-tunes of, and
    theirs. Raises UsageError naming what has no equivalent.
    """
    part = config.slices[0]
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


def is_stack(config: Config, layers: int | None) -> bool:
    """Whether layers are stacked or shifted, and it is not whole models that are merged."""
    spans = {(source.first, source.last) for each in config.slices for source in each.sources}
    return len(config.slices) != 1 or not spans <= {(None, None), (0, layers)}


def stacked(
    config: Config, method: Method, digests: Mapping[ModelName, str], where: str
) -> tuple[tuple[LayerSlice, ...], dict[str, Any]]:
    """The slices of a configuration over registered models, by their digests; and the parameters of the whole.

    Raises UsageError naming what has no equivalent.
    """
    _refuse_unknown(config, method, where)
    own, shared = _split(method)
    how = method.how
    assert isinstance(how, Arithmetic)
    roles = {"none" if part.base is None else "first" for part in config.slices} if how.base != "ignored" else {None}
    if len(roles) > 1 or (how.base == "required" and roles == {"none"}):
        raise UsageError(f"{where}: every slice needs a base_model for merge_method {method.name}")
    role = roles.pop()
    whole = {"base_model": role} if role is not None else {}
    if config.dtype is not None:
        whole["compute_dtype"] = config.dtype
    slices = tuple(_layer_slice(part, method, own, shared, role, digests, where) for part in config.slices)
    taken = config.slices[-1].sources[: len(config.slices[0].sources)]
    if role == "first" and config.slices[-1].base not in [source.model for source in taken]:
        raise UsageError(
            f"{where}: of the last slice mergekit merges what stands behind the layers, but of no more models than "
            f"the first slice has, and base_model {config.slices[-1].base} is not among these",
            hint="write it first in the last slice",
        )
    return slices, whole


def _layer_slice(
    part: Slice,
    method: Method,
    own: list[Parameter],
    shared: list[Parameter],
    role: str | None,
    digests: Mapping[ModelName, str],
    where: str,
) -> LayerSlice:
    named = [source.model for source in part.sources]
    if twice := next((model for model in named if named.count(model) > 1), None):
        raise UsageError(f"{where}: {twice} stands twice in one slice", hint="give each its own slice, or its own copy")
    sources = sorted(part.sources, key=lambda source: role == "first" and source.model != part.base)
    if role == "first" and sources[0].model != part.base:
        raise UsageError(f"{where}: base_model {part.base} must be one of the sources of every slice, with its layers")
    models = []
    for source in sources:
        weight, alone = _own(source, method, own, part, where)
        models.append(SliceModel(digests[source.model], source.first or 0, weight, alone))
    settings = {each.name: _setting(part, each, None, where) for each in (*own, *shared)}
    said = {name: value for name, value in settings.items() if value is not None}
    return LayerSlice((sources[0].last or 0) - (sources[0].first or 0), tuple(models), said)


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
    """A model with its operator."""
    weight, alone = _own(source, method, own, part, where)
    negative = isinstance(weight, float) and weight < 0
    written = spelled(-weight if negative else weight)  # type: ignore[operator]  # only a number is negative
    return f" {'-' if negative else '+'} {written}*{names[source.model]}{spelled_pairs(alone) if alone else ''}"


def _own(
    source: Source, method: Method, own: list[Parameter], part: Slice, where: str
) -> tuple[Setting, dict[str, Setting]]:
    """A model's weight, and parameters of its own. mergekit's base_model has neither."""
    if source.model == part.base and _has_part(method):
        return 1.0, {}
    found = part.setting(_WEIGHT, source) if method.weighted else None
    weight: Setting = (
        1.0
        if found is None
        else checked(
            found,
            lambda value: _number(value, f"{where}: weight of {source.model}"),
            f"{where}: weight of {source.model}",
        )
    )
    said = [parameter for parameter in own if parameter.name in source.parameters]
    settings = {parameter.name: _setting(part, parameter, source, where) for parameter in said}
    return weight, {name: value for name, value in settings.items() if value is not None}


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


def _number(value: object, what: str) -> float:
    try:
        return float(value)  # type: ignore[arg-type]  # what is no number is told by float itself
    except (TypeError, ValueError):
        raise UsageError(f"{what}: {value!r} is no weight", hint="a weight is a number") from None
