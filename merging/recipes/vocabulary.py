"""What a recipe says of tokens that skills added: whose rows and tokenizer the result has, and how far it is padded.

Of the base's own rows nothing is said here: they are merged like any other tensor's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from merging.mergekit import alignment as mergekit
from merging.mergekit.alignment import Alignment
from storage.digests import is_digest
from storage.errors import UsageError

BASE, UNION = "base", "union"
LARGEST_MULTIPLE = 1 << 20
FLAGS = ("lstrip", "normalized", "rstrip", "single_word", "special")
"""What a tokenizer says of an added token beside its text and id."""
IDS = (
    *("bos_token_id", "eos_token_id", "pad_token_id", "sep_token_id", "cls_token_id", "mask_token_id", "unk_token_id"),
    *("decoder_start_token_id", "forced_bos_token_id", "forced_eos_token_id"),
)
"""The keys of config.json that name tokens."""


@dataclass(frozen=True)
class Token:
    """A token of a union, beside the base's: its id, and the rows of skills that it is made of.

    ``rows``: (skill digest, row among those that the skill added), in canonical order; none for a token in one of the
    base's own rows, which is merged like the others.
    """

    text: str
    id: int
    flags: Mapping[str, bool]
    rows: tuple[tuple[str, int], ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Its part of the recipe's JSON."""
        return {
            "text": self.text,
            "id": self.id,
            "flags": {name: self.flags[name] for name in FLAGS},
            "rows": [list(row) for row in self.rows],
        }


@dataclass(frozen=True)
class Vocabulary:
    """``source``: ``base``, ``union`` or the digest of the skill whose added rows and tokenizer the result has.

    ``tokens``: those of a union, in order of their ids. ``multiple``: the number of rows is a multiple of it.
    ``ids``: what config.json says of special tokens where the named skill's own says otherwise.
    ``alignment``: with the semantics of mergekit, how the models' rows are brought together before they are merged;
    ``tokens`` are then those that the tokenizer of the source lacks, and have no rows of their own.
    """

    source: str = BASE
    multiple: int | None = None
    tokens: tuple[Token, ...] = ()
    ids: Mapping[str, Any] = field(default_factory=dict)
    alignment: Alignment | None = None

    @property
    def rows(self) -> int | None:
        """How many rows the result has, where models are aligned."""
        return None if self.alignment is None else padded(self.alignment.tokens, self.multiple)

    @property
    def skill(self) -> str | None:
        """The digest of the skill that is named."""
        return None if self.source in (BASE, UNION) else self.source

    def to_dict(self) -> dict[str, Any]:
        """Its part of the recipe's JSON: what says something."""
        document: dict[str, Any] = {"source": self.source}
        if self.multiple is not None:
            document["multiple"] = self.multiple
        if self.source == UNION or self.tokens:
            document["tokens"] = [token.to_dict() for token in self.tokens]
        if self.ids:
            document["ids"] = dict(self.ids)
        if self.alignment is not None:
            document["alignment"] = self.alignment.to_dict()
        return document


@dataclass(frozen=True)
class ChatTemplate:
    """Chat templates by name (``default`` is the one that counts), taken from the base, a skill or a file."""

    source: str  # base, file, or a skill's digest
    templates: Mapping[str, str]

    def to_dict(self) -> dict[str, Any]:
        """Its part of the recipe's JSON."""
        return {"source": self.source, "templates": dict(self.templates)}


def check_multiple(multiple: int | None) -> int | None:
    """What the number of rows is to be a multiple of, None where that says nothing. Raises UsageError."""
    if multiple is None:
        return None
    if isinstance(multiple, bool) or not isinstance(multiple, int) or not 1 <= multiple <= LARGEST_MULTIPLE:
        raise UsageError(
            f"the vocabulary cannot be padded to a multiple of {multiple!r}",
            hint=f"choose a whole number from 1 (no padding) to {LARGEST_MULTIPLE}; 64 and 128 are usual",
        )
    return None if multiple == 1 else multiple


def padded(rows: int, multiple: int | None) -> int:
    """The number of rows after padding."""
    return -(-rows // multiple) * multiple if multiple else rows


def read_vocabulary(document: Any) -> Vocabulary:
    """From a recipe's JSON. Raises ValueError, TypeError or KeyError where it is none."""
    tokens = tuple(_read_token(token) for token in document.get("tokens", ()))
    alignment = mergekit.read_alignment(document["alignment"]) if "alignment" in document else None
    return Vocabulary(document["source"], document.get("multiple"), tokens, document.get("ids", {}), alignment)


def _read_token(document: Any) -> Token:
    rows = tuple((str(skill), int(row)) for skill, row in document["rows"])
    return Token(document["text"], document["id"], document["flags"], rows)


def read_template(document: Any) -> ChatTemplate:
    """From a recipe's JSON. Raises ValueError, TypeError or KeyError where it is none."""
    return ChatTemplate(document["source"], document["templates"])


def is_sound(vocabulary: Vocabulary, base: str, skills: list[str]) -> bool:
    """Whether a recipe over this base and these skills could say this; may raise ValueError or TypeError instead."""
    alignment = vocabulary.alignment
    ids = [token.id for token in vocabulary.tokens]
    rows = [row for token in vocabulary.tokens for row in token.rows]
    return (
        vocabulary.source in (BASE, UNION, *skills)
        and vocabulary != Vocabulary()
        and check_multiple(vocabulary.multiple) == vocabulary.multiple
        and bool(vocabulary.tokens) <= (vocabulary.source == UNION or alignment is not None)
        and (alignment is None or (mergekit.is_sound(alignment, (base, *skills)) and not rows))
        and bool(vocabulary.ids) <= (vocabulary.skill is not None)
        and set(vocabulary.ids) <= set(IDS)
        and ids == sorted(set(ids))
        and all(isinstance(token.text, str) and set(token.flags) == set(FLAGS) for token in vocabulary.tokens)
        and all(isinstance(flag, bool) for token in vocabulary.tokens for flag in token.flags.values())
        and all(skill in skills and row >= 0 for skill, row in rows)
        and all(list(token.rows) == sorted(dict(token.rows).items()) for token in vocabulary.tokens)
    )


def is_sound_template(template: ChatTemplate, skills: list[str]) -> bool:
    """Whether a recipe over these skills could say this."""
    texts = template.templates
    return template.source in (BASE, "file", *skills) and all(
        isinstance(text, str) for each in texts.items() for text in each
    )


def is_sound_source(source: object, skills: list[str]) -> bool:
    """Whether files can be taken from there: the base, or one of these skills."""
    return source == BASE or (isinstance(source, str) and is_digest(source) and source in skills)
