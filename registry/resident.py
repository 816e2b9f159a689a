"""Resident mode by name: a registered base and skills opened, verified once, and kept in memory for any combination."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from merging.choosing import open_memory
from merging.plans.planning import check_base
from merging.recipes.recipe import Recipe
from merging.residence import resident
from registry.home import Home
from registry.merges import resolve_target
from registry.opening import open_base, open_skill, open_statistics
from registry.policies.enforcing import enforce, policies_of, without_thresholds
from registry.records import events
from registry.records.catalog import resolve
from registry.records.contents import load_delta
from registry.records.database import reading
from registry.records.readiness import refuse_unready
from registry.records.tables import ModelVersion
from registry.resolved import Choices, ResolvedMerge
from registry.results import Footprint, Loaded
from registry.tokens.vocabulary import Asked
from registry.unified import keeps_vector
from storage.checkpoints.tensors import listed
from storage.errors import Conflict, UsageError
from storage.pipeline import thread_count
from storage.progress import Progress

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

    from storage.statistics.statistics_file import StatisticsFile

Place = Literal["device", "host"]
Masks = Literal["cached", "drawn"]


@dataclass(frozen=True)
class Keeping:
    """How a base and skills are to be kept in memory."""

    device: str = "cpu"
    deltas: Place = "device"
    masks: Masks | None = None
    threads: int | None = None


class Resident:
    """A base and skills in memory; made by ``Store.resident``, a context manager. ``last``: what was loaded last.

    Names mean what they mean in the store when they are used: one that now means a version that is not in memory is
    refused. Not for several threads at once.
    """

    def __init__(self, engine: Engine, home: Home, held: resident.Resident, references: Mapping[str, str]):
        self._engine, self._home = engine, home
        self._held: resident.Resident | None = held
        self._references = references  # of base and skills, by digest
        self.device = held.memory.device
        self.engine = held.memory.engine
        self.last: Loaded | None = None
        self._head: events.Head | None = None
        self._policy: object = None  # as the file of the store's policy was when names were resolved
        self._resolved: dict[tuple[str, str], ResolvedMerge] = {}
        self._statistics: dict[str, StatisticsFile] = {}  # open and verified, by digest

    def load(
        self,
        target: str,
        *,
        method: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        head: str | None = None,
        dtype: str | None = None,
        semantics: str | None = None,
        vocabulary: str | None = None,
        pad_vocabulary: int | None = None,
    ) -> dict[str, Tensor]:
        """Compute an expression, or a merge by its reference, into new torch tensors by name.

        Raises UsageError for what is not in memory, InputRefused where the result is not finite.
        """
        clock, held = time.perf_counter(), self._opened()
        self.last = None
        asked = Asked(vocabulary, pad_vocabulary)
        resolved = self._resolve(target, Choices(method, parameters, head, dtype, semantics, vocabulary=asked))
        tensors = held.load(resolved.recipe, self._statistics_of(resolved.recipe))
        self.last = self._loaded(resolved, clock)
        return tensors

    def load_into(
        self,
        target: str,
        tensors: Mapping[str, Tensor] | Module,
        *,
        method: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        head: str | None = None,
        dtype: str | None = None,
        semantics: str | None = None,
        vocabulary: str | None = None,
        pad_vocabulary: int | None = None,
    ) -> Loaded:
        """Compute an expression, or a merge by its reference, into ``tensors``: a dict by name, or a live module.

        Names, shapes, dtypes and device must be those of the result, or nothing is written (InputRefused). A result
        that is not finite is refused when it is written already: load another into the tensors before using them.
        """
        clock, held = time.perf_counter(), self._opened()
        self.last = None
        asked = Asked(vocabulary, pad_vocabulary)
        resolved = self._resolve(target, Choices(method, parameters, head, dtype, semantics, vocabulary=asked))
        held.load_into(resolved.recipe, tensors, self._statistics_of(resolved.recipe))
        self.last = self._loaded(resolved, clock)
        return self.last

    def memory(self) -> Footprint:
        """How many bytes the base and each skill take where they are kept."""
        memory = self._opened().memory
        return Footprint(
            memory.base_size(), {self._references[digest]: size for digest, size in memory.skill_sizes().items()}
        )

    def close(self) -> None:
        """Let go of the memory; to do so twice does no harm."""
        if self._held is not None:
            self._held.close()
        self._held = None
        for file in self._statistics.values():
            file.close()
        self._statistics = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _opened(self) -> resident.Resident:
        if self._held is None:
            raise UsageError("this resident store is closed", hint="open another with store.resident(…)")
        return self._held

    def _resolve(self, target: str, choices: Choices) -> ResolvedMerge:
        asked = (target, repr(choices))
        with reading(self._engine) as session:
            # Every change of the records is an event: while the last one is the same, names mean the same.
            head, policy = events.head(session), _stamp(self._home.policy)
            if head is None or head != self._head or policy != self._policy:
                self._head, self._policy, self._resolved = head, policy, {}
            if asked not in self._resolved:
                resident.make_room(self._resolved)
                self._resolved[asked] = self._resolve_anew(session, target, choices)
            return self._resolved[asked]

    def _resolve_anew(self, session: Session, target: str, choices: Choices) -> ResolvedMerge:
        resolved = resolve_target(session, self._home, target, choices)
        _refuse_unified(resolved)
        refuse_unready(session, *resolved.inputs)
        enforce(session, without_thresholds(policies_of(self._home)), resolved)
        absent = [version.reference for version in resolved.inputs if version.digest not in self._references]
        if absent:
            raise UsageError(
                f"{listed(absent)} {'is' if len(absent) == 1 else 'are'} not resident; "
                f"resident are {listed(self._references.values(), 20)}",
                hint="name what is resident, or open another with store.resident(base, skills=[…])",
            )
        return resolved

    def _statistics_of(self, recipe: Recipe) -> dict[str, StatisticsFile]:
        """What the recipe merges with beside the skills, by skill; opened once, and read from disk as it is used."""
        wanted = [digest for digest in recipe.statistics.values() if digest not in self._statistics]
        if wanted:
            with reading(self._engine) as session:
                self._statistics |= {digest: open_statistics(session, self._home, digest) for digest in wanted}
        return {skill: self._statistics[digest] for skill, digest in recipe.statistics.items()}

    def _loaded(self, resolved: ResolvedMerge, clock: float) -> Loaded:
        recipe: Recipe = resolved.recipe
        seconds = time.perf_counter() - clock
        return Loaded(resolved.expression, recipe.digest, recipe.to_dict(), self.device, self.engine, seconds)


def _stamp(file: Path) -> object:
    """What changes when a file does, or what a link leads to; None while there is none."""
    try:
        found = file.stat()
    except OSError:
        return os.path.lexists(file) or None
    return found.st_mtime_ns, found.st_size, found.st_ino


def make_resident(
    engine: Engine, home: Home, base: str, skills: Iterable[str], keeping: Keeping, progress: Progress
) -> Resident:
    """Read a base and skills into memory, their digests checked.

    Raises Conflict for a skill of another base, IntegrityFailure for damaged bytes, EnvironmentFailure without the
    device.
    """
    with ExitStack() as stack:
        with reading(engine) as session:
            version = _ready(session, base, "base")
            versions = [_skill(session, reference, version) for reference in skills]
            opened = open_base(session, home, version)
            stack.callback(opened.source.close)
            deltas = {each.digest: stack.enter_context(open_skill(session, home, each)) for each in versions}
            references = {each.digest: each.reference for each in (version, *versions)}
        for delta in deltas.values():
            check_base(delta, opened.digests, opened.source.entries)
        memory = open_memory(
            opened.source,
            opened.digests,
            deltas,
            device=keeping.device,
            on_host=keeping.deltas == "host",
            masks=keeping.masks,
            threads=thread_count(keeping.threads),
            progress=progress,
        )
    return Resident(engine, home, resident.Resident(memory, opened.digests), references)


def check_keeping(skills: Iterable[str], deltas: str, masks: str | None) -> None:
    """Refuse what is neither here nor there. Raises UsageError."""
    if isinstance(skills, str):
        raise UsageError(f"skills must be a list of names, found the text {skills!r}", hint=f"write [{skills!r}]")
    if deltas not in ("device", "host"):
        raise UsageError(f"deltas={deltas!r} is unknown", hint="choose 'device' or 'host'")
    if masks not in (None, "cached", "drawn"):
        raise UsageError(f"masks={masks!r} is unknown", hint="choose 'cached' or 'drawn', or leave it out")


def _refuse_unified(resolved: ResolvedMerge) -> None:
    if keeps_vector(resolved.recipe.method):
        raise UsageError(
            f"{resolved.recipe.method} has a model for each skill, made from a stored vector: that is not resident",
            hint="use store.load or store.materialize, with a task",
        )


def _ready(session: Session, reference: str, kind: str) -> ModelVersion:
    version = resolve(session, reference, kinds=(kind,))
    refuse_unready(session, version)
    return version


def _skill(session: Session, reference: str, base: ModelVersion) -> ModelVersion:
    skill = _ready(session, reference, "skill")
    record = load_delta(session, skill.id)
    own = session.get_one(ModelVersion, record.base_version_id) if record is not None else None
    if own is not None and own.digest != base.digest:
        raise Conflict(
            f"{skill.reference} is a skill of {own.reference}, not of {base.reference}",
            hint="a delta only fits its own base: make one resident store for each base",
        )
    return skill
