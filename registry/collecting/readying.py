"""Making a model ready to be run: where it comes from, and the settings that what is found depends on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from registry.collecting import asked as asking
from registry.collecting.asked import BATCH, LENGTH, Asked
from registry.collecting.examples import Data
from registry.collecting.likelihood import choose_labels, draws
from registry.collecting.passes import OfForward, labels_of
from registry.collecting.running import Running, load_model
from registry.collecting.sources import Source, checkpoint_of, fill, rebuilt
from registry.collecting.tokens import Tokenizing
from registry.opening import open_skill
from registry.records.database import reading
from registry.records.tables import Delta, ModelVersion
from registry.wish import Context
from storage.checkpoints.tensors import listed
from storage.errors import UsageError
from storage.progress import Progress


@dataclass(frozen=True)
class Job:
    """A wish, with what it is about: the skill, its base, and the data as measured."""

    asked: Asked
    base: ModelVersion
    skill: ModelVersion
    delta: Delta
    data: Data
    notes: list[str]


@dataclass(frozen=True)
class Ready:
    """A model that can be run: its digest, how, and the settings that what is found depends on."""

    running: Running
    digest: str
    tokenizing: Tokenizing | None
    settings: dict[str, Any]


@contextmanager
def made_ready(context: Context, job: Job, progress: Progress) -> Iterator[Ready]:
    """The model in memory, from wherever it comes."""
    asked = job.asked
    if asked.model is not None:
        filled = fill(context, job.base, job.skill, asked.model, progress)
        _note_rebuilt(job)
        training = asked.model.training
        try:
            running = Running(asked.model.eval().to(asked.device), filled.parameters)
            yield Ready(running, filled.digest, None, _own_settings(job, running))
        finally:
            asked.model.train(training)
    elif asked.checkpoint is not None:
        with reading(context.engine) as session, open_skill(session, context.home, job.skill) as delta:
            manifest = delta.manifest
        yield _loaded(job, checkpoint_of(asked.checkpoint, job.skill, manifest, progress))
    else:
        with rebuilt(context, job.base, job.skill, progress) as source:
            _note_rebuilt(job)
            ready = _loaded(job, source)
            yield ready


def _note_rebuilt(job: Job) -> None:
    if job.delta.encoding != "exact" and job.delta.encoding != "lora":
        job.notes.append(
            f"{job.skill.reference} is stored as {job.delta.encoding}: these are statistics of the model that it gives "
            "when it is rebuilt, not of the fine-tune to the bit; name that with --checkpoint to have its own"
        )


def _loaded(job: Job, source: Source) -> Ready:
    running = load_model(source.folder, source.names, job.asked.device)
    if unknown := sorted(source.names.keys() - running.parameters.keys()):
        job.notes.append(
            f"{running.architecture} has no weights by the names of {len(unknown)} of the base's tensors "
            f"({listed(unknown)}): of them there are no statistics, and merges average them"
        )
    length = _length(job.asked, running)
    tokenizing = Tokenizing(running.tokenizer, length, running.vocabulary, job.asked.text_field)
    settings = {
        "architecture": running.architecture,
        "companions": running.companions,
        "max_length": length,
        "text_field": job.asked.text_field,
    }
    if job.asked.kind == "gram":
        settings["batch_size"] = job.asked.batch_size or BATCH
    else:
        labels = choose_labels(running, job.asked.labels)
        seed = asking.check_labels(job.asked, labels, draws=draws(running))
        settings |= {"labels": labels, "seed": seed}
    return Ready(running, source.digest, tokenizing, settings)


def _length(asked: Asked, running: Running) -> int:
    most = running.positions
    if asked.max_length is not None and most is not None and asked.max_length > most:
        raise UsageError(
            f"max_length is {asked.max_length}, and the model takes {most} tokens at most",
            hint=f"take --max-length {most} or less",
        )
    return asked.max_length or min(LENGTH, most or LENGTH)


def _own_settings(job: Job, running: Running) -> dict[str, Any]:
    forward = job.asked.forward
    settings: dict[str, Any] = {
        "forward": f"{getattr(forward, '__module__', '')}.{getattr(forward, '__qualname__', type(forward).__name__)}"
    }
    if job.asked.kind == "fisher":
        labels = labels_of(of_forward(job, running).result(next(job.data.read())), job.asked.labels)
        seed = asking.check_labels(job.asked, labels, draws=False) if labels else None
        if labels is None and job.asked.seed is not None:
            raise UsageError("seed has no effect: forward returns a log-likelihood", hint="leave it out")
        settings |= {"labels": labels or "forward", "seed": seed}
    return settings


def of_forward(job: Job, running: Running, labels: str | None = None, seed: int | None = None) -> OfForward:
    """Log-likelihoods by the forward function that was given."""
    assert job.asked.forward is not None
    return OfForward(running, job.asked.forward, labels, seed)
