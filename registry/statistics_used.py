"""Which statistics a merge uses: the newest of each skill, those that its recipe names, or those that are chosen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy.orm import Session

from merging.methods import Method
from registry.records.catalog import versions
from registry.records.statistics import find_statistics, load_statistics, statistics_of_content
from registry.records.tables import ModelVersion, Statistics
from storage.errors import NotFound, UsageError

_UNEVEN = 4
"""How many times as many examples one skill's statistics may have as another's before it is worth a note."""


def choose_statistics(
    session: Session,
    method: Method,
    skills: Sequence[ModelVersion],
    chosen: Mapping[str, str],
    recorded: Mapping[str, str],
) -> dict[str, str]:
    """By skill digest, the digest of the statistics to merge with; none for a method that needs none.

    ``chosen`` by name of the skill; ``recorded`` by skill digest, what a recipe names already. Raises NotFound for a
    skill without, naming the command that collects them; UsageError for a choice that has no effect.
    """
    kind = method.collects(len(skills))
    by_skill = _by_skill(skills, chosen)
    if kind is None:
        if chosen:
            raise UsageError(f"{method.name} of {len(skills)} skills uses no statistics", hint="leave them out")
        return {}
    found = {}
    for skill in skills:
        if skill.digest in by_skill:
            found[skill.digest] = _checked(session, skill, kind, by_skill[skill.digest])
        elif skill.digest in recorded:
            found[skill.digest] = recorded[skill.digest]
        else:
            found[skill.digest] = newest(session, method, skill, kind)
    return found


def statistics_notes(session: Session, used: Mapping[str, str], skills: Sequence[ModelVersion]) -> list[str]:
    """Notes on the statistics that a merge uses, by skill digest; and where they were collected in different ways."""
    of = [skill for skill in skills if skill.digest in used]
    records = {skill.reference: find_statistics(session, used[skill.digest]) for skill in of}
    told = [
        f"{record.kind} statistics of {name}: {record.examples:,} example{'s' if record.examples > 1 else ''}"
        f"{_labels(record)}, {record.digest[:19]}"
        for name, record in records.items()
    ]
    counts = [record.examples for record in records.values()]
    if len({_labels(record) for record in records.values()}) > 1:
        told.append("these statistics are of different labels, and so of different sizes, which weights add to")
    elif counts and max(counts) > _UNEVEN * min(counts):
        told.append(f"these statistics are of {min(counts):,} to {max(counts):,} examples")
    return told


def _labels(record: Statistics) -> str:
    labels = record.settings.get("labels")
    return f" of {labels} labels" if labels else ""


def _by_skill(skills: Sequence[ModelVersion], chosen: Mapping[str, str]) -> dict[str, str]:
    found = {}
    for name, digest in chosen.items():
        fitting = [skill for skill in skills if name in (skill.name, skill.reference)]
        if not fitting:
            raise UsageError(
                f"statistics are chosen for {name!r}, which is no skill of this merge",
                hint=f"its skills are {', '.join(skill.reference for skill in skills)}",
            )
        if len(fitting) > 1:
            raise UsageError(f"{name} stands for {len(fitting)} skills of this merge", hint="name the version, name@1")
        found[fitting[0].digest] = digest
    return found


def _checked(session: Session, skill: ModelVersion, kind: str, digest: str) -> str:
    record = find_statistics(session, digest)
    own = session.get_one(ModelVersion, record.version_id)
    if own.digest != skill.digest or record.kind != kind:
        raise UsageError(
            f"{record.digest} is the {record.kind} of {own.reference}, and the {kind} of {skill.reference} is needed",
            hint=f"`mergestore stats list {skill.reference}` shows what there is",
        )
    return record.digest


def newest(session: Session, method: Method, skill: ModelVersion, kind: str) -> str:
    """The digest of a skill's newest statistics of a kind. Raises NotFound, naming the command that collects them."""
    found = statistics_of_content(session, skill.digest, kind)
    if found:
        return found[-1].digest
    others = [each for each in versions(session, skill.name) if each.id != skill.id]
    recorded = load_statistics(session, (each.id for each in others))
    having = {record.version_id for record in recorded if record.kind == kind}
    elsewhere = [each.reference for each in others if each.id in having]
    there = f"; {', '.join(elsewhere)} has some, which are not of this version" if elsewhere else ""
    raise NotFound(
        f"{method.name} needs the {kind} statistics of {skill.reference}, and none were collected{there}",
        hint=f"collect them: mergestore stats collect {skill.reference} --kind {kind} --data FILE.jsonl --examples 256",
        details={"skill": skill.reference, "statistics": kind},
    )
