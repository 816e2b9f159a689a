"""Log-likelihoods to be differentiated: of labels that the model draws itself, of every class, or of the data's own.

The Fisher information is the expectation over the model's own labels. Labels of the data give another matrix, the
"empirical Fisher", which people use as well: Kunstner et al. 2019, https://arxiv.org/abs/1905.12558.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from registry.collecting.running import Running, told
from registry.collecting.tokens import Tokens
from storage.errors import InputRefused, UsageError

if TYPE_CHECKING:
    from torch import Generator, Tensor

FEW_CLASSES = 16
"""So many are gone through one by one, exactly; of more, one is drawn."""
_MASKED = 0.15
"""Share of the tokens that a masked language model is asked for."""

Terms = list[tuple[float, "Tensor"]]
"""Log-likelihoods with weights: F is the weighted sum of their squared gradients."""


def generator(seed: int, index: int) -> Generator:
    """Random numbers of one example, whatever came before it."""
    import torch

    key = hashlib.sha256(b"mergestore/labels/1\0" + seed.to_bytes(8, "little") + index.to_bytes(8, "little")).digest()
    return torch.Generator().manual_seed(int.from_bytes(key[:8], "little") >> 1)


def of_logits(logits: Tensor, labels: str, given: list[int] | None, random: Generator | None) -> Terms:
    """From logits (positions, classes), of which every position has a label of its own."""
    chances = logits.float().log_softmax(-1)
    if labels == "expected":
        weights = chances.detach().double().exp()
        return [(float(weights[0, each]), chances[0, each]) for each in range(chances.shape[-1])]
    if labels == "sampled":
        import torch

        chosen = torch.multinomial(chances.detach().exp().cpu(), 1, generator=random).to(chances.device)
    else:
        chosen = chances.new_tensor(given or [], dtype=int).reshape(-1, 1)  # type: ignore[arg-type]
    return [(1.0, chances.gather(-1, chosen).sum())]


def check_expected(positions: int, labels: str) -> None:
    """Raise UsageError where every class would have to be gone through at more than one position."""
    if labels == "expected" and positions != 1:
        raise UsageError(
            "labels expected is for one label an example, as classifiers have it",
            hint="take --labels sampled, which has the same expectation",
        )


@dataclass(frozen=True)
class Likelihood:
    """How a transformers model's output becomes log-likelihoods: its task, and the settings that have an effect."""

    running: Running
    labels: str
    seed: int | None

    def terms(self, tokens: Tokens, index: int) -> Terms:
        """The log-likelihoods of the ``index``-th example. Raises InputRefused where it has none."""
        return _TERMS[self.running.task](self, tokens, None if self.seed is None else generator(self.seed, index))

    def logits(self, ids: list[int], where: str) -> Tensor:
        """What the model makes of token ids, without the axis of the batch."""
        import torch

        device = next(self.running.model.parameters()).device
        asked = torch.tensor([ids], device=device)
        with told(where, str(device)):
            found: Tensor = self.running.model(input_ids=asked, attention_mask=torch.ones_like(asked)).logits[0]
        return found


def choose_labels(running: Running, chosen: str | None) -> str:
    """The labels that a model's Fisher information is taken over. Raises for a model without probabilities."""
    if running.task == "none":
        raise InputRefused(
            f"{running.architecture} gives no probabilities, and the Fisher information is of a likelihood",
            hint="register the skill from a fine-tune with its head (…ForSequenceClassification, …ForMaskedLM, "
            "…ForCausalLM), or name such a folder with --checkpoint, or collect from Python with a forward function",
        )
    config = running.model.config
    classes = int(getattr(config, "num_labels", 0)) if running.task == "classes" else 0
    if running.task == "classes":
        problem = getattr(config, "problem_type", None)
        if classes < 2 or problem in ("regression", "multi_label_classification"):
            raise InputRefused(
                f"{running.architecture} with {classes} outputs ({problem or 'regression'}) does not choose one class",
                hint="collect from Python with a forward function of your own that gives the log-likelihood",
            )
    elif chosen is not None:
        check_expected(2, chosen)
    return chosen or ("expected" if 0 < classes <= FEW_CLASSES else "sampled")


def draws(running: Running) -> bool:
    """Whether a seed has an effect whatever the labels are: on which tokens are masked."""
    return running.task == "masked"


def _causal(asked: Likelihood, tokens: Tokens, random: Generator | None) -> Terms:
    first = max(tokens.scored, 1)
    if first >= len(tokens.ids):
        raise InputRefused(
            f"{tokens.where}: no token has another before it, so there is no likelihood",
            hint="leave such examples out, or let --max-length reach beyond the prompt",
        )
    logits = asked.logits(tokens.ids, tokens.where)[first - 1 : -1]
    return of_logits(logits, asked.labels, tokens.ids[first:], random)


def _masked(asked: Likelihood, tokens: Tokens, random: Generator | None) -> Terms:
    import torch

    tokenizer = asked.running.tokenizer
    mask = getattr(tokenizer, "mask_token_id", None)
    if mask is None:
        raise InputRefused("the model's tokenizer has no mask token", hint="register the base with its tokenizer files")
    special = set(tokenizer.all_special_ids)
    places = [place for place, token in enumerate(tokens.ids) if token not in special]
    if not places:
        raise InputRefused(f"{tokens.where}: holds special tokens alone", hint="leave such examples out")
    count = max(1, round(_MASKED * len(places)))
    order = torch.randperm(len(places), generator=random)[:count].tolist()
    chosen = sorted(places[each] for each in order)
    covered = [mask if place in set(chosen) else token for place, token in enumerate(tokens.ids)]
    return of_logits(
        asked.logits(covered, tokens.where)[chosen], asked.labels, [tokens.ids[place] for place in chosen], random
    )


def _classes(asked: Likelihood, tokens: Tokens, random: Generator | None) -> Terms:
    logits = asked.logits(tokens.ids, tokens.where).reshape(1, -1)
    if asked.labels == "data" and (tokens.label is None or not 0 <= tokens.label < logits.shape[-1]):
        raise InputRefused(
            f"{tokens.where}: has no class 0 … {logits.shape[-1] - 1} in the field label",
            hint='write {"text": "…", "label": 1}, or take --labels expected, which needs none',
        )
    return of_logits(logits, asked.labels, [tokens.label or 0], random)


_TERMS: dict[str, Callable[[Likelihood, Tokens, Generator | None], Terms]] = {
    "causal": _causal,
    "masked": _masked,
    "classes": _classes,
}
