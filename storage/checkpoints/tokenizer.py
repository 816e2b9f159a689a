"""Tokenizers as files: which tokens they know, and the same files with more tokens. None of them is run here."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from storage.checkpoints.json_files import parse_json_object
from storage.checkpoints.tensors import listed, quoted
from storage.errors import InputRefused, in_words

FAST, CONFIG = "tokenizer.json", "tokenizer_config.json"
SPECIAL, ADDED = "special_tokens_map.json", "added_tokens.json"
TEMPLATE, OLD_TEMPLATE, MORE_TEMPLATES = "chat_template.jinja", "chat_template.json", "additional_chat_templates"
FLAGS = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": True, "special": False}
"""What is said of an added token, and what holds where nothing is."""

Files = Mapping[str, bytes]


@dataclass(frozen=True)
class AddedToken:
    """A token beside those of the tokenizer's own vocabulary."""

    text: str
    id: int
    flags: Mapping[str, bool]


@dataclass(frozen=True)
class Tokenizer:
    """``own``: what its vocabulary is, comparable; ``known``: its tokens' ids, None where only a library could tell."""

    own: object
    known: Mapping[str, int] | None
    added: Mapping[str, AddedToken]


def read_tokenizer(files: Files, where: str) -> Tokenizer | None:
    """The tokenizer that a model's companion files describe; None where there is none.

    Raises InputRefused for files that cannot be read.
    """
    if FAST in files:
        return _read_fast(parse_json_object(files[FAST], f"{where}: {FAST}", unique=False), where)
    vocabulary = {name: data for name, data in files.items() if _is_vocabulary(name)}
    if not vocabulary:
        return None
    return Tokenizer(vocabulary, None, {token.text: token for token in _added_beside(files, where)})


def _is_vocabulary(name: str) -> bool:
    patterns = ("vocab.*", "merges.txt", "*.model", "*.spm", "*.tiktoken", "tekken.json", "bpe.codes", "dict.txt")
    return any(PurePath(name).match(pattern) for pattern in patterns)


def _read_fast(document: Mapping[str, Any], where: str) -> Tokenizer:
    try:
        model = document["model"]
        listed_pieces = isinstance(model["vocab"], list)  # Unigram: pieces with scores, their places being the ids
        known = (
            {piece[0]: place for place, piece in enumerate(model["vocab"])} if listed_pieces else dict(model["vocab"])
        )
        added = [_added(token["content"], token["id"], token) for token in document.get("added_tokens") or ()]
        merges = [
            tuple(each.split(" ")) if isinstance(each, str) else tuple(each) for each in model.get("merges") or ()
        ]
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise InputRefused(f"{where}: {FAST} is not one of the tokenizers library: {in_words(error):.100}") from error
    own = (model.get("type"), dict(known), merges)
    return Tokenizer(own, known | {token.text: token.id for token in added}, {token.text: token for token in added})


def _added_beside(files: Files, where: str) -> list[AddedToken]:
    """The added tokens of a tokenizer without tokenizer.json."""
    found: dict[str, AddedToken] = {}
    try:
        for text, number in _json(files, ADDED, where).items():
            found[text] = _added(text, number, {})
        for number, token in (_json(files, CONFIG, where).get("added_tokens_decoder") or {}).items():
            found[token["content"]] = _added(token["content"], int(number), token)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputRefused(f"{where}: its added tokens cannot be read: {in_words(error):.100}") from error
    return list(found.values())


def _added(text: Any, number: Any, said: Mapping[str, Any]) -> AddedToken:
    if not isinstance(text, str) or isinstance(number, bool) or not isinstance(number, int) or number < 0:
        raise TypeError(f"{text!r} with id {number!r} is no token")
    return AddedToken(text, number, {name: bool(said.get(name, usual)) for name, usual in FLAGS.items()})


def _json(files: Files, name: str, where: str) -> dict[str, Any]:
    return parse_json_object(files[name], f"{where}: {name}", unique=False) if name in files else {}


def own_tokens(base: Tokenizer, other: Tokenizer, where: str) -> list[AddedToken]:
    """The tokens that ``other`` has beside the base's, in order of their ids.

    Raises InputRefused where it is not the base's tokenizer with more tokens.
    """
    if (base.known is None) != (other.known is None):
        raise InputRefused(
            f"{where}: one of the base's tokenizer and its own has a {FAST}, and the other has none",
            hint="save both with the same kind of tokenizer (a fast one writes that file), and register them again",
        )
    if base.own != other.own:
        raise InputRefused(
            f"{where}: its tokenizer's own vocabulary is not the base's: tokens were trained or written into it",
            hint="only tokens added beside it (tokenizer.add_tokens) can be told apart; take this skill's tokenizer "
            "as a whole (--vocabulary SKILL), or the base's",
        )
    moved = sorted(text for text, token in base.added.items() if _id_of(other, text) != token.id)
    taken = {token.id: text for text, token in base.added.items()} | {
        number: text for text, number in (base.known or {}).items()
    }
    more = sorted((token for token in other.added.values() if token.text not in base.added), key=lambda token: token.id)
    more = [token for token in more if base.known is None or token.text not in base.known]
    moved += [taken[token.id] for token in more if token.id in taken]
    if moved:
        raise InputRefused(
            f"{where}: tokens of the base have other ids in its tokenizer, or none: {listed(dict.fromkeys(moved))}",
            hint="a fine-tune's tokenizer must keep the base's tokens: register the one that it was trained with",
        )
    return more


