"""Examples as token ids: from texts, prompts with completions, conversations, or ids as they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from registry.collecting.examples import Example
from storage.checkpoints.tensors import listed
from storage.errors import InputRefused

_FORMS: tuple[tuple[str, ...], ...] = (("text",), ("messages",), ("prompt", "completion"), ("input_ids",))


@dataclass(frozen=True)
class Tokens:
    """Token ids of one example. The likelihood is that of those from ``scored`` on; ``label``: a class, if given."""

    ids: list[int]
    where: str
    scored: int = 0
    label: int | None = None


@dataclass(frozen=True)
class Tokenizing:
    """How examples become tokens: ``tokenizer`` as transformers has it, or None; no id reaches ``vocabulary``."""

    tokenizer: Any
    length: int
    vocabulary: int
    text_field: str | None = None

    def tokens(self, example: Example) -> Tokens:
        """The tokens of an example, cut at ``length``. Raises InputRefused naming the line that has none."""
        ids, scored = self._ids(example)
        ids = ids[: self.length]
        if not ids:
            raise InputRefused(f"{example.where}: no tokens", hint="leave such examples out")
        wrong = [each for each in ids if type(each) is not int or not 0 <= each < self.vocabulary]
        if wrong:
            raise InputRefused(f"{example.where}: {wrong[0]!r} is no token of the model's {self.vocabulary}")
        return Tokens(ids, example.where, min(scored, len(ids)), _label(example))

    def _ids(self, example: Example) -> tuple[list[int], int]:
        form = self._form(example)
        if form == ("input_ids",):
            return _given(example), 0
        if self.tokenizer is None:
            raise InputRefused(
                f"{example.where}: the model has no tokenizer that transformers can load",
                hint='register the base with its tokenizer files, or give token ids: {"input_ids": [1, 2, 3]}',
            )
        if form == ("messages",):
            return self._conversation(example), 0
        if form == ("prompt", "completion"):
            prompt = self._encoded(_text(example, "prompt"), special=True)
            return [*prompt, *self._encoded(_text(example, "completion"), special=False)], len(prompt)
        return self._encoded(_text(example, form[0]), special=True), 0

    def _form(self, example: Example) -> tuple[str, ...]:
        forms = ((self.text_field,),) if self.text_field else _FORMS
        for form in forms:
            if all(field in example.fields for field in form):
                return form
        wanted = self.text_field or "text, messages, prompt and completion, or input_ids"
        raise InputRefused(
            f"{example.where}: has the fields {listed(sorted(map(str, example.fields)))}, and not {wanted}",
            hint="name the field that holds the text with --text-field",
        )

    def _encoded(self, text: str, *, special: bool) -> list[int]:
        encoded = self.tokenizer(text, truncation=True, max_length=self.length, add_special_tokens=special)
        return list(encoded["input_ids"])

    def _conversation(self, example: Example) -> list[int]:
        try:
            text = self.tokenizer.apply_chat_template(example.fields["messages"], tokenize=False)
        except Exception as error:  # whatever the template, which came with the model, stumbles over
            raise InputRefused(
                f"{example.where}: the tokenizer's chat template refuses these messages: {error}",
                hint='write {"messages": [{"role": "user", "content": "…"}, …]}, or give whole texts instead',
            ) from error
        return self._encoded(text, special=False)


def _text(example: Example, field: str) -> str:
    value = example.fields[field]
    if not isinstance(value, str):
        raise InputRefused(f"{example.where}: {field} is {value!r:.60}, and must be a text")
    return value


def _given(example: Example) -> list[int]:
    ids = example.fields["input_ids"]
    if not isinstance(ids, list):
        raise InputRefused(f"{example.where}: input_ids must be a list of token ids")
    return ids


def _label(example: Example) -> int | None:
    fields: Mapping[str, Any] = example.fields
    label = fields.get("label")
    return label if type(label) is int else None
