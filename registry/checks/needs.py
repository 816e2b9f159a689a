"""What a method wants every skill to carry, whether it does, and the command that would provide it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from merging.methods import Method
from registry.merges import sparse_skills
from registry.records.contents import load_deltas
from registry.records.lookup import versions_by_id
from registry.records.statistics import statistics_of_content
from registry.records.tables import ModelVersion
from registry.results import Result
from registry.statistics_used import newest
from storage.errors import MergestoreError, NotFound


@dataclass(frozen=True)
class Needed(Result):
    """One thing that a method needs of one skill. ``command`` provides it where it is not ``carried``."""

    skill: str
    need: str
    carried: bool
    command: str | None


def needs_of(session: Session, method: Method, skills: Sequence[ModelVersion]) -> list[Needed]:
    """All that a method needs, skill by skill."""
    sparse = sparse_skills(session, skills)
    deltas = load_deltas(session, (skill.id for skill in skills))
    bases = versions_by_id(session, (delta.base_version_id for delta in deltas.values()))
    needed = []
    for skill in skills:
        if "unsparsified" in method.needs:
            base = bases[deltas[skill.id].base_version_id]
            carried = skill.digest not in sparse
            needed.append(Needed(skill.reference, "unsparsified", carried, None if carried else _register(skill, base)))
        kind = method.collects(len(skills))
        needed += [_statistics(session, skill, kind)] if kind is not None else []
    return needed


def missing_statistics(session: Session, method: Method, skills: Sequence[ModelVersion]) -> Iterator[MergestoreError]:
    """An error for each skill whose statistics were not collected."""
    kind = method.collects(len(skills))
    for skill in skills if kind is not None else ():
        try:
            newest(session, method, skill, kind or "")
        except NotFound as error:
            yield error


def _register(skill: ModelVersion, base: ModelVersion) -> str:
    words = ["mergestore", "register", "skill", skill.name, skill.source or "PATH"]
    return shlex.join([*words, "--base", base.reference, "--encoding", "exact"])


def _statistics(session: Session, skill: ModelVersion, kind: str) -> Needed:
    carried = bool(statistics_of_content(session, skill.digest, kind))
    command = f"mergestore stats collect {skill.reference} --kind {kind} --data FILE.jsonl --examples 256"
    return Needed(skill.reference, kind, carried, None if carried else command)
