"""All that is new of an unpacked bundle, checked version by version, in the order in which they stand on each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import Engine

from registry.bundles.contents import check_files, check_merge, check_skill, file_rows, read_base, read_statistics
from registry.bundles.manifest import Bundle, Entry
from registry.bundles.planning import Plan
from registry.records.contents import TensorRow, load_tensors
from registry.records.database import reading
from registry.records.statistics import StatisticsRow
from storage.errors import InputRefused, IntegrityFailure
from storage.progress import Progress

HINT = "nothing was imported: get another copy, or have it exported again"


@dataclass(frozen=True)
class Unpacked:
    """The bundle in the file ``path``, whose blobs lie in ``places`` below ``scratch``, by digest."""

    path: Path
    scratch: Path
    places: Mapping[str, Path]


@dataclass(frozen=True)
class Checked:
    """What the files of a bundle were found to hold: tensors of bases by reference, statistics by digest."""

    bases: dict[str, list[TensorRow]] = field(default_factory=dict)
    statistics: dict[str, StatisticsRow] = field(default_factory=dict)


def check(engine: Engine, bundle: Bundle, plan: Plan, unpacked: Unpacked, actor: str, progress: Progress) -> Checked:
    """Read every tensor of new bases, every frame of new deltas, vectors and statistics.

    Raises IntegrityFailure or InputRefused naming the version, and the tensor where one is at fault.
    """
    checked, bases = Checked(), _Bases(engine, bundle, plan)
    for planned in plan.planned:
        entry = planned.entry
        with _told(unpacked, entry):
            if planned.created:
                check_files(entry, file_rows(entry, bundle.blobs))
                _check_content(entry, unpacked.places, bases, progress)
            for collected in planned.statistics:
                row = read_statistics(collected, unpacked.places[collected.blob], entry.digest, actor)
                checked.statistics[row.digest] = row
    checked.bases.update(bases.read)
    return checked


class _Bases:
    """The tensors of bases: as they were read from the bundle, or as they are on record."""

    def __init__(self, engine: Engine, bundle: Bundle, plan: Plan):
        self._engine = engine
        self._needed = plan.needed
        self._planned = {planned.entry.reference: planned for planned in plan.planned}
        self.digests = {need.reference: need.digest for need in bundle.needs}
        self.digests |= {entry.reference: entry.digest for entry in bundle.versions}
        self.read: dict[str, list[TensorRow]] = {}

    def tensors(self, reference: str) -> list[TensorRow]:
        """Those of a base, by its reference in the bundle."""
        planned = self._planned.get(reference)
        own = planned.twin or reference if planned is not None else reference
        if own in self.read:
            return self.read[own]
        version = self._needed[reference] if planned is None else planned.known
        assert version is not None
        with reading(self._engine) as session:
            return load_tensors(session, version.id)


def _check_content(entry: Entry, places: Mapping[str, Path], bases: _Bases, progress: Progress) -> None:
    delta = next((places[file.blob] for file in entry.files if file.kind == "delta"), None)
    if entry.kind == "base":
        bases.read[entry.reference] = read_base(entry, places, progress)
    elif delta is not None and entry.base is not None:
        check_skill(entry, delta, bases.digests[entry.base], bases.tensors(entry.base))
    elif delta is not None and entry.recipe is not None:
        own = entry.recipe["base"]
        base = next(parent.reference for parent in entry.parents if bases.digests[parent.reference] == own)
        check_merge(entry, delta, bases.tensors(base))


@contextmanager
def _told(unpacked: Unpacked, entry: Entry) -> Iterator[None]:
    """Errors within it speak of the bundle and its members, and not of the places where these were unpacked."""
    try:
        yield
    except (InputRefused, IntegrityFailure) as error:
        message = error.message.replace(f"{unpacked.scratch}/", "")
        told = f"{unpacked.path}: {entry.reference}: {message}"
        raise type(error)(told, hint=HINT, details=error.details) from error
