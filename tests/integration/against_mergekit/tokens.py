"""Merges of models with tokens of their own, as mergekit's configurations say it, and the models."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import transformers
from tokenizers import Tokenizer, models, pre_tokenizers

from tests.integration import grown_models
from tests.integration.against_mergekit.cases import BASE, Case, weighted
from tests.integration.against_mergekit.stacks import StackCase, _of
from tests.integration.against_mergekit.worlds import World


@dataclass(frozen=True)
class TokenCase:
    """One merge with what mergekit's ``tokenizer`` says; names of models stand for their paths there, too."""

    merge: Case | StackCase
    tokenizer: Mapping[str, Any]
    seed: None = None

    def config(self, paths: Mapping[str, str]) -> dict[str, Any]:
        """The configuration that mergekit reads."""
        return self.merge.config(paths) | {"tokenizer": _placed(self.tokenizer, paths)}


def _placed(said: Any, paths: Mapping[str, str]) -> Any:
    """What is said, with paths for names; ``base`` as the source of a tokenizer is a word of mergekit's."""
    if isinstance(said, Mapping):
        return {
            key: value if (key, value) == ("source", "base") else _placed(value, paths) for key, value in said.items()
        }
    return paths.get(said, said) if isinstance(said, str) else said


RULES = {
    "<tool>": {"source": "ft1", "force": True},
    "alpha": {"source": {"kind": "model_token", "model": "ft0", "token": "sun"}},
    "beta": {"source": {"kind": "model_token", "model": BASE, "token_id": 3}, "force": True},
    "red": {"source": "ft2"},
    "blue": {"source": {"kind": "zero"}},
    "moon": {"source": {"kind": "model_token", "model": "ft1", "token_id": 21}, "force": False},
}
UNION: Mapping[str, Any] = {"source": "union"}
TRAINED_IN = Case("task_arithmetic", {"ft3": {"weight": 0.7}, "ft0": {"weight": 1.0}})

TOKENS = {
    "union, linear": TokenCase(Case("linear", weighted(0.3, 0.6, 0.2), base=None), UNION),
    "union, linear with the base": TokenCase(
        Case("linear", {"ft1": {"weight": 0.3}, BASE: {"weight": 0.5}, "ft0": {"weight": 0.2}}), UNION
    ),
    "union, ties": TokenCase(Case("ties", weighted(0.5, 0.3, 0.4, density=0.6)), UNION),
    "union, breadcrumbs": TokenCase(Case("breadcrumbs", weighted(0.6, 0.4, density=0.8, gamma=0.05)), UNION),
    "union, sce": TokenCase(Case("sce", {"ft0": {}, "ft1": {}}, {"select_topk": 0.4}), UNION),
    "union, padded": TokenCase(Case("task_arithmetic", weighted(0.6, 0.3)), {**UNION, "pad_to_multiple_of": 16}),
    "union, model_stock": TokenCase(Case("model_stock", {"ft0": {}, "ft1": {}, "ft2": {}}), UNION),
    "union of what was trained in": TokenCase(TRAINED_IN, UNION),
    "union, around a fine-tune": TokenCase(
        Case("task_arithmetic", {"ft1": {}, "ft0": {"weight": 0.3}, "ft2": {"weight": 0.4}}, base="ft1"), UNION
    ),
    "union, one model": TokenCase(Case("passthrough", {"ft1": {}}, base=None), UNION),
    "union in fp16": TokenCase(
        Case("linear", weighted(0.3, 0.6, 0.2), base=None, dtype="float16", out_dtype="float32"),
        {**UNION, "pad_to_multiple_of": 8},
    ),
    "base": TokenCase(Case("ties", weighted(0.5, 0.3, density=0.6)), {"source": "base"}),
    "base, padded": TokenCase(
        Case("linear", weighted(0.4, 0.3), base=None), {"source": "base", "pad_to_multiple_of": 5}
    ),
    "of one": TokenCase(Case("slerp", {"ft0": {}, "ft1": {}}, {"t": 0.3}, base="ft0"), {"source": "ft1"}),
    "of what was trained in": TokenCase(TRAINED_IN, {"source": "ft3"}),
    "rules": TokenCase(Case("task_arithmetic", weighted(0.6, 0.3, 0.2)), {**UNION, "tokens": RULES}),
    "rules, linear": TokenCase(
        Case("linear", {**weighted(0.6, 0.3, 0.2), BASE: {"weight": 0.1}}, base=None),
        {**UNION, "tokens": RULES, "pad_to_multiple_of": 32},
    ),
    "rules, of the base": TokenCase(
        Case("ties", weighted(0.6, 0.3, 0.2)),
        {"source": "base", "tokens": {"sun": {"source": "ft1", "force": True}, "red": {"source": {"kind": "zero"}}}},
    ),
    "stacked": TokenCase(StackCase("passthrough", [_of("ft0", 0, 1), _of("ft1", 0, 1)]), UNION),
    "stacked, with rules": TokenCase(
        StackCase("passthrough", [_of("ft0", 0, 1), _of("ft0", 0, 1)], base=BASE),
        {**UNION, "tokens": {"alpha": {"source": {"kind": "zero"}, "force": True}}, "pad_to_multiple_of": 3},
    ),
}  # fmt: skip
"""Over a base with a row for each of its tokens."""

