"""mergekit's configurations: read, checked key by key, and brought to one form. Nothing that they say is ignored.

As mergekit 0.1.5 reads them: ``models`` are one slice of all layers; parameters are looked for with the source first,
then the slice, the module, and the whole; a filter fits where it stands anywhere in a tensor's name.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from merging.mergekit.alignment import TokenWish
from merging.settings import Setting
from storage.errors import UsageError

Parameters = Mapping[str, Any]

_TOP = (
    "merge_method", "base_model", "models", "slices", "modules", "parameters", "dtype", "out_dtype",
    "tokenizer_source", "tokenizer", "chat_template",
)  # fmt: skip
_MODULE = ("models", "slices", "parameters")
_SLICE = ("sources", "base_model", "parameters")
_SOURCE = ("model", "layer_range", "parameters")
_MODEL = ("model", "parameters")
_TOKENIZER = ("source", "tokens", "pad_to_multiple_of")
_TOKEN = ("source", "force")
_UNUSED = {"residual_weight": "mergekit reads it and does nothing with it: leave it out"}


@dataclass(frozen=True)
class ModelName:
    """A model as mergekit names it: a folder or a Hub repository, and perhaps an adapter on it."""

    path: str
    revision: str | None = None
    adapter: str | None = None
    adapter_revision: str | None = None

    def __str__(self) -> str:
        own = f"{self.path}@{self.revision}" if self.revision else self.path
        on_it = f"{self.adapter}@{self.adapter_revision}" if self.adapter_revision else self.adapter
        return f"{own}+{on_it}" if on_it else own

    @property
    def plain(self) -> ModelName:
        """The model without its adapter."""
        return ModelName(self.path, self.revision)


@dataclass(frozen=True)
class Source:
    """A model's part in a slice: its layers from ``first`` on; of all layers where ``first`` is None."""

    model: ModelName
    first: int | None = None
    last: int | None = None
    parameters: Parameters = field(default_factory=dict)


@dataclass(frozen=True)
class Slice:
    """Layers of the result that are merged of the same models."""

    sources: tuple[Source, ...]
    base: ModelName | None
    parameters: tuple[Parameters, ...]  # those that stand first count first

    def setting(self, name: str, source: Source | None = None, default: Any = None) -> Setting | None:
        """What is said of a parameter, for one source or for all, and ``default`` of tensors that this says nothing of.

        None where nothing is said at all. Raises UsageError where something is said of some tensors only, and there is
        no default.
        """
        levels = (source.parameters, *self.parameters) if source else self.parameters
        return _chained(levels, name, default)


@dataclass(frozen=True)
class Tokenizer:
    """Which tokens the result has: ``source`` base, union or a model; rules for tokens by their text."""

    source: str | ModelName
    tokens: Mapping[str, TokenWish] = field(default_factory=dict)
    pad: int | None = None


@dataclass(frozen=True)
class Config:
    """A configuration. ``models``: every model that is named, the base first, in the order of the text."""

    method: str
    base: ModelName | None
    slices: tuple[Slice, ...]
    models: tuple[ModelName, ...]
    parameters: frozenset[str]  # the names of all parameters, wherever they stand
    dtype: str | None = None
    out_dtype: str | None = None
    tokenizer: Tokenizer | None = None
    chat_template: str | None = None


def read_config(document: Any, where: str) -> Config:
    """Read a configuration. Raises UsageError naming ``where`` and what is wrong, or what has no equivalent here."""
    content = _mapping(document, where, _TOP)
    if "merge_method" not in content:
        raise UsageError(f"{where}: merge_method is missing", hint="is this a mergekit configuration?")
    base = _optional_model(content, where)
    slices = _slices(content, where, base)
    named = [base] if base else []
    for each in slices:
        named += [*([each.base] if each.base else []), *(source.model for source in each.sources)]
    tokenizer = _tokenizer(content, where)
    if tokenizer and isinstance(tokenizer.source, ModelName):
        named.append(tokenizer.source)
    merged = {str(model) for model in named}
    for text, wish in tokenizer.tokens.items() if tokenizer else ():
        if wish.model is not None and wish.model not in merged:
            raise UsageError(
                f"{where}: tokenizer.tokens.{text!r:.60}: {wish.model!r:.60} is none of the models that are merged",
                hint=f"name one of {', '.join(sorted(merged))}",
            )
    levels = [level for each in slices for level in (*each.parameters, *(one.parameters for one in each.sources))]
    return Config(
        method=_text(content["merge_method"], where, "merge_method"),
        base=base,
        slices=slices,
        models=tuple(dict.fromkeys(named)),
        parameters=frozenset(name for level in levels for name in level),
        dtype=_dtype(content, where, "dtype"),
        out_dtype=_dtype(content, where, "out_dtype"),
        tokenizer=tokenizer,
        chat_template=_text(content["chat_template"], where, "chat_template") if content.get("chat_template") else None,
    )


