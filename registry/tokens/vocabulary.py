"""Whose tokens, chat template and generation config the result of a merge has: from what was asked to its recipe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sqlalchemy.orm import Session

from merging.mergekit.alignment import Alignment, TokenWish
from merging.recipes.recipe import Recipe
from merging.recipes.semantics import MERGEKIT
from merging.recipes.vocabulary import BASE, UNION, ChatTemplate, Vocabulary, check_multiple
from registry.home import Home
from registry.records.contents import FileRow, load_files
from registry.records.tables import ModelVersion
from registry.tokens.alignment import NOBODY, align
from registry.tokens.companion_files import chosen_files, companions_digest, read_companion
from registry.tokens.token_sources import Desk, is_added
from storage.checkpoints.companions import is_tokenizer
from storage.checkpoints.tensors import listed
from storage.checkpoints.tokenizer import own_tokens, read_tokenizer
from storage.errors import InputRefused, UsageError
from storage.paths import as_path

_TEMPLATE_FILES = (".jinja", ".jinja2", ".j2")
LARGEST_TEMPLATE = 1 << 20
"""Bytes of a chat template."""


@dataclass(frozen=True)
class Asked:
    """What was asked: ``base``, ``union`` or a skill's reference; None leaves it to what goes with the tokenizer.

    ``chat_template``: also a file, or a template that a recipe holds already. With the semantics of mergekit,
    ``tokens``: what is asked for single tokens, by their text; ``prefer``: the model, or ``none``, whose rows count
    where several have a token, in place of mergekit's ``base_model`` that the recipe tells.
    """

    vocabulary: str | None = None
    pad_vocabulary: int | None = None
    chat_template: str | Path | ChatTemplate | None = None
    generation_config: str | None = None
    tokens: Mapping[str, TokenWish] | None = None
    prefer: str | None = None

    @property
    def any(self) -> bool:
        """Whether anything was asked."""
        return any(value is not None for value in vars(self).values())

    def beside(self, folder: Path) -> Asked:
        """The same, with a file that is named found from ``folder``, as in a recipe file that lies there."""
        template = self.chat_template
        return (
            replace(self, chat_template=folder / template) if isinstance(template, str) and _is_file(template) else self
        )

    def over(self, other: Asked) -> Asked:
        """What is asked here, and where nothing is, what is asked there."""
        own = {name: value for name, value in vars(self).items() if value is not None}
        return replace(other, **own)


def settle(
    session: Session, home: Home, recipe: Recipe, base: ModelVersion, skills: Sequence[ModelVersion], asked: Asked
) -> Recipe:
    """The recipe with what was asked; ``skills`` in its order.

    Raises UsageError for a skill that is not merged, InputRefused or Conflict where tokenizers cannot be brought
    together.
    """
    multiple = check_multiple(asked.pad_vocabulary)
    aligns = recipe.semantics == MERGEKIT and (asked.vocabulary or multiple or asked.tokens)
    if asked.tokens and not aligns:
        raise UsageError(
            "rules for single tokens (tokens) are mergekit's, and this is not merged with its semantics",
            hint="--semantics mergekit; or leave them out: --vocabulary says what becomes of added tokens",
        )
    if not asked.any or (asked == Asked(BASE) and not aligns):
        return recipe
    desk = Desk(session, home, base, skills, recipe)
    source = desk.source(asked.vocabulary or BASE, "--vocabulary", union=True)
    owner = base if source in (BASE, UNION) else desk.by_digest[source]
    vocabulary = Vocabulary(source, multiple)
    if source not in (BASE, UNION):
        desk.check_named(owner, mixes=not aligns)
        vocabulary = replace(vocabulary, ids=desk.ids(owner))
    if aligns:
        aligned = align(desk, source, asked.tokens or {}, asked.prefer)
        vocabulary = replace(vocabulary, tokens=aligned.tokens, alignment=aligned.alignment)
    elif source == UNION:
        vocabulary = replace(vocabulary, tokens=desk.union())
    template = _template(desk, asked.chat_template, owner)
    generation = desk.source(asked.generation_config, "--generation-config") if asked.generation_config else None
    if generation in desk.by_digest:
        desk.check_generation(desk.by_digest[generation])
    generation = None if generation == (source if source != UNION else BASE) else generation
    settled = replace(
        recipe,
        vocabulary=None if vocabulary == Vocabulary() else vocabulary,
        chat_template=template,
        generation_config=generation,
    )
    if source in (BASE, UNION) and generation is None:
        return settled
    return replace(settled, files=companions_digest(files_of(session, settled, base, skills)))


def files_of(session: Session, recipe: Recipe, base: ModelVersion, skills: Sequence[ModelVersion]) -> list[FileRow]:
    """The companion files that a recipe's result is published with, as they are stored: the base's, or a skill's."""
    by_digest = {skill.digest: skill for skill in skills}
    tokenizer = recipe.vocabulary.skill if recipe.vocabulary else None
    generation = recipe.generation_config or tokenizer or BASE
    owners = [by_digest.get(each or BASE, base) for each in (tokenizer, generation)]
    files = {owner.id: load_files(session, owner.id) for owner in (base, *owners)}
    return chosen_files(files[base.id], *(files[owner.id] for owner in owners))


