"""How statistics are asked for, and what of it makes no sense together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storage.errors import UsageError
from storage.statistics.manifest import KINDS, Kind

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

Forward = Callable[[Any, Mapping[str, Any]], "Tensor"]
"""Of a model and an example: its log-likelihood (one number), or logits whose last axis is the classes."""

LABELS = ("sampled", "expected", "data")
MEMORY = 8_000_000_000
LENGTH = 512
BATCH = 8
_LARGEST_SEED = (1 << 53) - 1


@dataclass(frozen=True)
class Asked:
    """A wish for statistics of a skill. None leaves a choice to what the model and the data are.

    ``memory``: how many bytes of sums are held at a time; more take several passes over the data. ``save_every``: after
    how many examples what was found so far is saved. ``model`` and ``forward``: a torch module with the base's tensor
    names, and what it is run with, instead of what transformers makes of the model.
    """

    kind: Kind
    data: Path
    examples: int
    text_field: str | None = None
    max_length: int | None = None
    batch_size: int | None = None
    seed: int | None = None
    labels: str | None = None
    checkpoint: Path | None = None
    device: str = "cpu"
    memory: int = MEMORY
    save_every: int = 100
    model: Module | None = None
    forward: Forward | None = None


def check(asked: Asked) -> None:
    """Raise UsageError for values out of range, and for options that would have no effect."""
    if asked.kind not in KINDS:
        raise UsageError(f"unknown kind of statistics {asked.kind!r}", hint="choose gram (regmean) or fisher (fisher)")
    for name in ("examples", "max_length", "batch_size", "memory", "save_every"):
        value = getattr(asked, name)
        if value is not None and (type(value) is not int or value < 1):
            raise UsageError(f"{name} is {value!r}, and must be a whole number of at least 1")
    if asked.seed is not None and (type(asked.seed) is not int or not 0 <= asked.seed <= _LARGEST_SEED):
        raise UsageError(f"seed is {asked.seed!r}, and must be a whole number from 0 to 2^53 − 1")
    if asked.labels is not None and asked.labels not in LABELS:
        raise UsageError(f"unknown labels {asked.labels!r}", hint=f"choose one of {', '.join(LABELS)}")
    _check_together(asked)


def _check_together(asked: Asked) -> None:
    if (asked.model is None) != (asked.forward is None):
        raise UsageError("model and forward belong together", hint="give both, or neither for a transformers model")
    own = asked.forward is not None
    without_effect = {
        "seed": asked.kind == "gram",
        "labels": asked.kind == "gram",
        "batch_size": asked.kind == "fisher" or own,
        "max_length": own,
        "text_field": own,
        "checkpoint": own,
    }
    for name, nothing in without_effect.items():
        if nothing and getattr(asked, name) is not None:
            where = "with a forward function of your own" if own else f"on {asked.kind} statistics"
            raise UsageError(f"{name} has no effect {where}", hint="leave it out")


def check_labels(asked: Asked, labels: str, *, draws: bool) -> int | None:
    """The seed, where anything is drawn; None elsewhere. Raises UsageError for one that would have no effect."""
    if draws or labels == "sampled":
        return asked.seed or 0
    if asked.seed is not None:
        raise UsageError(f"seed has no effect: with labels {labels} nothing is drawn", hint="leave it out")
    return None