SPARE = {
    name: TOKENS[name]
    for name in ("union, linear", "union, ties", "union, padded", "base", "base, padded", "union, around a fine-tune")
} | {"of one": TokenCase(Case("linear", weighted(0.3, 0.4), base=None), {"source": "ft0"})}
"""Over a base with more rows than tokens, which its fine-tunes use."""

BEYOND = {
    "a row that is none": TokenCase(
        Case("task_arithmetic", weighted(0.6, 0.3)),
        {**UNION, "tokens": {"x": {"source": {"kind": "model_token", "model": "ft0", "token_id": 20}}}},
    ),
    "a token that is none": TokenCase(
        Case("task_arithmetic", weighted(0.6, 0.3)),
        {**UNION, "tokens": {"x": {"source": {"kind": "model_token", "model": "ft0", "token": "beta"}}}},
    ),
    "a model without the token": TokenCase(
        Case("task_arithmetic", weighted(0.6, 0.3)), {**UNION, "tokens": {"beta": {"source": "ft0"}}}
    ),
    "a model of another slice": TokenCase(
        StackCase("passthrough", [_of("ft0", 0, 1), _of("ft1", 0, 1)]), {**UNION, "tokens": {"beta": {"source": "ft1"}}}
    ),
}
"""What mergekit fails on."""


@dataclass(frozen=True)
class TokenWorld(World):
    """A base and fine-tunes that added tokens. ``rows``: of the base; ``tied``: one tensor is both embeddings."""

    rows: int = grown_models.SIZE
    tied: bool = False

    def save(self) -> None:
        """Save the models."""
        network = grown_models.model(tied=self.tied, rows=self.rows, dtype=self.dtypes[BASE])
        grown_models.save(self.path(BASE), network, grown_models.tokenizer())
        for number, (name, make) in enumerate(MODELS.items()):
            if name not in self.dtypes:
                continue
            network, words = make(self.path(BASE), number)
            grown_models.save(self.path(name), network.to(self.dtypes[name]), words)


def _trained_in(base: Any, seed: int) -> tuple[Any, Any]:
    """A fine-tune whose tokenizer's own vocabulary has one word more."""
    network, words = grown_models.fine_tuned(base, seed, plain=["moon"])
    known = dict(words.get_vocab())
    inner = Tokenizer(models.WordLevel(known, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    return network, transformers.PreTrainedTokenizerFast(
        tokenizer_object=inner, unk_token="<unk>", bos_token="<s>", eos_token="</s>"
    )


MODELS: Mapping[str, Callable[[Any, int], tuple[Any, Any]]] = {
    "ft0": lambda base, seed: grown_models.fine_tuned(base, seed, special=["<tool>"], plain=["alpha"], sigma=0.05),
    "ft1": lambda base, seed: grown_models.fine_tuned(
        base, seed, plain=["beta", "<tool>", "moon"], multiple=8, sigma=0.05
    ),
    "ft2": lambda base, seed: grown_models.fine_tuned(base, seed, sigma=0.05),
    "ft3": _trained_in,
}
"""By name: (network, tokenizer) fine-tuned from the base in a folder, with a seed."""
