"""What is known of a model's training: what was said at its registration, and what trainers wrote beside the weights.

Read are the model card's front matter, transformers' ``trainer_state.json``, and its ``*_results.json``. All of it is
what somebody states: it is kept and told, and proves nothing. ``training_args.bin`` is a pickle, and never read.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from merging.recipes.document import parse_document
from registry.records.names import is_storable
from storage.bounded import FEW_MARKS, read_whole, refuse_marks
from storage.errors import MergestoreError, UsageError

Facts = dict[str, Any]

LARGEST_FILE = 16 << 20
_LONGEST, _MOST = 1000, 50  # characters of a text, entries of a list or table
_MLFLOW_RUN = "mlflow.run_id"
_RUN, _RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,255}"), re.compile(r"[0-9a-f]{32}")
_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,63}")
_MATTER = re.compile(r"\s*^---[ \t]*\n(.*?)^---[ \t]*$", re.MULTILINE | re.DOTALL)
_CARD = (
    *("base_model", "base_model_relation", "datasets", "language", "licence", "license"),
    *("license_link", "license_name"),
    *("library_name", "pipeline_tag", "tags"),
)
_TRAINER = (
    *("best_metric", "best_model_checkpoint", "epoch", "eval_steps", "global_step", "max_steps", "num_train_epochs"),
    *("total_flos", "train_batch_size", "trial_name"),
)
_RESULTS = ("all_results.json", "train_results.json", "eval_results.json", "test_results.json")


def check_meta(meta: Mapping[str, str] | None, what: str = "metadata") -> dict[str, str]:
    """What is said of a model, key by key. Raises UsageError for what is no key, or too long; ``what``: its name."""
    checked = {}
    for key, value in (meta or {}).items():
        if not isinstance(key, str) or not _KEY.fullmatch(key):
            raise UsageError(
                f"{what} key {key!r} is none",
                hint="letters, digits and . _ - / are fine, up to 64: dataset, commit, run-id",
            )
        if not isinstance(value, str) or not value or len(value) > _LONGEST or not value.isprintable():
            raise UsageError(
                f"{what} {key} must be a line of 1 to {_LONGEST} characters",
                hint="put longer things into a file of your own, and its digest or address here",
            )
        checked[key] = value
    if not _RUN.fullmatch(checked.get(_MLFLOW_RUN, "run")):
        raise UsageError(
            f"metadata {_MLFLOW_RUN} {checked[_MLFLOW_RUN]!r} is no id of an MLflow run",
            hint="it is what the run's page shows as its ID: 32 hexadecimal digits",
        )
    return dict(sorted(checked.items()))


def mlflow_run(meta: Mapping[str, str]) -> str | None:
    """The id of the MLflow run that trained a model: ``mlflow.run_id``, or a ``run-id`` that looks like one."""
    other = meta.get("run-id", "")
    return meta.get(_MLFLOW_RUN) or (other if _RUN_ID.fullmatch(other) else None)


def read_training(folder: Path, meta: Mapping[str, str]) -> tuple[Facts, list[str]]:
    """(what is known by its origin: ``meta``, ``card``, ``trainer``, ``results``; notes on files that say nothing)."""
    notes: list[str] = []
    facts: Facts = {
        "meta": dict(meta),
        "card": _read(folder / "README.md", _front_matter, _CARD, notes),
        "trainer": _read(folder / "trainer_state.json", _json, _TRAINER, notes),
        "results": {},
    }
    for name in _RESULTS:
        facts["results"] |= _read(folder / name, _json, None, notes)
    return {origin: found for origin, found in facts.items() if found}, notes


def _read(path: Path, parse: Callable[[str], Any], keys: tuple[str, ...] | None, notes: list[str]) -> Facts:
    """Those of a file's entries that are plain values, of these keys or all."""
    if not path.is_file():
        return {}
    try:
        document = parse(read_whole(path, LARGEST_FILE).decode().replace("\r\n", "\n"))
    except (MergestoreError, ValueError, RecursionError) as error:
        said = str(error).replace(f"{path}: ", "").splitlines()[0]
        notes.append(f"{path.name} was not read for what it says of the training: {said:.120}")
        return {}
    if not isinstance(document, Mapping):
        return {}
    plain = {str(key): _plain(value) for key, value in list(document.items()) if keys is None or key in keys}
    return dict(sorted((key, value) for key, value in plain.items() if value is not None and _is_key(key)))


def _is_key(text: str) -> bool:
    return len(text) <= _LONGEST and is_storable(text)


def _front_matter(text: str) -> Any:
    found = _MATTER.match(text)
    return parse_document(found[1].encode(), "its front matter") if found is not None else {}


def _json(text: str) -> Any:
    refuse_marks(text, FEW_MARKS)
    return json.loads(text)


def _plain(value: Any) -> Any:
    """A text, number, truth or list of such, as it can be kept; None for anything else."""
    if isinstance(value, bool) or (isinstance(value, int) and abs(value) < 1 << 53):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, str):
        return value[:_LONGEST] or None if is_storable(value) else None
    if isinstance(value, list):
        return [each for each in map(_plain, value[:_MOST]) if each is not None and not isinstance(each, list)] or None
    return None
