"""Verification: is everything that was committed still there, and unchanged?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session

from registry.directories import check_directory, lasting_problems
from registry.home import Home
from registry.merges import stored_merge
from registry.opening import RESTORE_REFERENCED, open_base, open_skill, open_statistics
from registry.policies.enforcing import policies_of
from registry.publishing import MANIFEST
from registry.records.catalog import look_up, resolve
from registry.records.contents import FileRow, load_files, load_tensors, recorded_sha256
from registry.records.database import is_read_only, reading, writing
from registry.records.guards import GUARDS_HINT, broken_guards, count_guards
from registry.records.integrity import verify_records
from registry.records.lineage import ancestors
from registry.records.names import parse_reference
from registry.records.objects import remember_verified
from registry.records.recipes import load_recipe, materializations, merge_recipes
from registry.records.statistics import load_statistics
from registry.records.tables import Materialization, Model, ModelVersion, Statistics
from registry.results import Verification
from registry.unified import check_recipe, keeps_vector, open_unified
from storage.blobs import RESTORE
from storage.checkpoints.inputs import tensor_digests
from storage.digests import model_digest
from storage.errors import EnvironmentFailure, IntegrityFailure, MergestoreError, NotFound
from storage.files import is_damage, is_shortage, is_there, is_withheld
from storage.pipeline import thread_count
from storage.progress import Progress

Problem = dict[str, Any]


class _Findings:
    """Counts what was checked and collects problems."""

    def __init__(self) -> None:
        self.checked: dict[str, int] = {}
        self.problems: list[Problem] = []
        self.sound: set[str] = set()  # objects that were read whole
        self.damaged: set[str] = set()
        self.withheld: set[str] = set()

    def count(self, kind: str, number: int = 1) -> None:
        self.checked[kind] = self.checked.get(kind, 0) + number

    def add(self, error: MergestoreError, where: str, hint: str = RESTORE) -> None:
        """A problem: damage, or that this process has no right to a file; all else keeps anything from being found."""
        if is_withheld(error):
            self._append(error, where, error.kind, error.hint)
        elif is_damage(error):
            kind = IntegrityFailure.kind if isinstance(error, OSError) else error.kind  # the disk fails to read it
            self._append(error, where, kind, error.hint or hint)
        else:
            raise error

    def add_of_file(self, error: MergestoreError, where: str) -> None:
        """The same of a file that is somebody else's: that it cannot be looked at keeps nothing else from being."""
        if is_damage(error) or is_shortage(error):
            self.add(error, where)
        else:
            self._append(error, where, error.kind, error.hint)

    def _append(self, error: MergestoreError, where: str, kind: str, hint: str | None) -> None:
        self.problems.append({"what": error.message, "where": where, "kind": kind, "hint": hint})

    def result(self) -> Verification:
        return Verification(not self.problems, self.checked, self.problems)


def verify_directory(folder: Path, progress: Progress) -> Verification:
    """Check a published model folder against its manifest. Works without any store.

    One without a manifest is damaged: what was published has one. Raises NotFound where there is no folder.
    """
    if not folder.is_dir():
        raise NotFound(f"there is no folder {folder}", hint="check the path")
    checked, problems = check_directory(folder, progress)
    return Verification(not problems, checked, problems)


def verify_version(engine: Engine, home: Home, reference: str, progress: Progress) -> Verification:
    """Check one version and everything it came from: every stored byte, and what was materialized from it."""
    findings = _Findings()
    with reading(engine) as session:
        version = look_up(session, reference)
        ids = [resolve(session, parse_reference(node.id)).id for node in ancestors(session, version.id).nodes]
        _check_versions(session, home, [session.get_one(ModelVersion, id_) for id_ in ids], findings, progress)
        recipes = merge_recipes(session, version.id, version.digest) if version.kind == "merge" else []
        made = materializations(session, recipes)
        _check_outputs(home, made, findings, progress)
    _remember(engine, findings)
    return findings.result()


