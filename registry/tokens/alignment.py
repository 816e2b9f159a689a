"""The tokens of a merge with the semantics of mergekit: which the result has, and which row of each model is theirs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from merging.mergekit.alignment import Alignment, TokenRule, TokenWish, spans
from merging.mergekit.dtypes import role_of_base
from merging.recipes.vocabulary import BASE, UNION, Token
from registry.records.tables import ModelVersion
from registry.tokens.token_sources import Desk
from storage.checkpoints.tensors import listed
from storage.checkpoints.tokenizer import FAST, FLAGS, AddedToken, Tokenizer, own_tokens
from storage.errors import InputRefused, UsageError

NOBODY = "none"
_MOST_SPANS = 1 << 16


@dataclass(frozen=True)
class Aligned:
    """``alignment``: None where it would change nothing. ``tokens``: those beside the tokenizer of the source."""

    alignment: Alignment | None
    tokens: tuple[Token, ...]


def align(desk: Desk, source: str, wishes: Mapping[str, TokenWish], prefer: str | None) -> Aligned:
    """Bring the vocabularies of a merge together. ``source``: ``base``, ``union``, or a skill's digest.

    ``prefer``: whose rows count, as it was said; None is mergekit's ``base_model``, if the merge has one.
    Raises UsageError, or InputRefused where tokenizers cannot be told or brought together.
    """
    models = _models(desk)
    first = _preferred(desk, prefer)
    if source == UNION and (start := next(iter(models.values())) if first is None else desk.version(first)):
        known, added = _united(desk, [start, *(model for model in models.values() if model.id != start.id)])
    else:
        known, added = dict(_known(desk, desk.base if source == BASE else desk.by_digest[source])), []
    for text in wishes:
        if text not in known:
            known[text] = _next(known)
            added.append(AddedToken(text, known[text], FLAGS))
    if set(known.values()) != set(range(len(known))):
        raise InputRefused(
            f"the {len(known)} tokens of the result have ids up to {max(known.values(), default=0)}, with holes: "
            "mergekit gives every token a row, and no row is nobody's",
            hint="choose another tokenizer (--vocabulary), or leave the vocabulary as it is: --semantics paper",
        )
    rows = {digest: _rows(desk, model, known) for digest, model in models.items()}
    alignment = Alignment(
        tokens=len(known),
        rows={digest: spans(each) for digest, each in sorted(rows.items())},
        rules=_rules(desk, wishes, known, rows),
        prefer=first if first in models else None,
    )
    if sum(map(len, alignment.rows.values())) > _MOST_SPANS:
        raise InputRefused(
            "the tokenizers of these models give most tokens other ids: they are not fine-tunes of one vocabulary",
            hint="leave the vocabulary as it is: --vocabulary base with --semantics paper",
        )
    base_rows = desk.rows(desk.base)[0]
    identity = base_rows is not None and not added and alignment.is_identity(base_rows)
    tokens = tuple(Token(token.text, token.id, token.flags) for token in added)
    return Aligned(None if identity else alignment, tokens)


def _models(desk: Desk) -> dict[str, ModelVersion]:
    """The models that take part, by digest, in their order."""
    recipe = desk.recipe
    if recipe.slices:
        named = [model.model for each in recipe.slices for model in each.models]
    else:
        named = [model.skill for model in recipe.lineup]
        named += [recipe.base] if role_of_base(recipe) == "base" else []
    return {digest: desk.version(digest) for digest in named}


def _preferred(desk: Desk, said: str | None) -> str | None:
    if said == NOBODY:
        return None
    if said is not None:
        return desk.digest(said, "base_model")
    recipe = desk.recipe
    role = str(recipe.parameters.get("base_model", "none")) if recipe.slices else role_of_base(recipe)
    if role == "base":
        return recipe.base
    if role == "first":
        return recipe.slices[0].models[0].model if recipe.slices else recipe.lineup[0].skill
    return None


def _known(desk: Desk, model: ModelVersion) -> Mapping[str, int]:
    """The ids of a model's tokens; the base's, where it brought no tokenizer and no rows."""
    tokenizer = _tokenizer(desk, model)
    assert tokenizer.known is not None
    return tokenizer.known


def _tokenizer(desk: Desk, model: ModelVersion) -> Tokenizer:
    found = desk.tokenizer(model)
    if found is None and model.id != desk.base.id and not model.attributes.get("grown"):
        return _tokenizer(desk, desk.base)
    if found is None or found.known is None:
        raise InputRefused(
            f"{model.reference} was registered without a {FAST}, which tells what its rows mean",
            hint="save a fast tokenizer beside its weights and register it again",
        )
    desk.refuse_beyond(model, {number: text for text, number in found.known.items()})
    return found


def _united(desk: Desk, models: list[ModelVersion]) -> tuple[dict[str, int], list[AddedToken]]:
    """The tokens of all, ids by text, and those that the base's tokenizer lacks: first what was trained into others."""
    base, start = _tokenizer(desk, desk.base), _tokenizer(desk, models[0])
    assert base.known is not None
    known, added = dict(base.known), []
    for token in (*own_tokens(base, start, models[0].reference), *_others(desk, models)):
        if token.text not in known:
            number = _next(known)
            known[token.text] = number
            added.append(AddedToken(token.text, number, token.flags))
    return known, added


