"""mergekit's configurations over a store's models: each found by its content, or registered where that is asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from merging.mergekit import mergekit_method
from merging.mergekit.config import Config, ModelName, read_config
from merging.mergekit.translation import is_stack, stacked, translated
from merging.methods import Method
from merging.recipes.document import load_document
from merging.recipes.semantics import MERGEKIT, method_of
from merging.recipes.vocabulary import ChatTemplate
from registry.imports.models import (
    Known,
    check_plain,
    common_base,
    find_folder,
    find_models,
    register_missing,
    telling,
    with_plain,
)
from registry.imports.rehearsal import check_rules, rehearse
from registry.imports.stacking import Stack, layer_count
from registry.records.tables import ModelVersion
from registry.resolved import Choices
from registry.tokens.alignment import NOBODY
from registry.tokens.vocabulary import LARGEST_TEMPLATE, Asked
from storage.bounded import read_whole
from storage.checkpoints.adapter import is_adapter
from storage.checkpoints.companions import read_config as read_config_file
from storage.checkpoints.json_files import read_json_object
from storage.checkpoints.tensors import listed
from storage.errors import UsageError
from storage.progress import Progress

if TYPE_CHECKING:
    from registry.verbs.registering import Registering

_TEMPLATES = {
    "chatml": (
        "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>'"
        " + '\n'}}{% endfor %}\n{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}\n"
    )
}
"""Chat templates that have a name in mergekit, and are anybody's: ChatML."""


@dataclass(frozen=True)
class Imported:
    """What a configuration means over a store: an expression, or layers that are stacked; the choices beside it; and
    notes on what was registered.
    """

    choices: Choices
    notes: list[str]
    expression: str
    stack: Stack | None = None


def import_config(store: Registering, path: Path, choices: Choices, *, register: bool, progress: Progress) -> Imported:
    """Read a configuration of mergekit, and find or register its models.

    Choices that are given count before the configuration's. Raises UsageError naming what has no equivalent, NotFound
    naming models that are not registered.
    """
    config, where = read_config(load_document(path), str(path)), str(path)
    semantics = choices.semantics or MERGEKIT
    method = _method(config, where)
    folders = {model: find_folder(store, model, path.parent) for model in with_plain(config)}
    layers = _layers(folders)
    _check(config, method, layers, replace(choices, semantics=semantics), where)
    models = find_models(store, config, folders, progress)
    if models.missing and not register:
        raise models.not_found(where)
    if not is_stack(config, layers):
        rehearse(config, method, semantics, models.first_base(config, where), where)
    check_rules(config, folders, where)
    check_plain(config, models, where)
    known, notes = register_missing(store, config, models, folders, progress, where)
    with telling(notes):
        return _imported(config, method, replace(choices, semantics=semantics), known, folders, layers, notes, where)


def _imported(
    config: Config,
    method: Method,
    choices: Choices,
    known: Mapping[ModelName, Known],
    folders: Mapping[ModelName, Path],
    layers: int | None,
    notes: list[str],
    where: str,
) -> Imported:
    """A configuration over models that are registered, all of them."""
    base, semantics = common_base(known, where), choices.semantics or MERGEKIT
    names = {model: _reference(found, base) for model, found in known.items()}
    said = Choices(
        method=config.method,
        parameters=choices.parameters,
        head=choices.head,
        dtype=choices.dtype or config.out_dtype,
        semantics=semantics,
        vocabulary=choices.vocabulary.over(_tokens(config, names, base, folders)),
    )
    if is_stack(config, layers):
        digests = {model: found.version.digest for model, found in known.items()}
        slices, whole = stacked(config, method, digests, where)
        skills = tuple(found.version for found in known.values() if found.version.kind == "skill")
        return Imported(said, notes, _told(config, names), Stack(base, skills, slices, whole))
    translation = translated(config, method, base.reference, names, where)
    parameters: dict[str, Any] = dict(translation.parameters)
    if semantics != MERGEKIT:
        parameters = _of_papers(parameters, method_of(semantics, config.method), where)
    return Imported(
        replace(said, parameters={**parameters, **(choices.parameters or {})}), notes, translation.expression
    )


def _method(config: Config, where: str) -> Method:
    try:
        return mergekit_method(config.method)
    except UsageError as error:
        raise UsageError(f"{where}: {error.message}", hint=error.hint) from error


def _check(config: Config, method: Method, layers: int | None, choices: Choices, where: str) -> None:
    """Refuse what has no equivalent, before anything is registered."""
    names = {model: str(model) for model in config.models}
    if is_stack(config, layers):
        _check_stack(config, layers, choices, where)
        stacked(config, method, names, where)
    else:
        own = method_of(choices.semantics or MERGEKIT, config.method)
        found = translated(config, method, "", names, where)
        if choices.semantics != MERGEKIT:
            asked = {name: value for name, value in found.parameters.items() if name != "base_model"}  # not known yet
            _of_papers(asked, own, where)
    _check_tokens(config, choices, where)
    said = config.chat_template
    if choices.vocabulary.chat_template is None and said not in (None, "auto", *_TEMPLATES) and "{" not in (said or ""):
        raise UsageError(
            f"{where}: chat_template {said!r} is neither auto, {', '.join(_TEMPLATES)}, nor a Jinja template",
            hint="of mergekit's other names save the template in a file, and choose it with --chat-template FILE.jinja",
        )