def read_model(value: Any, where: str) -> ModelName:
    """A model as mergekit names it: ``path[@revision][+adapter[@revision]]``, or a table of these."""
    if isinstance(value, str) and value.strip():
        parts = value.strip().split("+")
        if len(parts) <= 2 and all(part.count("@") <= 1 and part for part in parts):
            path, _, revision = parts[0].partition("@")
            adapter, _, adapter_revision = (parts[1] if len(parts) == 2 else "").partition("@")
            return ModelName(path, revision or None, adapter or None, adapter_revision or None)
    if isinstance(value, Mapping) and set(value) <= {"model", "lora"} and "model" in value:
        adapter = _path(value.get("lora"))
        return read_model(f"{_path(value['model'])}+{adapter}" if adapter else _path(value["model"]), where)
    raise UsageError(f"{where}: {value!r} names no model", hint="write PATH, ORGANISATION/NAME or MODEL+ADAPTER")


def _path(value: Any) -> Any:
    if isinstance(value, Mapping) and "path" in value:
        return f"{value['path']}@{value['revision']}" if value.get("revision") else value["path"]
    return value


def _slices(content: Mapping[str, Any], where: str, base: ModelName | None) -> tuple[Slice, ...]:
    whole = _parameters(content, where)
    given = [key for key in ("models", "slices", "modules") if content.get(key)]
    if len(given) != 1:
        raise UsageError(f"{where}: exactly one of models, slices and modules must be there, found {given or 'none'}")
    if given == ["modules"]:
        modules = _mapping(content["modules"], f"{where}: modules", None)
        if len(modules) != 1:
            raise UsageError(
                f"{where}: {len(modules)} modules ({', '.join(map(str, modules))}) have no equivalent",
                hint="models of one module can be imported; of several, merge each on its own",
            )
        name = next(iter(modules))
        module = _mapping(modules[name], f"{where}: modules.{name}", _MODULE)
        inner = _parameters(module, f"{where}: modules.{name}")
        return _of_module(module, f"{where}: modules.{name}", base, (inner, whole))
    return _of_module(content, where, base, (whole,))


def _of_module(
    content: Mapping[str, Any], where: str, base: ModelName | None, levels: tuple[Parameters, ...]
) -> tuple[Slice, ...]:
    if bool(content.get("models")) == bool(content.get("slices")):
        raise UsageError(f"{where}: exactly one of models and slices must be there")
    if content.get("models"):
        models = _list(content["models"], f"{where}: models")
        sources = tuple(_source(each, f"{where}: models[{place}]", _MODEL) for place, each in enumerate(models))
        return (_with_base(Slice(sources, base, levels)),)
    slices = _list(content["slices"], f"{where}: slices")
    return tuple(_slice(each, f"{where}: slices[{place}]", base, levels) for place, each in enumerate(slices))


def _with_base(part: Slice) -> Slice:
    """A base that is none of the models is one more of them, and the last."""
    if part.base is None or any(source.model == part.base for source in part.sources):
        return part
    return Slice((*part.sources, Source(part.base)), part.base, part.parameters)


def _slice(value: Any, where: str, base: ModelName | None, levels: tuple[Parameters, ...]) -> Slice:
    content = _mapping(value, where, _SLICE)
    sources = tuple(
        _source(each, f"{where}.sources[{place}]", _SOURCE)
        for place, each in enumerate(_list(content.get("sources"), f"{where}.sources"))
    )
    lengths = {(source.last or 0) - (source.first or 0) for source in sources}
    if len(lengths) > 1:
        raise UsageError(
            f"{where}: its sources have {' and '.join(map(str, sorted(lengths)))} layers; all need as many"
        )
    return Slice(sources, _optional_model(content, where) or base, (_parameters(content, where), *levels))


def _source(value: Any, where: str, keys: tuple[str, ...]) -> Source:
    content = _mapping(value, where, keys)
    if "model" not in content:
        raise UsageError(f"{where} names no model", hint="model: PATH or ORGANISATION/NAME")
    first = last = None
    if "layer_range" in keys:
        first, last = _layer_range(content.get("layer_range"), where)
    return Source(read_model(content["model"], where), first, last, _parameters(content, where))


def _layer_range(bounds: Any, where: str) -> tuple[int, int]:
    if isinstance(bounds, list) and len(bounds) == 2 and all(type(each) is int for each in bounds):
        first, last = bounds
        if 0 <= first < last:
            return first, last
    raise UsageError(f"{where}: layer_range must be two numbers, the first layer and the end, found {bounds!r}")


def _tokenizer(content: Mapping[str, Any], where: str) -> Tokenizer | None:
    source, said = content.get("tokenizer_source"), content.get("tokenizer")
    if source is not None and said is not None:
        raise UsageError(f"{where}: tokenizer_source and tokenizer say the same", hint="keep one of them")
    if source is not None:
        return Tokenizer(_token_source(source, where))
    if said is None:
        return None
    inner = _mapping(said, f"{where}: tokenizer", _TOKENIZER)
    pad = inner.get("pad_to_multiple_of")
    if pad is not None and (type(pad) is not int or pad < 1):
        raise UsageError(f"{where}: tokenizer.pad_to_multiple_of must be a number of at least 1, found {pad!r}")
    wishes = read_wishes(inner.get("tokens") or {}, f"{where}: tokenizer.tokens")
    return Tokenizer(_token_source(inner.get("source", "union"), where), wishes, pad)


