"""mergekit's configurations over a store's models: each found by its content, or registered where that is asked."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from merging.mergekit import mergekit_method
from merging.mergekit.config import Config, ModelName, read_config
from merging.mergekit.translation import is_stack, stacked, translated
from merging.methods import Method
from merging.recipes.recipe_file import load_document
from merging.recipes.semantics import MERGEKIT, method_of
from merging.recipes.vocabulary import ChatTemplate
from registry.merges import Choices
from registry.records.catalog import find_model, ready_versions, resolve
from registry.records.contents import load_deltas
from registry.records.database import reading
from registry.records.lookup import versions_by_id
from registry.records.tables import ModelVersion
from registry.stacking import Stack, layer_count
from registry.tokens.alignment import NOBODY
from registry.tokens.vocabulary import Asked
from storage.checkpoints.adapter import is_adapter
from storage.checkpoints.checkpoint import open_checkpoint
from storage.checkpoints.companions import read_config as read_config_file
from storage.checkpoints.inputs import source_digest, tensor_digests
from storage.checkpoints.json_files import read_json_object
from storage.checkpoints.tensors import listed
from storage.errors import Conflict, NotFound, UsageError
from storage.pipeline import thread_count
from storage.progress import Progress

if TYPE_CHECKING:
    from registry.store import Store

_NAME = re.compile(r"[^A-Za-z0-9._-]+")
_TEMPLATES = {
    "chatml": (
        "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>'"
        " + '\n'}}{% endfor %}\n{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}\n"
    )
}
"""Chat templates that have a name in mergekit, and are anybody's: ChatML."""
_WHOLE = ("exact", "lora")
"""Encodings from which a fine-tune is rebuilt to the bit."""


@dataclass(frozen=True)
class _Known:
    """A model of the configuration in the store: the version that has its content, and that version's base."""

    version: ModelVersion
    base: ModelVersion


@dataclass(frozen=True)
class Imported:
    """What a configuration means over a store: an expression, or layers that are stacked; the choices beside it; and
    notes on what was registered.
    """

    choices: Choices
    notes: list[str]
    expression: str
    stack: Stack | None = None


