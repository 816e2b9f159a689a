"""Whether the records agree with themselves: what the schema promises, and what only the chain can tell.

The schema's own rules are looked at again because a file can be edited, restored in part or damaged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from sqlalchemy import ForeignKeyConstraint, Select, and_, exists, false, func, not_, or_, select
from sqlalchemy.orm import Session, aliased

from registry.records import events, objects, witness
from registry.records.database import streamed
from registry.records.tables import (
    Alias,
    Blob,
    Delta,
    Model,
    ModelVersion,
    Recipe,
    Statistics,
    VersionFile,
)
from registry.records.unreadable import unreadable
from storage.digests import sha256_digest
from storage.errors import IntegrityFailure

Problem = dict[str, Any]

_SAMPLE = 3
_BACKUP = "restore the database from a backup; the blobs are not affected"


def verify_records(session: Session) -> list[Problem]:
    """Every contradiction among the records, each as {what, where, kind, hint}; none when all is well."""
    problems: list[Problem] = []
    damaged = False
    for check in _CHECKS:
        try:
            problems.extend(check(session))
        except IntegrityFailure:  # a value that cannot be read ends a check, not the others
            damaged = True
    if damaged:
        found = [_problem(what, where) for what, where in unreadable(session)]
        problems += found or [_problem("some of the records cannot be read", "database")]
    return problems


def _structure(session: Session) -> Iterator[Problem]:
    """What SQLite itself finds wrong with its file: an index that lost a row answers wrongly, and silently."""
    connection = session.connection()
    if connection.dialect.name == "sqlite":
        for (finding,) in connection.exec_driver_sql("PRAGMA integrity_check(20)"):
            if finding != "ok":
                yield _problem(f"the database file is damaged: {finding}", "database")


def _dangling(session: Session) -> Iterator[Problem]:
    for table in Model.metadata.sorted_tables:
        for key in sorted(table.foreign_key_constraints, key=lambda key: str(key.name)):
            rows = session.execute(_orphans(key)).all()
            if rows:
                target = key.referred_table.name
                yield _problem(
                    f"{table.name}: rows refer to a {target} that does not exist "
                    f"({', '.join(key.column_keys)}: {_sample(rows)})",
                    table.name,
                )


def _orphans(key: ForeignKeyConstraint) -> Select[Any]:
    """Key values of rows whose other end is missing; a key with a NULL in it refers to nothing."""
    columns = [element.parent for element in key.elements]
    target = key.referred_table.alias("target")
    there = exists().where(*(target.c[element.column.name] == element.parent for element in key.elements))
    present = and_(*(column.is_not(None) for column in columns))
    return select(*columns).where(present, not_(there)).distinct().order_by(*columns)


def _astray_aliases(session: Session) -> Iterator[Problem]:
    other = aliased(Model)
    query = (
        select(Model.name, Alias.alias, other.name, ModelVersion.version)
        .join(Model, Model.id == Alias.model_id)
        .join(ModelVersion, ModelVersion.id == Alias.version_id)
        .join(other, other.id == ModelVersion.model_id)
        .where(ModelVersion.model_id != Alias.model_id)
    )
    for name, alias, elsewhere, version in session.execute(query):
        yield _problem(
            f"alias {name}@{alias} points to another model's version, {elsewhere}@{version}",
            f"{name}@{alias}",
            f"set it again: `mergestore alias {name}@VERSION {alias}`",
        )


def _missing_versions(session: Session) -> Iterator[Problem]:
    # By name, and each number once: that a reference means one version is what the chain is held against.
    number = ModelVersion.version
    count, newest = func.count(ModelVersion.id), func.max(number)
    query = (
        select(Model.name, count, newest)
        .outerjoin(ModelVersion, ModelVersion.model_id == Model.id)
        .group_by(Model.name)
        .having(or_(count == 0, count != newest, func.count(number.distinct()) != newest))
    )
    for name, versions, last in session.execute(query):
        yield _problem(f"{name} has {versions} versions, but counts to {last or 1}", name)


def _incomplete_versions(session: Session) -> Iterator[Problem]:
    parts = {
        "base": (VersionFile, VersionFile.version_id == ModelVersion.id, "files"),
        "skill": (Delta, Delta.version_id == ModelVersion.id, "delta"),
        "merge": (Recipe, Recipe.digest == ModelVersion.digest, "recipe"),
    }
    for kind, (part, belongs, what) in parts.items():
        lacking = not_(exists(select(1).select_from(part).where(belongs)))
        query = select(Model.name, ModelVersion.version).join(Model).where(Model.kind == kind, lacking)
        for name, version in session.execute(query):
            yield _problem(f"{name}@{version} is a {kind} without its {what}", f"{name}@{version}")


def _strange_blobs(session: Session) -> Iterator[Problem]:
    """Blobs that are not of the size or kind of what they are used for, or of no use."""
    kind, size = Blob.kind, Blob.size
    # The size of statistics is told by their file alone.
    uses = (
        (VersionFile, VersionFile.kind == kind, VersionFile.size != size),
        (Delta, kind == "delta", Delta.stored_bytes != size),
        (Statistics, kind == "statistics", false()),
    )
    used = objects.used()
    named = or_(*(exists().where(use.blob_digest == Blob.digest, alike) for use, alike, _ in uses))
    other = or_(*(exists().where(use.blob_digest == Blob.digest, differs) for use, _, differs in uses))
    for digest in session.scalars(select(Blob.digest).where(not_(used))):
        yield _problem(f"blob {digest} is on record, but nothing is made of it", digest)
    for digest in session.scalars(select(Blob.digest).where(used, or_(not_(named), other))):
        yield _problem(f"the record of the kind or size of blob {digest} was changed", digest)


def _moments_of_blobs(session: Session) -> Iterator[Problem]:
    """Nothing is held against them, and so they are only read: one that cannot be ends this check."""
    for _ in streamed(session, select(Blob.created_at, Blob.verified_at), 1000):
        pass
    return iter(())


def _changed_recipes(session: Session) -> Iterator[Problem]:
    for digest, canonical in streamed(session, select(Recipe.digest, Recipe.canonical), 1000):
        found = sha256_digest(canonical.encode())
        if found != digest:
            yield _problem(f"the text of recipe {digest} was changed: it now hashes to {found}", digest)


def _contradictions(session: Session) -> Iterator[Problem]:
    for what, where in witness.contradictions(session):
        yield _problem(what, where)


def _chain(session: Session) -> Iterator[Problem]:
    yield from events.verify_chain(session)


_CHECKS: tuple[Callable[[Session], Iterator[Problem]], ...] = (
    _structure,
    _dangling,
    _astray_aliases,
    _missing_versions,
    _incomplete_versions,
    _strange_blobs,
    _moments_of_blobs,
    _changed_recipes,
    _contradictions,
    _chain,
)


def _sample(rows: Any) -> str:
    shown = ", ".join("/".join(map(str, row)) for row in rows[:_SAMPLE])
    return shown if len(rows) <= _SAMPLE else f"{shown} and {len(rows) - _SAMPLE} more"


def _problem(what: str, where: str, hint: str = _BACKUP) -> Problem:
    return {"what": what, "where": where, "kind": "integrity", "hint": hint}