def as_asked(recipe: Recipe, skills: Sequence[ModelVersion]) -> Asked:
    """What would have to be asked for a recipe to say what it says."""
    names = {skill.digest: skill.reference for skill in skills}
    vocabulary = recipe.vocabulary or Vocabulary()
    generation, alignment = recipe.generation_config, vocabulary.alignment
    names[recipe.base] = BASE
    rules = alignment.rules if alignment else ()
    wishes = {rule.text: replace(rule.wish, model=names.get(rule.model or "")) for rule in rules}
    return Asked(
        None if recipe.vocabulary is None else names.get(vocabulary.source, vocabulary.source),
        vocabulary.multiple,
        recipe.chat_template,
        names.get(generation, generation) if generation else None,
        wishes or None,
        names.get(alignment.prefer or "", NOBODY) if alignment else None,
    )


def left_out(recipe: Recipe, skills: Sequence[ModelVersion]) -> list[str]:
    """What the result does not have of its skills' tokens, for a person to read."""
    vocabulary = recipe.vocabulary or Vocabulary()
    if vocabulary.alignment is not None:
        idle = _lacking(vocabulary, vocabulary.alignment, skills)
    elif vocabulary.source == UNION:
        brought = {skill for token in vocabulary.tokens for skill, _ in token.rows}
        taken = {term.skill for term in recipe.terms if not is_added(term.weight)}
        idle = [
            skill
            for skill in skills
            if (skill.attributes.get("grown") and skill.digest not in brought)
            or (skill.digest in taken and _brings(skill))
        ]
    else:
        idle = [skill for skill in skills if _brings(skill) and skill.digest != vocabulary.source]
    return [f"{_what(skill)} of {skill.reference} left out{_why(vocabulary)}" for skill in idle]


def _lacking(vocabulary: Vocabulary, alignment: Alignment, skills: Sequence[ModelVersion]) -> list[ModelVersion]:
    """The skills of whose tokens the result has not all."""
    if vocabulary.source == UNION:
        return []
    rows = {model: sum(count for *_, count in each) for model, each in alignment.rows.items()}
    own = sum(skill.attributes.get("tokens", 0) for skill in skills if skill.digest == vocabulary.source)
    common = alignment.tokens - len(vocabulary.tokens) - own
    return [
        skill
        for skill in skills
        if _brings(skill) and rows.get(skill.digest, 0) < common + skill.attributes.get("tokens", 0)
    ]


def _brings(skill: ModelVersion) -> bool:
    return bool(skill.attributes.get("grown") or skill.attributes.get("tokens"))


def _what(skill: ModelVersion) -> str:
    tokens, grown = skill.attributes.get("tokens"), skill.attributes.get("grown")
    parts = [f"{tokens} added tokens"] if tokens else []
    parts += [f"{grown[1]} added rows"] if grown else []
    return f"the {' and '.join(parts)}"


def _why(vocabulary: Vocabulary) -> str:
    if vocabulary.source == UNION:
        return ": no token of the union is made of them"
    return ": --vocabulary SKILL carries one skill's, --vocabulary union all"


def _template(desk: Desk, asked: str | Path | ChatTemplate | None, owner: ModelVersion) -> ChatTemplate | None:
    """The chat template that was asked for, None where it is the tokenizer's own."""
    if asked is None or isinstance(asked, ChatTemplate):
        return asked
    if isinstance(asked, Path) or _is_file(asked):
        return ChatTemplate("file", {"default": _read_template(as_path(asked))})
    source = desk.source(asked, "--chat-template")
    version = desk.base if source == BASE else desk.by_digest[source]
    if version.id == owner.id:
        return None
    templates = desk.templates(version)
    if source != BASE and not templates:
        raise InputRefused(
            f"--chat-template {asked}: {version.reference} has no chat template",
            hint="save it with the skill's tokenizer and register the skill again, or give a file",
        )
    return ChatTemplate(source, templates)


def _is_file(text: str) -> bool:
    return text.endswith(_TEMPLATE_FILES) or text.startswith((".", "/", "~"))


def _read_template(path: Path) -> str:
    path = path.expanduser()
    try:
        with path.open(encoding="utf-8") as file:  # it may be a pipe
            text = file.read(LARGEST_TEMPLATE + 1)
        if len(text) > LARGEST_TEMPLATE:
            raise UsageError(f"--chat-template {path}: larger than {LARGEST_TEMPLATE} bytes: not a chat template")
        return text
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--chat-template {path}: cannot be read: {error}", hint="give a Jinja template") from error


def added_tokens(home: Home, base: Sequence[FileRow], own: Sequence[FileRow]) -> tuple[list[str], str | None]:
    """(tokens that a skill's tokenizer has beside its base's, what a person should know of it)."""
    ours, theirs = ([file for file in files if is_tokenizer(file.path)] for files in (base, own))
    same = {(file.path, file.digest) for file in ours}
    if not theirs or {(file.path, file.digest) for file in theirs} <= same:
        return [], None
    try:
        one, other = (
            read_tokenizer({file.path: read_companion(home, file) for file in files}, "it") for files in (ours, theirs)
        )
        tokens = own_tokens(one, other, "it") if one and other else []
    except InputRefused as refusal:
        return [], f"its tokenizer is not the base's with tokens added: {refusal.message.removeprefix('it: ')}"
    texts = [token.text for token in tokens]
    return texts, f"its tokenizer has {len(texts)} tokens that the base's lacks: {listed(texts)}" if texts else None