def verify_store(engine: Engine, home: Home, progress: Progress) -> Verification:
    """Check the whole store: its records, the audit chain, every stored byte, every published folder."""
    findings = _Findings()
    with reading(engine) as session:
        findings.problems += verify_records(session)
        findings.count("records", _count_records(session))
        _check_guards(session, findings)
        _check_policy(home, findings)
        try:
            versions = session.scalars(select(ModelVersion).order_by(ModelVersion.id)).all()
            _check_versions(session, home, versions, findings, progress)
            made = session.scalars(select(Materialization).order_by(Materialization.created_at)).all()
            _check_outputs(home, made, findings, progress)
        except IntegrityFailure as error:  # a record that cannot be read at all
            findings.add(error, "registry")
    _remember(engine, findings)
    return findings.result()


def _remember(engine: Engine, findings: _Findings) -> None:
    if (findings.sound or findings.damaged) and not is_read_only(engine):
        with writing(engine) as session:
            remember_verified(session, findings.sound, findings.damaged)


def _check_guards(session: Session, findings: _Findings) -> None:
    findings.count("triggers", count_guards(session))
    for what, where in broken_guards(session):
        findings.add(IntegrityFailure(what, hint=GUARDS_HINT), where)


def _check_policy(home: Home, findings: _Findings) -> None:
    try:
        findings.count("policies", len(policies_of(home)))
    except MergestoreError as error:
        findings.add(error, str(home.policy), "nothing is let through by a policy that cannot be read; correct it")


def _count_records(session: Session) -> int:
    tables = Model.metadata.sorted_tables
    return sum(session.scalar(select(func.count()).select_from(table)) or 0 for table in tables)


def _check_versions(
    session: Session, home: Home, versions: Iterable[ModelVersion], findings: _Findings, progress: Progress
) -> None:
    versions = list(versions)
    files = {version.id: load_files(session, version.id) for version in versions}
    collected = load_statistics(session, files)
    damaged = _check_blobs(session, home, _uses(versions, files, collected), findings)
    _check_statistics(
        session, home, [each for each in collected if each.blob_digest not in damaged], versions, findings
    )
    for version in versions:
        findings.count("versions")
        whole = all(file.blob_digest is not None and file.blob_digest not in damaged for file in files[version.id])
        # A blob that equals its name holds what was checked when it was stored; else the damage is located.
        if version.kind == "base":
            _check_tensor_records(session, version, findings)
        if version.kind == "base" and not whole:
            _check_base(session, home, version, files[version.id], findings, progress)
        elif version.kind == "skill" and whole:
            _check_skill(session, home, version, findings)
        elif version.kind == "merge" and whole:
            _check_merge(session, home, version, findings)


def _uses(
    versions: Iterable[ModelVersion], files: Mapping[int, list[FileRow]], collected: Iterable[Statistics]
) -> dict[str, list[str]]:
    """What each blob is for: one may be of several versions."""
    references = {version.id: version.reference for version in versions}
    uses: dict[str, list[str]] = {}
    for version_id, rows in files.items():
        for file in rows:
            if file.blob_digest is not None:
                uses.setdefault(file.blob_digest, []).append(f"{references[version_id]}: {file.path}")
    for record in collected:
        uses.setdefault(record.blob_digest, []).append(_told(record, references))
    return uses


def _told(record: Statistics, references: Mapping[int, str]) -> str:
    return f"{references[record.version_id]}: {record.kind} statistics {record.digest}"


def _check_blobs(session: Session, home: Home, uses: Mapping[str, list[str]], findings: _Findings) -> set[str]:
    """The blobs that are not as they were stored, or cannot be read; each is read once."""
    public = recorded_sha256(session, uses)
    for digest, places in uses.items():
        findings.count("blobs")
        try:
            home.blobs.verify(digest, public.get(digest))
            findings.sound.add(digest)
        except MergestoreError as error:
            findings.add(error, ", ".join(places))
            (findings.withheld if is_withheld(error) else findings.damaged).add(digest)
    return findings.damaged | findings.withheld