def import_config(store: Store, path: Path, choices: Choices, *, register: bool, progress: Progress) -> Imported:
    """Read a configuration of mergekit, and find or register its models.

    Choices that are given count before the configuration's. Raises UsageError naming what has no equivalent, NotFound
    naming models that are not registered.
    """
    config, where = read_config(load_document(path), str(path)), str(path)
    semantics = choices.semantics or MERGEKIT
    method = mergekit_method(config.method)
    folders = {model: _folder(store, model, path.parent) for model in config.models}
    layers = _layers(folders)
    _check(config, method, layers, replace(choices, semantics=semantics), where)
    known, notes = _find(store, config, folders, register=register, progress=progress)
    base = _common_base(known, where)
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
        raise UsageError(
            f"{where}: with --semantics paper {method.name} has no parameter {odd[0]!r}",
            hint=f"leave --semantics out: the file's own is mergekit's; the paper's takes {', '.join(sorted(known))}",
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


def _folder(store: Store, model: ModelName, beside: Path) -> Path:
    """Where a model lies: a folder as it is written, or beside the configuration; else on the Hub."""
    place = model.adapter or model.path
    revision = model.adapter_revision if model.adapter else model.revision
    for folder in (Path(place), beside / place):
        if folder.exists():
            return folder
    if place.startswith((".", "/", "~")) or place.count("/") != 1:
        raise NotFound(
            f"there is no model folder {place}, as written or beside the configuration",
            hint="correct the path; a model of the Hub is owner/name",
        )
    return store.locate(f"hf:{place}@{revision}" if revision else f"hf:{place}")[0]


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


def _find(
    store: Store, config: Config, folders: Mapping[ModelName, Path], *, register: bool, progress: Progress
) -> tuple[dict[ModelName, _Known], list[str]]:
    contents = {model: _content(folder, progress) for model, folder in folders.items() if not is_adapter(folder)}
    known = {model: found for model, digest in contents.items() if (found := _with_content(store, digest))}
    missing = [model for model in config.models if model not in known]
    if missing and not register:
        raise NotFound(
            f"{len(missing)} models of the configuration are not in the store, or only in part: "
            f"{listed(list(map(str, missing)))}",
            hint="register them, whole (--encoding exact), or let the import do it: --register",
        )
    notes = []
    for model in _bases_first(config, missing):
        reference, note = _register(store, folders[model], known, progress)
        notes.append(note)
        known[model] = _named(store, reference)
    return known, notes


def _register(store: Store, folder: Path, known: Mapping[ModelName, _Known], progress: Progress) -> tuple[str, str]:
    """Register a model as a skill of the base of those that are known, or as their base; its reference, and a note."""
    if not known:
        made = store.register_base(_name_for(store, folder, "base"), folder, progress=progress)
        return f"{made.name}@{made.version}", f"registered the base {made.name}@{made.version} from {folder}"
    skill = store.register_skill(
        _name_for(store, folder, "skill"),
        folder,
        base=_common_base(known, "the configuration").reference,
        encoding=None if is_adapter(folder) else "exact",
        progress=progress,
    )
    return f"{skill.name}@{skill.version}", f"registered the skill {skill.name}@{skill.version} from {folder}"


def _bases_first(config: Config, models: list[ModelName]) -> list[ModelName]:
    """The model that the others are fine-tunes of, if it must be registered, before all others."""
    plain = [model for model in models if model.adapter is None]
    return sorted(models, key=lambda model: (model != config.base, model not in plain, models.index(model)))


def _content(folder: Path, progress: Progress) -> str:
    checkpoint = open_checkpoint(folder)
    try:
        digests = tensor_digests(checkpoint.source, thread_count(None), progress, f"look at {folder.name}", str(folder))
        return source_digest(checkpoint.source.entries, digests)
    finally:
        checkpoint.close()


def _with_content(store: Store, digest: str) -> _Known | None:
    """The newest ready version that is this model, or from which it is rebuilt to the bit."""
    with reading(store.engine) as session:
        bases = [version for version in ready_versions(session, "base") if version.digest == digest]
        if bases:
            return _Known(bases[-1], bases[-1])
        skills = {version.id: version for version in ready_versions(session, "skill")}
        deltas = load_deltas(session, skills)
        whole = {key: delta for key, delta in deltas.items() if delta.encoding in _WHOLE}
        fitting = [key for key in sorted(whole) if skills[key].attributes.get("fine_tuned") == digest]
        if not fitting:
            return None
        base = whole[fitting[-1]].base_version_id
        return _Known(skills[fitting[-1]], versions_by_id(session, [base])[base])


def _named(store: Store, reference: str) -> _Known:
    with reading(store.engine) as session:
        version = resolve(session, reference)
        delta = load_deltas(session, [version.id]).get(version.id)
        base = versions_by_id(session, [delta.base_version_id])[delta.base_version_id] if delta else version
        return _Known(version, base)


def _common_base(known: Mapping[ModelName, _Known], where: str) -> ModelVersion:
    bases = {found.base.digest: found.base for found in known.values()}
    if len(bases) > 1:
        raise Conflict(
            f"{where}: its models are fine-tunes of {len(bases)} bases: "
            f"{listed([base.reference for base in bases.values()])}",
            hint="register all of them as skills of one base, with --encoding exact",
        )
    return next(iter(bases.values()))


def _reference(found: _Known, base: ModelVersion) -> str:
    return base.reference if found.version.digest == base.digest else found.version.reference


def _name_for(store: Store, folder: Path, kind: str) -> str:
    """A name for what is registered, after its folder; of a name that has this kind already, another version."""
    wanted = _NAME.sub("-", folder.resolve().name).strip("-._") or "model"
    with reading(store.engine) as session:
        name, number = wanted, 2
        while (found := find_model(session, name)) is not None and found.kind != kind:
            name, number = f"{wanted}-{number}", number + 1
    return name


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
        return separate.read_text(encoding="utf-8").strip()
    config = folder / "tokenizer_config.json"
    text = read_json_object(config, unique=False).get("chat_template") if config.is_file() else None
    return text.strip() if isinstance(text, str) else None