def read_wishes(value: Any, where: str) -> dict[str, TokenWish]:
    """Rules for tokens by their text, with models as they are named. Raises UsageError naming ``where``."""
    found = {}
    for text, said in _mapping(value, where, None).items():
        inner, place = _mapping(said, f"{where}.{text}", _TOKEN), f"{where}.{text}"
        force = inner.get("force", False)
        if not isinstance(force, bool):
            raise UsageError(f"{place}: force must be true or false, found {force!r}")
        found[text] = replace(_wish(inner.get("source"), place), force=force)
    return found


def _wish(source: Any, where: str) -> TokenWish:
    kind = source.get("kind") if isinstance(source, Mapping) else None
    if kind == "zero":
        _mapping(source, f"{where}: source", ("kind",))
        return TokenWish()
    if kind == "model_token":
        inner = _mapping(source, f"{where}: source", ("kind", "model", "token", "token_id"))
        token, row = inner.get("token"), inner.get("token_id")
        fine = (isinstance(token, str) and row is None) or (token is None and type(row) is int and row >= 0)
        if not fine:
            raise UsageError(f"{where}: source needs either token, a text, or token_id, a number of at least 0")
        return TokenWish(str(read_model(inner.get("model"), f"{where}: source")), token, row)
    if isinstance(source, str) or (isinstance(source, Mapping) and "model" in source and kind is None):
        return TokenWish(str(read_model(source, f"{where}: source")))
    raise UsageError(
        f"{where}: source {source!r} says no row",
        hint="write a model, {kind: zero}, or {kind: model_token, model: MODEL, token: TEXT} (or token_id: NUMBER)",
    )


def _token_source(value: Any, where: str) -> str | ModelName:
    return value if value in ("union", "base") else read_model(value, f"{where}: tokenizer")


def _chained(levels: Iterable[Parameters], name: str, default: Any) -> Setting | None:
    """The levels of a parameter as one setting: what a level does not say of a tensor, the next one says."""
    choices: list[dict[str, Any]] = []
    for level in levels:
        for choice in _conditions(level.get(name)):
            pattern = choice.get("filter")
            if pattern in (None, "*"):
                return [*choices, {"value": choice["value"]}] if choices else choice["value"]
            # mergekit compares letter by letter, and no tensor's name holds these.
            if not set(pattern) & set("*?["):
                choices.append({"filter": pattern, "value": choice["value"]})
    if choices and default is None:
        raise UsageError(
            f"{name}: nothing is said of tensors that no filter fits", hint="end with a value for all others"
        )
    return [*choices, {"value": default}] if choices else None


def _conditions(setting: Any) -> list[dict[str, Any]]:
    if setting is None:
        return []
    if isinstance(setting, Mapping):
        return [dict(setting)]
    if isinstance(setting, list) and any(isinstance(each, Mapping) for each in setting):
        return [dict(each) if isinstance(each, Mapping) else {} for each in setting]  # {}: a choice that is none
    return [{"value": setting}]


def _parameters(content: Mapping[str, Any], where: str) -> Parameters:
    parameters = content.get("parameters") or {}
    found = _mapping(parameters, f"{where}: parameters", None)
    for name, value in found.items():
        for condition in _conditions(value):
            if "value" not in condition or set(condition) - {"value", "filter"}:
                raise UsageError(
                    f"{where}: parameters.{name} must be a value, a gradient, or choices with filter and value, "
                    f"found {value!r:.200}"
                )
    return found


def _optional_model(content: Mapping[str, Any], where: str) -> ModelName | None:
    value = content.get("base_model")
    return None if value is None else read_model(value, f"{where}: base_model")


def _dtype(content: Mapping[str, Any], where: str, key: str) -> str | None:
    names = {"float16": "F16", "bfloat16": "BF16", "float32": "F32"}
    value = content.get(key)
    if value is None:
        return None
    name = str(value).removeprefix("torch.")
    if name not in names:
        raise UsageError(f"{where}: {key} {value!r} is not known", hint=f"choose one of {', '.join(names)}")
    return names[name]


def _mapping(value: Any, where: str, keys: Sequence[str] | None) -> Mapping[str, Any]:
    if value is None:
        raise UsageError(f"{where} is empty", hint="it is a table of names and values")
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise UsageError(f"{where} must be a table of names and values, found {value!r:.60}")
    for key in value if keys is not None else ():
        if key in _UNUSED:
            raise UsageError(f"{where}: {key} has no equivalent", hint=_UNUSED[key])
        if key not in (keys or ()):
            near = difflib.get_close_matches(key, keys or (), n=1)
            raise UsageError(
                f"{where}: {key!r} is no key that can be imported",
                hint=(f"did you mean {near[0]!r}? " if near else "") + f"known are {', '.join(keys or ())}",
            )
    return value


def _list(value: Any, where: str) -> list[Any]:
    if not isinstance(value, list) or not value:
        raise UsageError(f"{where} must be a list of at least one")
    return value


def _text(value: Any, where: str, key: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise UsageError(f"{where}: {key} must be a text, found {value!r}")
    return value