def _of_papers(given: Mapping[str, Any], method: Method, where: str) -> dict[str, Any]:
    """Parameters of mergekit's in the papers' words, without those that change no bit. Raises UsageError."""
    known = {parameter.name for parameter in method.parameters}
    parameters = {name: value for name, value in given.items() if name not in ("compute_dtype", "int8_mask")}
    if "normalize" in parameters and "normalize" not in known and "divisor" in known:
        if parameters.pop("normalize") is not True:
            raise UsageError(
                f"{where}: with --semantics paper {method.name} always divides what agrees, and normalize is not true",
                hint="leave --semantics out: the file's own is mergekit's; or leave normalize out",
            )
        parameters["divisor"] = "weights"
    if odd := sorted(parameters.keys() - known):
        takes = ", ".join(sorted(known)) or "none"
        raise UsageError(
            f"{where}: with --semantics paper {method.name} has no parameter {odd[0]!r}",
            hint=f"leave --semantics out: the file's own is mergekit's; the paper's takes {takes}",
        )
    return parameters


def _check_tokens(config: Config, choices: Choices, where: str) -> None:
    if config.tokenizer is None:
        return
    if config.tokenizer.tokens and choices.semantics != MERGEKIT:
        raise UsageError(
            f"{where}: tokenizer.tokens has rules for single tokens ({listed(sorted(config.tokenizer.tokens), 3)}), "
            "which are merged with --semantics mergekit only",
            hint="leave them out: --vocabulary says what becomes of added tokens (docs/vocabulary.md)",
        )
    if any(part.base != config.base for part in config.slices):
        raise UsageError(
            f"{where}: a slice has a base_model of its own, and the tokenizer is brought together with one for all",
            hint="write one base_model for the whole, or leave the tokenizer out",
        )


def _check_stack(config: Config, layers: int | None, choices: Choices, where: str) -> None:
    for source in (source for each in config.slices for source in each.sources):
        if layers is not None and (source.last or 0) > layers:
            raise UsageError(
                f"{where}: layer_range [{source.first}, {source.last}] of {source.model}: it has {layers} layers",
                hint="the second number is the end, one more than the last layer",
            )
    if choices.semantics != MERGEKIT:
        raise UsageError(f"{where}: layers are stacked with --semantics mergekit only")
    if choices.head is not None or choices.parameters:
        raise UsageError(f"{where}: a stack of layers takes neither --head nor --param: the file says it all")


def _told(config: Config, names: Mapping[ModelName, str]) -> str:
    """A stack in words."""
    parts = (
        " with ".join(
            f"layers {source.first} to {(source.last or 1) - 1} of {names[source.model]}" for source in each.sources
        )
        for each in config.slices
    )
    return "; ".join(parts)


def _layers(folders: Mapping[ModelName, Path]) -> int | None:
    """How many layers the models have, as their configurations say."""
    for folder in folders.values():
        config = read_config_file(folder) if folder.is_dir() and not is_adapter(folder) else None
        found = layer_count(config) if config is not None else None
        if found is not None:
            return found
    return None


def _reference(found: Known, base: ModelVersion) -> str:
    return base.reference if found.version.digest == base.digest else found.version.reference


def _tokens(
    config: Config, names: Mapping[ModelName, str], base: ModelVersion, folders: Mapping[ModelName, Path]
) -> Asked:
    """Whose tokens the result has."""
    said, template = config.tokenizer, _template(config, names, base, folders)
    if said is None:
        return Asked(chat_template=template)
    own = {str(model): name for model, name in names.items()}
    source = said.source if isinstance(said.source, str) else names[said.source]
    if source == "base":  # the tokenizer of base_model, else of the first model
        source = names[config.base or config.models[0]]
    return Asked(
        "base" if source == base.reference else source,
        said.pad,
        template,
        tokens={text: replace(wish, model=own.get(wish.model or "")) for text, wish in said.tokens.items()} or None,
        prefer=names[config.base] if config.base else NOBODY,
    )


def _template(
    config: Config, names: Mapping[ModelName, str], base: ModelVersion, folders: Mapping[ModelName, Path]
) -> str | ChatTemplate | None:
    said = config.chat_template
    if said is None:
        return None
    if said != "auto":
        return ChatTemplate("file", {"default": _TEMPLATES.get(said, said)})
    found = {model: text for model, folder in folders.items() if (text := _own_template(folder)) is not None}
    if not found:
        return None
    most = Counter(found.values()).most_common(1)[0][0]
    chosen = next(names[model] for model, text in found.items() if text == most)
    return "base" if chosen == base.reference else chosen


def _own_template(folder: Path) -> str | None:
    separate = folder / "chat_template.jinja"
    if separate.is_file():
        return read_whole(separate, LARGEST_TEMPLATE).decode().replace("\r\n", "\n").strip()
    config = folder / "tokenizer_config.json"
    text = read_json_object(config, unique=False).get("chat_template") if config.is_file() else None
    return text.strip() if isinstance(text, str) else None
