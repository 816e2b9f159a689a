"""The models of a configuration: where they lie, which versions of the store they are; registering what is missing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from merging.mergekit.config import Config, ModelName
from registry.records.catalog import find_model, ready_versions, resolve
from registry.records.contents import load_deltas
from registry.records.database import reading
from registry.records.lookup import versions_by_id
from registry.records.tables import ModelVersion
from registry.registering.adapter_content import adapter_content
from storage.checkpoints.adapter import is_adapter
from storage.checkpoints.checkpoint import open_checkpoint
from storage.checkpoints.inputs import source_digest, tensor_digests
from storage.checkpoints.tensors import listed
from storage.errors import Conflict, MergestoreError, NotFound, UsageError
from storage.pipeline import thread_count
from storage.progress import Progress

if TYPE_CHECKING:
    from registry.verbs.registering import Registering

_NAME = re.compile(r"[^A-Za-z0-9._-]+")
_WHOLE = ("exact", "lora")
"""Encodings from which a fine-tune is rebuilt to the bit."""


@dataclass(frozen=True)
class Known:
    """A model of the configuration in the store: the version that has its content, and that version's base."""

    version: ModelVersion
    base: ModelVersion


@dataclass(frozen=True)
class Models:
    """Which models of a configuration the store has, and which it lacks; those that adapters lie on among them."""

    known: Mapping[ModelName, Known]
    missing: tuple[ModelName, ...]

    def not_found(self, where: str) -> NotFound:
        """The error where nothing is to be registered."""
        count = len(self.missing)
        return NotFound(
            f"{where}: {count} model{'s' if count > 1 else ''} of the configuration "
            f"{'are' if count > 1 else 'is'} not in the store, or only in part: {listed(list(map(str, self.missing)))}",
            hint="register them, whole (--encoding exact), or let the import do it: --register",
        )

    def first_base(self, config: Config, where: str) -> ModelName | None:
        """The model that all others are fine-tunes of; None where it is none of the configuration's own."""
        if not self.known:
            return _bases_first(config, self.missing)[0]
        base = common_base(self.known, where)
        return next((model for model, found in self.known.items() if found.version.digest == base.digest), None)


def with_plain(config: Config) -> tuple[ModelName, ...]:
    """The models of a configuration, and those that their adapters lie on."""
    return tuple(dict.fromkeys([*config.models, *(model.plain for model in config.models if model.adapter)]))


def find_folder(store: Registering, model: ModelName, beside: Path) -> Path:
    """Where a model lies: a folder as it is written, or beside the configuration; else on the Hub."""
    place = model.adapter or model.path
    revision = model.adapter_revision if model.adapter else model.revision
    folders = (Path(place).expanduser(), beside / place)
    for folder in folders:
        if folder.exists():
            return folder
    missing = NotFound(
        f"there is no model folder {place}, as written or beside the configuration",
        hint="correct the path; a model of the Hub is owner/name",
    )
    if place.startswith((".", "/", "~")) or place.count("/") != 1:
        raise missing
    try:
        return store.locate(f"hf:{place}@{revision}" if revision else f"hf:{place}")[0]
    except MergestoreError as error:
        # What begins with a folder that is there was meant as a path, though the Hub's names look like it.
        if any(folder.parent.is_dir() for folder in folders if folder.parent != beside):
            raise missing from error
        raise


def find_models(store: Registering, config: Config, folders: Mapping[ModelName, Path], progress: Progress) -> Models:
    """Look the models up by their content: whole ones first, adapters then among the skills of what they lie on."""
    known: dict[ModelName, Known] = {}
    for model in sorted(folders, key=lambda model: model.adapter is not None):
        if is_adapter(folders[model]):
            under = known.get(model.plain)
            found = under and _with_attribute(
                store, "adapter", adapter_content(folders[model], progress), under.version
            )
        else:
            found = _with_content(store, _content(folders[model], progress))
        if found:
            known[model] = found
    return Models(known, tuple(model for model in folders if model not in known))


def register_missing(
    store: Registering,
    config: Config,
    models: Models,
    folders: Mapping[ModelName, Path],
    progress: Progress,
    where: str,
) -> tuple[dict[ModelName, Known], list[str]]:
    """All models, those registered that were missing; and a note on each of these.

    An error names what was registered before it.
    """
    known, notes = dict(models.known), list[str]()
    with telling(notes):
        for model in _bases_first(config, models.missing):
            reference, note = _register(store, folders[model], known, progress, where)
            notes.append(note)
            known[model] = _named(store, reference)
    return known, notes


