"""What a result inherits of what its inputs say of themselves: data sets, languages, task, the licence's address.

Rules, over everything a result came from: data sets and languages are those of any; the task is that of the head's
skill or of the skill whose model it is, else the one that all name which name one. What has another form than the Hub
takes is left out. Sources: https://github.com/huggingface/hub-docs/blob/main/modelcard.md, ISO 639.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

Training = Mapping[str, Any]
"""What is known of a version's training, by origin: ``meta``, ``card``, ``trainer``, ``results``."""

_REPOSITORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}(/[A-Za-z0-9][A-Za-z0-9._-]{0,95})?")
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*|code|multilingual")
_TASK = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_ADDRESS = re.compile(r"https?://[!-~]+")


def datasets(trainings: Iterable[Training]) -> list[str]:
    """Every data set that is named as the Hub names them, by a model card or as ``dataset`` at registration."""
    found = {each for training in trainings for each in named_datasets(training)}
    return sorted(each for each in found if is_repository(each))


def named_datasets(training: Training) -> list[str]:
    """The data sets of one training, as they are named."""
    said = [*_said(training, "card", "datasets"), *_said(training, "meta", "dataset")]
    return sorted({each for each in said if each.isprintable()})


def is_repository(name: str) -> bool:
    """Whether a name is one that a model or data set of the Hub can have."""
    return _REPOSITORY.fullmatch(name) is not None


def languages(trainings: Iterable[Training]) -> list[str]:
    """Every language code that a model card names."""
    found = {each for training in trainings for each in _said(training, "card", "language")}
    return sorted(each for each in found if _LANGUAGE.fullmatch(each))


def task(trainings: Iterable[Training], chosen: Training | None = None) -> str | None:
    """The task (``pipeline_tag``): that of the ``chosen`` input if it names one, else the one that all name."""
    own = list(_tasks(chosen)) if chosen is not None else []
    found = set(own) or {each for training in trainings for each in _tasks(training)}
    return found.pop() if len(found) == 1 else None


def licence_link(trainings: Iterable[Training]) -> str | None:
    """Where the one licence can be read that model cards give an address of."""
    found = {each for training in trainings for each in _said(training, "card", "license_link")}
    good = {each for each in found if _ADDRESS.fullmatch(each)}
    return good.pop() if len(good) == 1 else None


def _tasks(training: Training) -> Iterator[str]:
    return (each for each in _said(training, "card", "pipeline_tag") if _TASK.fullmatch(each))


def _said(training: Training, origin: str, key: str) -> list[str]:
    facts = training.get(origin)
    value = facts.get(key) if isinstance(facts, Mapping) else None
    values = value if isinstance(value, list) else [value]
    return [each for each in values if isinstance(each, str)]