def _check_tensor_records(session: Session, version: ModelVersion, findings: _Findings) -> None:
    rows = load_tensors(session, version.id)
    findings.count("tensors", len(rows))
    if model_digest((row.name, row.dtype, row.shape, row.digest) for row in rows) != version.digest:
        error = IntegrityFailure("the records of its tensors do not hash to its digest", hint="restore a backup")
        findings.add(error, version.reference)


def _check_base(
    session: Session,
    home: Home,
    version: ModelVersion,
    files: Iterable[FileRow],
    findings: _Findings,
    progress: Progress,
) -> None:
    """Tensor by tensor, so that a referenced file that changed is located."""
    hint = RESTORE if all(file.blob_digest is not None for file in files) else RESTORE_REFERENCED
    recorded = {tensor.name: tensor.digest for tensor in load_tensors(session, version.id)}
    label = f"verify {version.reference}"
    try:
        with closing(open_base(session, home, version).source) as source:
            found = tensor_digests(source, thread_count(None), progress, label, version.name)
        for name in sorted(recorded):
            if found[name] != recorded[name]:
                message = f"tensor {name!r} hashes to {found[name]}, recorded is {recorded[name]}"
                findings.add(IntegrityFailure(message, hint=hint), version.reference)
    except IntegrityFailure as error:  # whose own hint is to verify
        findings.add(IntegrityFailure(error.message, hint=hint), version.reference)
    except MergestoreError as error:
        findings.add_of_file(error, version.reference)


def _check_skill(session: Session, home: Home, version: ModelVersion, findings: _Findings) -> None:
    try:
        with open_skill(session, home, version, verified=True) as delta:
            for name in delta.manifest.tensors:
                findings.count("deltas")
                delta.check_content(name)
    except MergestoreError as error:
        findings.add(error, version.reference)


def _check_merge(session: Session, home: Home, version: ModelVersion, findings: _Findings) -> None:
    """The vector of a merge that has one; any other is its recipe alone."""
    try:
        if not keeps_vector(load_recipe(session, version.digest).method):
            return
        with open_unified(session, home, version, verified=True) as file:
            check_recipe(file, stored_merge(session, version))
            for name in file.manifest.tensors:
                findings.count("deltas")
                file.check_content(name)
    except MergestoreError as error:
        findings.add(error, version.reference)


def _check_statistics(
    session: Session,
    home: Home,
    collected: Iterable[Statistics],
    versions: Iterable[ModelVersion],
    findings: _Findings,
) -> None:
    """What was collected of skills: whether it is what the records say it is."""
    references = {version.id: version.reference for version in versions}
    for record in collected:
        findings.count("statistics")
        try:
            with open_statistics(session, home, record.digest, verified=True) as file:
                for payload in file.manifest.payloads:
                    file.check_content(payload)
        except MergestoreError as error:
            findings.add(error, _told(record, references))


def _check_outputs(home: Home, made: Iterable[Materialization], findings: _Findings, progress: Progress) -> None:
    """Results in the cache, wherever the store lies by now, and published folders that are still where they were
    written. One that was moved or deleted is its owner's affair.
    """
    for folder in _folders(home, made):
        findings.count("materializations")
        try:
            findings.problems += lasting_problems(folder, progress)
        except EnvironmentFailure as error:
            findings.add_of_file(error, str(folder))


def _folders(home: Home, made: Iterable[Materialization]) -> Iterator[Path]:
    seen = set()
    for each in made:
        folder = home.cached(each.recipe_digest) if each.cached else Path(each.path) if each.path else None
        if folder is not None and _is_published(folder):
            place = folder.resolve()  # it may go by several paths
            if place not in seen:
                seen.add(place)
                yield folder


def _is_published(folder: Path) -> bool:
    """Whether a manifest is there, or whatever is there cannot be looked at."""
    try:
        return is_there(folder / MANIFEST)
    except EnvironmentFailure as error:
        if is_shortage(error):
            raise
        return True
