"""The tokenizer files of a published result, brought to what its recipe says; and what its card says of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from merging.mergekit.alignment import Alignment
from merging.recipes.recipe import Recipe
from merging.recipes.vocabulary import UNION, Vocabulary
from registry.records.tables import ModelVersion
from registry.tokens.vocabulary import left_out
from storage.bounded import JSON, read_whole
from storage.checkpoints.companions import is_tokenizer
from storage.checkpoints.tokenizer import AddedToken, with_templates, with_tokens
from storage.files import disk_errors


def adapt_tokenizer(folder: Path, names: Iterable[str], recipe: Recipe) -> list[str]:
    """Write the tokens of a union, and the chat template that was chosen, into the files of a folder.

    The names of its files, ``names`` and what was added, come back.
    """
    kept = set(names)
    vocabulary, template = recipe.vocabulary or Vocabulary(), recipe.chat_template
    if vocabulary.tokens:
        tokens = [AddedToken(token.text, token.id, token.flags) for token in vocabulary.tokens]
        kept |= _write(folder, with_tokens(_read(folder, kept), tokens, str(folder)))
    if template is not None:
        changed, gone = with_templates(_read(folder, kept), template.templates, str(folder))
        kept = (kept | _write(folder, changed)) - gone
        for name in gone:
            (folder / name).unlink()
    return sorted(kept)


def _read(folder: Path, names: Iterable[str]) -> dict[str, bytes]:
    return {name: read_whole(folder / name, JSON) for name in names if is_tokenizer(name)}


def _write(folder: Path, changed: dict[str, bytes]) -> set[str]:
    for name, data in changed.items():
        with disk_errors(f"cannot write {folder / name}"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)
    return set(changed)


def vocabulary_lines(recipe: Recipe, base: ModelVersion, skills: Sequence[ModelVersion]) -> list[str]:
    """What a model card says of tokens that skills added, of the chat template and the generation config."""
    names = {skill.digest: skill.reference for skill in skills}
    vocabulary, lines = recipe.vocabulary or Vocabulary(), []
    texts = ", ".join(f"`{token.text}`" for token in vocabulary.tokens) or "none"
    if vocabulary.skill:
        lines.append(f"- vocabulary: added rows and tokenizer of `{names[vocabulary.skill]}`")
    elif vocabulary.source == UNION:
        lines.append(f"- vocabulary: the base's, and the tokens that skills added: {texts}")
    elif vocabulary.tokens:
        lines.append(f"- vocabulary: the base's, and the tokens {texts}")
    if vocabulary.alignment is not None:
        lines += _aligned_lines(vocabulary.alignment, names | {recipe.base: base.reference})
    if vocabulary.multiple:
        rows = "of the mean of all" if vocabulary.alignment is not None else "of zeros"
        lines.append(f"- vocabulary padded with rows {rows} to a multiple of {vocabulary.multiple}")
    if recipe.chat_template:
        lines.append(f"- chat template: from {_whose(recipe.chat_template.source, names)}")
    if recipe.generation_config:
        lines.append(f"- generation config: from {_whose(recipe.generation_config, names)}")
    return lines + [f"- not in it: {note}" for note in left_out(recipe, skills)]


def _aligned_lines(alignment: Alignment, names: dict[str, str]) -> list[str]:
    prefer = f"`{names[alignment.prefer]}` if that has it, else " if alignment.prefer else ""
    lines = [
        f"- vocabulary brought together as mergekit does: {alignment.tokens} tokens; the row of one that a model lacks "
        f"is that of {prefer}the models that have it, averaged"
    ]
    for rule in alignment.rules:
        row = f"row {rule.row} of `{names[rule.model]}`" if rule.model else "zeros"
        lines.append(f"- token `{rule.text}`: {row}{' for all models' if rule.force else ', for models that lack it'}")
    return lines


def _whose(source: str, names: dict[str, str]) -> str:
    return f"`{names[source]}`" if source in names else f"the {source}" if source == "base" else f"a {source}"