def _others(desk: Desk, models: list[ModelVersion]) -> Iterator[AddedToken]:
    tokenizers = [_tokenizer(desk, model) for model in models]
    apart = {text for tokenizer in tokenizers for text in tokenizer.added}
    for tokenizer in tokenizers:
        for text, number in sorted((tokenizer.known or {}).items(), key=lambda each: each[1]):
            if text not in apart:
                yield AddedToken(text, number, FLAGS)
    for tokenizer in tokenizers:
        yield from sorted(tokenizer.added.values(), key=lambda token: token.id)


def _next(known: Mapping[str, int]) -> int:
    return max(known.values(), default=-1) + 1


def _rows(desk: Desk, model: ModelVersion, known: Mapping[str, int]) -> list[int]:
    """For each token of the result the model's row, −1 where it lacks it."""
    own, found = _known(desk, model), [-1] * len(known)
    for text, number in known.items():
        found[number] = own.get(text, -1)
    return found


def _rules(
    desk: Desk, wishes: Mapping[str, TokenWish], known: Mapping[str, int], rows: Mapping[str, list[int]]
) -> tuple[TokenRule, ...]:
    found = []
    for text, wish in wishes.items():
        digest = None if wish.model is None else desk.digest(wish.model, f"tokens: {text}")
        if digest is not None and digest not in rows:
            raise UsageError(
                f"tokens: {text!r:.60}: {wish.model!r:.60} is none of the models that are merged",
                hint=f"name one of {', '.join(desk.version(each).reference for each in rows)}",
            )
        row = 0 if digest is None else _row(desk, desk.version(digest), text, wish, rows[digest][known[text]])
        found.append(TokenRule(text, known[text], digest, row, wish.force))
    return tuple(sorted(found, key=lambda rule: rule.id))


def _row(desk: Desk, model: ModelVersion, text: str, wish: TokenWish, own: int) -> int:
    """The model's row that a rule speaks of."""
    if wish.row is not None:
        first, added = desk.rows(model)
        if first is not None and not 0 <= wish.row < first + added:
            raise UsageError(
                f"tokens: {text}: {model.reference} has no row {wish.row}",
                hint=f"its rows are 0 to {first + added - 1}",
            )
        return wish.row
    asked = wish.token if wish.token is not None else text
    found = _known(desk, model).get(asked, -1) if wish.token is not None else own
    if found < 0:
        raise UsageError(
            f"tokens: {text}: {model.reference} has no token {asked!r}",
            hint=f"its tokens are {listed(list(_known(desk, model)), 3)} and more",
        )
    return found
