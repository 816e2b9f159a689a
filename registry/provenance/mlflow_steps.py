"""What the steps of a delivery have in common: to claim, to create, to send files, to go by batches."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TypeVar

from storage.errors import EnvironmentFailure

T = TypeVar("T")


def claim(find: Callable[[], Sequence[T]], create: Callable[[], T], remove: Callable[[T], None]) -> T:
    """The one thing that ``find`` finds, best first: made if missing, doubles that a crash left removed."""
    found = find()
    if not found:
        mine = create()
        if len(find()) <= 1:
            return mine
        remove(mine)
        raise EnvironmentFailure(
            "another process delivers this record to MLflow at this moment",
            hint="run `mergestore sync` later: it finishes what is missing",
        )
    for double in found[1:]:
        remove(double)
    return found[0]


def unless_it_exists(create: Callable[[], object]) -> None:
    """Create something whose name is unique; that it is there already is as good."""
    from mlflow.exceptions import MlflowException

    try:
        create()
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def upload(files: Mapping[str, str], send: Callable[[str], None]) -> None:
    """Send texts, by file name, as the content of a folder; they replace what an earlier call left."""
    with tempfile.TemporaryDirectory(prefix="mergestore-") as folder:
        for name, text in files.items():
            (Path(folder) / name).write_text(text, encoding="utf-8")
        send(folder)


def batches(values: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of at most ``size`` values, in order."""
    rest = iter(values)
    while batch := list(islice(rest, size)):
        yield batch