def _id_of(tokenizer: Tokenizer, text: str) -> int | None:
    if tokenizer.known is not None:
        return tokenizer.known.get(text)
    return tokenizer.added[text].id if text in tokenizer.added else None


def check_consecutive(base: Tokenizer, ids: Sequence[int]) -> None:
    """Refuse ids that leave holes after the base's: tokenizers give added tokens the next numbers, whatever is written.

    Raises InputRefused.
    """
    if base.known is None or not ids:
        return
    first = max(base.known.values(), default=-1) + 1
    if list(ids) != list(range(first, first + len(ids))):
        raise InputRefused(
            f"added tokens would have the ids {list(ids)[:5]}…, and the base's tokenizer counts on from {first}",
            hint="the base's embeddings have more rows than its tokenizer has tokens: take one skill's tokenizer "
            "(--vocabulary SKILL)",
        )


def with_tokens(files: Files, tokens: Sequence[AddedToken], where: str) -> dict[str, bytes]:
    """The files that change where tokens are added to the tokenizer of ``files``, by name."""
    changed: dict[str, bytes] = {}
    config = _json(files, CONFIG, where)
    said = [{"id": token.id, "content": token.text, **token.flags} for token in tokens]
    if FAST in files:
        document = _json(files, FAST, where)
        document["added_tokens"] = sorted([*(document.get("added_tokens") or ()), *said], key=lambda each: each["id"])
        changed[FAST] = _dumped(document)
    if FAST not in files or ADDED in files:
        changed[ADDED] = _dumped(_json(files, ADDED, where) | {token.text: token.id for token in tokens})
    if FAST not in files or "added_tokens_decoder" in config:
        decoder = {str(token.id): {"content": token.text, **token.flags} for token in tokens}
        config["added_tokens_decoder"] = (config.get("added_tokens_decoder") or {}) | decoder
        changed[CONFIG] = _dumped(config)
    special = [token.text for token in tokens if token.flags["special"]]
    for name in (CONFIG, SPECIAL):
        document = config if name == CONFIG else _json(files, name, where)
        for key in ("additional_special_tokens", "extra_special_tokens"):
            if special and isinstance(document.get(key), list):
                document[key] = [*document[key], *special]
                changed[name] = _dumped(document)
    return changed


def templates_of(files: Files, where: str) -> dict[str, str]:
    """Chat templates by name, ``default`` being the one that counts; none where there are none."""
    inside = _json(files, CONFIG, where).get("chat_template")
    try:
        found = {each["name"]: each["template"] for each in inside} if isinstance(inside, list) else {}
    except (KeyError, TypeError) as error:
        raise InputRefused(f"{where}: {CONFIG}: chat_template cannot be read: {in_words(error):.100}") from error
    found |= {"default": inside} if isinstance(inside, str) else {}
    old = _json(files, OLD_TEMPLATE, where).get("chat_template")
    found |= {"default": old} if isinstance(old, str) else {}
    for name in sorted(files):
        path = PurePath(name)
        if name == TEMPLATE or (path.parent.as_posix() == MORE_TEMPLATES and path.suffix == ".jinja"):
            found["default" if name == TEMPLATE else path.stem] = _text(files[name], f"{where}: {name}")
    return found


def _text(data: bytes, where: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise InputRefused(f"{where}: not UTF-8 text (byte {error.start})") from error


def with_templates(files: Files, templates: Mapping[str, str], where: str) -> tuple[dict[str, bytes], set[str]]:
    """(files that change, files that go) where a tokenizer is to have these chat templates and no others."""
    gone = {name for name in files if name in (TEMPLATE, OLD_TEMPLATE) or name.startswith(f"{MORE_TEMPLATES}/")}
    changed = {
        TEMPLATE if name == "default" else f"{MORE_TEMPLATES}/{_file_name(name)}.jinja": text.encode()
        for name, text in templates.items()
    }
    config = _json(files, CONFIG, where)
    if config.pop("chat_template", None) is not None:
        changed[CONFIG] = _dumped(config)
    return changed, gone - changed.keys()


def _file_name(name: str) -> str:
    if not name or "/" in name or name.startswith(".") or not name.isprintable():
        raise InputRefused(f"the chat template's name {quoted(name)} cannot be that of a file")
    return name


def _dumped(document: Mapping[str, Any]) -> bytes:
    return (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode()
