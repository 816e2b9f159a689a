"""What the base and the skills of a merge know of tokens: their tokenizers, chat templates and special tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy.orm import Session

from merging.recipes.recipe import Recipe
from merging.recipes.vocabulary import BASE, IDS, UNION, Token
from merging.settings import Setting, constant, varies
from registry.home import Home
from registry.records.catalog import resolve
from registry.records.contents import FileRow, load_files, load_tensors
from registry.records.names import parse_reference
from registry.records.tables import ModelVersion
from registry.tokens.companion_files import read_companion
from storage.checkpoints.companions import GENERATION, is_tokenizer
from storage.checkpoints.json_files import parse_json_object
from storage.checkpoints.tensors import listed
from storage.checkpoints.tokenizer import (
    AddedToken,
    Tokenizer,
    check_consecutive,
    own_tokens,
    read_tokenizer,
    templates_of,
)
from storage.deltas.roles import is_input_embedding
from storage.errors import Conflict, InputRefused, UsageError


class Desk:
    """A merge's base and skills with the files that they were registered with, read when they are needed."""

    def __init__(
        self, session: Session, home: Home, base: ModelVersion, skills: Sequence[ModelVersion], recipe: Recipe
    ):
        self.session, self.home, self.base, self.skills, self.recipe = session, home, base, skills, recipe
        self.by_digest = {skill.digest: skill for skill in skills}
        self._files: dict[int, list[FileRow]] = {}
        self._tokenizers: dict[int, Tokenizer | None] = {}

    def source(self, said: str, option: str, *, union: bool = False) -> str:
        """``base``, ``union`` or the digest of a skill, from what was said. Raises UsageError."""
        if said == BASE or (union and said == UNION):
            return said
        version = resolve(self.session, parse_reference(said), kinds=("skill",))
        if version.id not in {skill.id for skill in self.skills}:
            names = ", ".join(skill.reference for skill in self.skills)
            raise UsageError(
                f"{option} {said}: {version.reference} is not among the skills of this merge: {names}",
                hint=f"name one of them, or base; with weight 0 a skill brings its tokens alone (+ 0*{said})",
            )
        return version.digest

    def version(self, digest: str) -> ModelVersion:
        """The base or the skill of this digest."""
        return self.base if digest == self.base.digest else self.by_digest[digest]

    def digest(self, said: str, option: str) -> str:
        """The digest of the base or a skill, from what was said. Raises UsageError."""
        if said in (self.base.reference, self.base.digest):
            return self.base.digest
        source = self.source(said, option)
        return self.base.digest if source == BASE else source

    def read(self, version: ModelVersion, *names: str) -> dict[str, bytes]:
        """Companion files of a version by path: those that are named, or its tokenizer's."""
        if version.id not in self._files:
            self._files[version.id] = load_files(self.session, version.id)
        wanted = [each for each in self._files[version.id] if each.kind == "companion"]
        wanted = [each for each in wanted if each.path in names or (not names and is_tokenizer(each.path))]
        return {file.path: read_companion(self.home, file) for file in wanted}

    def tokenizer(self, version: ModelVersion) -> Tokenizer | None:
        """A version's tokenizer, None where it was registered without one."""
        if version.id not in self._tokenizers:
            self._tokenizers[version.id] = read_tokenizer(self.read(version), version.reference)
        return self._tokenizers[version.id]

    def templates(self, version: ModelVersion) -> dict[str, str]:
        """A version's chat templates."""
        return templates_of(self.read(version), version.reference)

    def ids(self, skill: ModelVersion) -> dict[str, Any]:
        """The special tokens of the skill's config.json that are other ones than the base's."""
        ours, theirs = (self._config(version) for version in (self.base, skill))
        return {key: theirs[key] for key in IDS if key in theirs and theirs[key] != ours.get(key)}

    def _config(self, version: ModelVersion) -> dict[str, Any]:
        data = self.read(version, "config.json").get("config.json")
        where = f"{version.reference}: config.json"
        return {} if data is None else language_part(parse_json_object(data, where, unique=False))

    def check_generation(self, skill: ModelVersion) -> None:
        """Refuse a skill that has no generation config."""
        if not self.read(skill, GENERATION):
            raise InputRefused(
                f"--generation-config: {skill.reference} was registered without a {GENERATION}",
                hint="save one beside its weights and register it again; or choose base",
            )

    def check_named(self, skill: ModelVersion, *, mixes: bool = True) -> None:
        """Refuse a tokenizer that is not there, has more tokens than rows, or whose rows others mix with theirs.

        ``mixes``: rows of the same number are merged, whatever they mean.
        """
        tokenizer = self.tokenizer(skill)
        if tokenizer is None:
            raise InputRefused(
                f"{skill.reference} was registered without tokenizer files",
                hint="save its tokenizer beside its weights and register it again; or choose --vocabulary base",
            )
        names = {number: text for text, number in (tokenizer.known or {}).items()}
        names |= {token.id: token.text for token in tokenizer.added.values()}
        self.refuse_beyond(skill, names)
        for other in self.skills if mixes else ():
            theirs = {} if other.id == skill.id else self._spare(other)
            mixed = {number: text for number, text in theirs.items() if names.get(number, text) != text}
            if mixed:
                number, text = next(iter(mixed.items()))
                raise self._mixed(number, {skill.reference: names[number], other.reference: text})

    def union(self) -> tuple[Token, ...]:
        """The tokens of all skills that are added, beside the base's."""
        base = self.tokenizer(self.base)
        if base is None:
            raise InputRefused(
                f"{self.base.reference} was registered without tokenizer files, which a union adds tokens to",
                hint="save its tokenizer beside its weights and register it again",
            )
        weights = {term.skill: term.weight for term in self.recipe.terms}
        spare: dict[int, dict[str, AddedToken]] = {}
        found: dict[str, list[tuple[str, AddedToken]]] = {}
        for skill in self.skills:
            if not is_added(weights[skill.digest]):
                continue
            first, _ = skill.attributes.get("grown") or (None, 0)
            for token in self._own(skill, base):
                if first is None or token.id < first:
                    spare.setdefault(token.id, {})[skill.reference] = token
                else:
                    found.setdefault(token.text, []).append((skill.digest, token))
        return self._numbered(base, spare, found)

    def _numbered(
        self,
        base: Tokenizer,
        spare: Mapping[int, Mapping[str, AddedToken]],
        found: Mapping[str, Sequence[tuple[str, AddedToken]]],
    ) -> tuple[Token, ...]:
        """Tokens in the base's spare rows keep their ids; those with rows of their own are counted on."""
        tokens: list[Token] = []
        for number, by_skill in spare.items():
            texts = {name: token.text for name, token in by_skill.items()}
            if len(set(texts.values())) > 1:
                raise self._mixed(number, texts)
            token = next(iter(by_skill.values()))
            if token.text in found or token.text in {each.text for each in tokens}:
                raise Conflict(
                    f"the token {token.text!r} has a row of its own in one skill, and row {number} of the base's in "
                    f"{listed(by_skill)}: the two cannot be averaged",
                    hint="take one skill's vocabulary (--vocabulary SKILL), or the base's",
                )
            tokens.append(Token(token.text, number, token.flags))
        first = next((skill.attributes["grown"][0] for skill in self.skills if skill.attributes.get("grown")), 0)
        for place, (text, owners) in enumerate(found.items()):
            rows = tuple((digest, token.id - first) for digest, token in owners)
            tokens.append(Token(text, first + place, owners[0][1].flags, rows))
        tokens.sort(key=lambda token: token.id)
        check_consecutive(base, [token.id for token in tokens])
        return tuple(tokens)

    def _own(self, skill: ModelVersion, base: Tokenizer) -> list[AddedToken]:
        tokenizer = self.tokenizer(skill)
        if tokenizer is None and skill.attributes.get("grown"):
            raise InputRefused(
                f"{skill.reference} has added rows, but was registered without tokenizer files: what they mean is "
                "not known",
                hint="save its tokenizer beside its weights and register it again; or choose --vocabulary base",
            )
        tokens = own_tokens(base, tokenizer, skill.reference) if tokenizer else []
        self.refuse_beyond(skill, {token.id: token.text for token in tokens})
        return tokens

    def _spare(self, skill: ModelVersion) -> dict[int, str]:
        """The tokens of a skill, beside the base's, that have one of the base's own rows: those are merged."""
        if not skill.attributes.get("tokens"):  # what was found when it was registered
            return {}
        base, tokenizer = self.tokenizer(self.base), self.tokenizer(skill)
        if base is None or tokenizer is None:
            return {}
        first = self.rows(skill)[0]
        known = {token.text for token in base.added.values()} | set(base.known or ())
        return {
            token.id: token.text
            for token in tokenizer.added.values()
            if token.text not in known and (first is None or token.id < first)
        }

    def rows(self, skill: ModelVersion) -> tuple[int | None, int]:
        """Rows of the base's vocabulary, as far as known, and how many the version added."""
        grown = skill.attributes.get("grown")
        if grown:
            return grown[0], grown[1]
        tables = [each for each in load_tensors(self.session, self.base.id) if is_input_embedding(each.name)]
        sizes = {each.shape[0] for each in tables if len(each.shape) == 2}
        return (next(iter(sizes)) if len(sizes) == 1 else None), 0

    def refuse_beyond(self, skill: ModelVersion, names: Mapping[int, str]) -> None:
        """Refuse a version whose tokenizer knows tokens, by id, for which it has no rows."""
        first, added = self.rows(skill)
        beyond = sorted(number for number in names if first is not None and number >= first + added)
        if beyond:
            raise InputRefused(
                f"{skill.reference}: its tokenizer knows {len(beyond)} tokens for which it has no rows: "
                f"{listed(names[number] for number in beyond)}, from id {beyond[0]} on",
                hint="resize its embeddings to its tokenizer (model.resize_token_embeddings(len(tokenizer))), save "
                "both, and register it again",
            )

    def _mixed(self, number: int, texts: Mapping[str, str]) -> Conflict:
        shown = ", ".join(f"{text!r} in {name}" for name, text in sorted(texts.items()))
        return Conflict(
            f"row {number} of the base's vocabulary, a spare one, means different tokens: {shown}; merged it would be "
            "neither",
            hint="choose --vocabulary base, which leaves such tokens out; or leave one of the skills out",
        )


def is_added(weight: Setting) -> bool:
    """Whether a skill of this weight is added to the base: one that is taken away brings no tokens to a union."""
    return varies(weight) or float(constant(weight)) > 0


def language_part(config: dict[str, Any]) -> dict[str, Any]:
    """The part of a config.json that speaks of the vocabulary: the whole, or that of the text model within it."""
    inner = config.get("text_config")
    return inner if "vocab_size" not in config and isinstance(inner, dict) else config