def check_plain(config: Config, models: Models, where: str) -> None:
    """Refuse an adapter on another model than the base: a skill is a delta from the base alone."""
    base = models.first_base(config, where)
    digest = common_base(models.known, where).digest if models.known else None
    for model in config.models:
        under = models.known.get(model.plain)
        if model.adapter and model.plain != base and (under is None or under.version.digest != digest):
            raise UsageError(
                f"{where}: {model} is an adapter on {model.path}, and the other models are fine-tunes of "
                f"{base or 'a base of the store'}",
                hint="merge the adapter into its model with PEFT, and name the result",
            )


def common_base(known: Mapping[ModelName, Known], where: str) -> ModelVersion:
    """The base that all models are fine-tunes of. Raises Conflict where there are several."""
    bases = {found.base.digest: found.base for found in known.values()}
    if len(bases) > 1:
        raise Conflict(
            f"{where}: its models are fine-tunes of {len(bases)} bases: "
            f"{listed([base.reference for base in bases.values()])}",
            hint="register all of them as skills of one base, with --encoding exact",
        )
    return next(iter(bases.values()))


@contextmanager
def telling(notes: list[str]) -> Iterator[None]:
    """An error within it tells what was registered before."""
    try:
        yield
    except MergestoreError as error:
        if not notes:
            raise
        hint = "; ".join(filter(None, [error.hint, *notes]))
        raise type(error)(error.message, hint=hint, details=error.details) from error


def _register(
    store: Registering, folder: Path, known: Mapping[ModelName, Known], progress: Progress, where: str
) -> tuple[str, str]:
    """Register a model as a skill of the base of those that are known, or as their base; its reference, and a note."""
    if not known:
        made = store.register_base(_name_for(store, folder), folder, progress=progress)
        return f"{made.name}@{made.version}", f"registered the base {made.name}@{made.version} from {folder}"
    skill = store.register_skill(
        _name_for(store, folder),
        folder,
        base=common_base(known, where).reference,
        encoding=None if is_adapter(folder) else "exact",
        progress=progress,
    )
    return f"{skill.name}@{skill.version}", f"registered the skill {skill.name}@{skill.version} from {folder}"


def _bases_first(config: Config, models: Iterable[ModelName]) -> list[ModelName]:
    """The model that the others are fine-tunes of, if it must be registered, before all others; adapters last."""
    under = {model.plain for model in config.models if model.adapter}
    order = list(models)
    return sorted(
        order,
        key=lambda model: (model.adapter is not None, model != config.base, model not in under, order.index(model)),
    )


def _content(folder: Path, progress: Progress) -> str:
    checkpoint = open_checkpoint(folder)
    try:
        digests = tensor_digests(checkpoint.source, thread_count(None), progress, f"look at {folder.name}", str(folder))
        return source_digest(checkpoint.source.entries, digests)
    finally:
        checkpoint.close()


def _with_content(store: Registering, digest: str) -> Known | None:
    """The newest ready version that is this model, or from which it is rebuilt to the bit."""
    with reading(store.engine) as session:
        bases = [version for version in ready_versions(session, "base") if version.digest == digest]
        if bases:
            return Known(bases[-1], bases[-1])
    return _with_attribute(store, "fine_tuned", digest, None)


def _with_attribute(store: Registering, name: str, digest: str, of: ModelVersion | None) -> Known | None:
    """The newest ready skill, kept whole, of which this is on record; of the base ``of``, or of any."""
    with reading(store.engine) as session:
        skills = {each.id: each for each in ready_versions(session, "skill") if each.attributes.get(name) == digest}
        deltas = load_deltas(session, skills)
        whole = {key: delta.base_version_id for key, delta in deltas.items() if delta.encoding in _WHOLE}
        bases = versions_by_id(session, whole.values())
        fitting = [key for key in sorted(whole) if of is None or bases[whole[key]].digest == of.digest]
        return Known(skills[fitting[-1]], bases[whole[fitting[-1]]]) if fitting else None


def _named(store: Registering, reference: str) -> Known:
    with reading(store.engine) as session:
        version = resolve(session, reference)
        delta = load_deltas(session, [version.id]).get(version.id)
        base = versions_by_id(session, [delta.base_version_id])[delta.base_version_id] if delta else version
        return Known(version, base)


def _name_for(store: Registering, folder: Path) -> str:
    """A name that is free, after the folder: what a name means already does not change."""
    wanted = _NAME.sub("-", folder.resolve().name).strip("-._") or "model"
    with reading(store.engine) as session:
        name, number = wanted, 2
        while find_model(session, name) is not None:
            name, number = f"{wanted}-{number}", number + 1
    return name
