"""Running a model over the data, as often as memory asks for it, each time from where it was saved last."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from registry.collecting import fisher, gram
from registry.collecting.asked import Forward
from registry.collecting.examples import Data, Example
from registry.collecting.likelihood import Likelihood, Terms, check_expected, generator, of_logits
from registry.collecting.running import Running, told
from registry.collecting.sums import Saved, Sums, load, save
from registry.collecting.tokens import Tokenizing, Tokens
from storage.encodings.numeric import Floats
from storage.errors import InputRefused, UsageError
from storage.progress import Progress
from storage.statistics.manifest import Payload, Use
from storage.statistics.statistics_file import StatisticsWriter
from storage.statistics.triangle import elements_of

if TYPE_CHECKING:
    from torch import Tensor

_SUM = 8  # bytes


@dataclass(frozen=True)
class Plan:
    """The data, the folder where sums are saved, and how much is held and how often it is saved."""

    data: Data
    folder: Path
    device: str
    memory: int
    save_every: int
    batch: int
    progress: Progress
    label: str
    notes: list[str]


class Collection(Protocol):
    """What is summed up: its units in the order of passes, and how a batch of examples adds to some of them."""

    def units(self) -> Mapping[str, int]:
        """How many sums each unit has."""

    def add(self, sums: Sums, batch: Sequence[tuple[int, Example]]) -> None:
        """Add what some examples, with their numbers, give for the units of ``sums``."""

    def finish(self, sums: Mapping[str, Saved], writer: StatisticsWriter) -> Finished:
        """Write the averages; ``sums``: of each unit, as they were saved."""


@dataclass(frozen=True)
class Finished:
    """What a manifest says of its payloads."""

    payloads: Mapping[str, Payload]
    tensors: Mapping[str, Use]
    norm: float | None = None


def run(plan: Plan, collection: Collection) -> dict[str, Saved]:
    """All passes; of each unit, its saved sums."""
    groups = list(_split(collection.units(), plan.memory))
    plan.progress.start(plan.label, plan.data.nbytes * len(groups))
    try:
        for number, units in enumerate(groups):
            _pass(plan, collection, number, units)
    finally:
        plan.progress.finish()
    saved = {number: Saved.of_pass(plan.folder, number) for number in range(len(groups))}
    return {name: saved[number] for number, units in enumerate(groups) for name in units}


def _pass(plan: Plan, collection: Collection, number: int, units: Mapping[str, int]) -> None:
    sums = load(plan.folder, number, units, plan.device, plan.notes)
    numbered = enumerate(plan.data.read())
    for _, example in itertools.islice(numbered, sums.done):
        plan.progress.advance(example.nbytes)
    kept = sums.done
    while batch := list(itertools.islice(numbered, plan.batch)):
        collection.add(sums, batch)
        sums.done += len(batch)
        plan.progress.advance(sum(example.nbytes for _, example in batch))
        if sums.done - kept >= plan.save_every and sums.done < plan.data.examples:
            save(plan.folder, number, sums)
            kept = sums.done
    if kept < sums.done or not kept:
        save(plan.folder, number, sums)


def _split(units: Mapping[str, int], memory: int) -> Iterator[dict[str, int]]:
    """The units in passes whose sums take at most so much memory, or are those of a single one."""
    part: dict[str, int] = {}
    for name, count in units.items():
        if part and _SUM * (sum(part.values()) + count) > memory:
            yield part
            part = {}
        part[name] = count
    yield part


@dataclass(frozen=True)
class Grams:
    """Gram matrices of groups of layers. ``tokenizing`` None: the examples are for ``forward``.

    ``notes``: where to say which layers were never run.
    """

    running: Running
    groups: Sequence[gram.Group]
    tokenizing: Tokenizing | None
    forward: Forward | None
    notes: list[str]

    def units(self) -> Mapping[str, int]:
        """A unit is a group, named after its first layer."""
        return gram.units(self.groups)

    def add(self, sums: Sums, batch: Sequence[tuple[int, Example]]) -> None:
        """Run the batch, hooked."""
        import torch

        wanted = [group for group in self.groups if group.name in sums.units]
        collector = gram.Collector(wanted, sums)
        with torch.no_grad(), collector.collecting():
            for mask, call in _forwards(self.running, self.tokenizing, self.forward, [each for _, each in batch]):
                collector.begin(mask)
                call()
                collector.end()

    def finish(self, sums: Mapping[str, Saved], writer: StatisticsWriter) -> Finished:
        """A payload for each group that was ever run."""
        payloads: dict[str, Payload] = {}
        tensors: dict[str, Use] = {}
        for group in self.groups:
            rows = sums[group.name].rows[group.name]
            if not rows:
                self.notes.append(f"the layer of {group.name!r} was never run: it has no Gram matrix")
                continue
            content = writer.add_values(group.name, gram.triangle(sums[group.name], group))
            payloads[group.name] = Payload(elements_of(group.columns), content, group.columns, rows)
            for layer in group.layers:
                tensors |= {name: Use(group.name, layer.transposed) for name in layer.names}
        return Finished(payloads, tensors)


def watch(
    running: Running, tokenizing: Tokenizing | None, forward: Forward | None, example: Example, share: bool
) -> list[gram.Group]:
    """Which layers share their input, by one example; none do where ``share`` is False. Raises InputRefused."""
    import torch

    layers = gram.find_layers(running.model, running.parameters)
    if not layers:
        raise InputRefused("the model has no linear layer whose weight is one of the base's tensors")
    if not share:
        return gram.alone(layers)
    seen = gram.Watch(layers)
    with torch.no_grad(), seen.watching():
        for _, call in _forwards(running, tokenizing, forward, [example]):
            call()
    return seen.groups()


def _forwards(
    running: Running, tokenizing: Tokenizing | None, forward: Forward | None, batch: Sequence[Example]
) -> Iterator[tuple[Tensor | None, Any]]:
    """The calls that run a batch, each with the mask of what counts in it."""
    import torch

    if tokenizing is None:
        assert forward is not None
        for example in batch:
            yield None, lambda example=example: forward(running.model, example.fields)
        return
    rows = [tokenizing.tokens(example).ids for example in batch]
    device = next(running.model.parameters()).device
    width = max(map(len, rows))
    ids = torch.tensor([row + [0] * (width - len(row)) for row in rows], device=device)
    mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows], device=device)

    def call() -> None:
        with told(batch[0].where, str(device)):
            running.model(input_ids=ids, attention_mask=mask)

    yield mask, call


@dataclass(frozen=True)
class Fishers:
    """Squared gradients of parameters."""

    running: Running
    weights: Sequence[fisher.Weight]
    terms: OfTokens | OfForward

    def units(self) -> Mapping[str, int]:
        """A unit is a parameter, by the first of its names."""
        return fisher.units(list(self.weights))

    def add(self, sums: Sums, batch: Sequence[tuple[int, Example]]) -> None:
        """Example by example."""
        wanted = [weight for weight in self.weights if weight.name in sums.units]
        with fisher.differentiated(self.running.model, wanted):
            for index, example in batch:
                fisher.add(sums, wanted, self.terms.of(example, index), example.where)

    def finish(self, sums: Mapping[str, Saved], writer: StatisticsWriter) -> Finished:
        """A payload for each parameter; the norm is taken on the way."""
        payloads: dict[str, Payload] = {}
        tensors: dict[str, Use] = {}
        measured, elements = _Squares(), 0
        for weight in self.weights:
            count = weight.parameter.numel()
            content = writer.add_values(weight.name, measured.following(fisher.averages(sums[weight.name], weight)))
            payloads[weight.name] = Payload(count, content)
            tensors |= {name: Use(weight.name) for name in weight.names}
            elements += count
        return Finished(payloads, tensors, float((measured.total / max(1, elements)) ** 0.5))


class _Squares:
    """The sum of squares of what passes by."""

    def __init__(self) -> None:
        self.total = 0.0

    def following(self, pieces: Iterator[Floats]) -> Iterator[Floats]:
        for piece in pieces:
            exact = piece.astype(float)
            self.total += float((exact * exact).sum())
            yield piece


@dataclass(frozen=True)
class OfTokens:
    """Log-likelihoods of a transformers model."""

    tokenizing: Tokenizing
    likelihood: Likelihood

    def of(self, example: Example, index: int) -> Terms:
        """Of one example."""
        tokens: Tokens = self.tokenizing.tokens(example)
        return self.likelihood.terms(tokens, index)


@dataclass(frozen=True)
class OfForward:
    """Log-likelihoods by a forward function of the user's own: what it returns, or of the logits that it returns."""

    running: Running
    forward: Forward
    labels: str | None
    seed: int | None

    def of(self, example: Example, index: int) -> Terms:
        """Of one example."""
        found = self.result(example)
        if self.labels is None:
            if found.numel() != 1:
                raise InputRefused(f"{example.where}: forward returned {found.numel()} numbers, and one before")
            return [(1.0, found.reshape(()))]
        logits = found.reshape(-1, found.shape[-1]) if found.ndim else found.reshape(1, 1)
        check_expected(len(logits), self.labels)
        return of_logits(logits, self.labels, None, None if self.seed is None else generator(self.seed, index))

    def result(self, example: Example) -> Tensor:
        """What the function returns. Raises InputRefused for anything but numbers."""
        import torch

        found: Any = self.forward(self.running.model, example.fields)
        if not isinstance(found, torch.Tensor) or not found.is_floating_point() or not found.numel():
            raise InputRefused(
                f"{example.where}: forward returned {type(found).__name__}, and must return a tensor",
                hint="return the log-likelihood (one number), or logits whose last axis is the classes",
            )
        return found


def labels_of(result: Tensor, chosen: str | None) -> str | None:
    """The labels for what a forward function returned: None for a log-likelihood. Raises UsageError."""
    if result.ndim == 0:
        if chosen is not None:
            raise UsageError(
                f"labels {chosen} has no effect: forward returns a log-likelihood",
                hint="leave it out, or return logits",
            )
        return None
    if chosen == "data":
        raise UsageError(
            "labels data needs the labels, and forward returned logits",
            hint="return the log-likelihood of the example's own label from forward",
        )
    return chosen or "sampled"
