"""What a bundle is made of, out of the records: which versions, in which order, and all that is known of each."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from registry.bundles.attributes import exported
from registry.bundles.manifest import (
    Act,
    Attested,
    BundledFile,
    Collected,
    Entry,
    Need,
    Output,
    Parent,
    Score,
    plain,
)
from registry.bundles.places import BlobPlace
from registry.bundles.reading import moment_text
from registry.home import Home
from registry.opening import place
from registry.published_lineage import public_source
from registry.records import events
from registry.records.attestations import attestations
from registry.records.catalog import look_up
from registry.records.contents import FileRow, load_delta, load_files
from registry.records.evaluations import evaluations
from registry.records.imports import MEASURED, came_from
from registry.records.lineage import parents
from registry.records.recipes import materializations, merge_recipes, recipe_document
from registry.records.statistics import statistics_of_content
from registry.records.tables import STATISTICS_KINDS, Evaluation, Materialization, ModelVersion, Statistics
from storage.digests import canonical_json
from storage.errors import Conflict

IMPORT = "bundle.import"
"""The action of the event that tells from where something came."""


@dataclass(frozen=True)
class Chosen:
    """The versions of a bundle, parents first, what each was made from, and which of them were asked for."""

    named: tuple[str, ...]
    versions: tuple[ModelVersion, ...]
    parents: Mapping[int, Sequence[tuple[ModelVersion, str]]]

    @property
    def needs(self) -> list[ModelVersion]:
        """What others were made from, and is not among them."""
        inside = {version.id for version in self.versions}
        outside = {parent.id: parent for found in self.parents.values() for parent, _ in found}
        return [version for id_, version in sorted(outside.items()) if id_ not in inside]


def choose(session: Session, references: Iterable[str], *, lineage: bool, bases: bool) -> Chosen:
    """The versions that are named, with ``lineage`` all that they came from; without ``bases`` none that is not named.

    Raises Conflict for one in quarantine: what nobody may use is not handed on.
    """
    named = {version.id: version for version in (look_up(session, each) for each in references)}
    found, pending = dict(named), list(named.values())
    above: dict[int, list[tuple[ModelVersion, str]]] = {}
    while pending:
        version = pending.pop()
        if version.state not in ("ready", "yanked"):
            raise Conflict(f"{version.reference} is {version.state}: {version.reason}")
        above[version.id] = parents(session, version.id)
        for parent, _ in above[version.id] if lineage else ():
            if parent.id not in found and (bases or parent.kind != "base"):
                found[parent.id] = parent
                pending.append(parent)
    return Chosen(tuple(sorted(version.reference for version in named.values())), _ordered(found, above), above)


def _ordered(
    found: Mapping[int, ModelVersion], above: Mapping[int, Sequence[tuple[ModelVersion, str]]]
) -> tuple[ModelVersion, ...]:
    """Parents before children, earlier versions of a name before later ones, else by name: ids are a store's own."""
    before = {id_: {parent.id for parent, _ in above[id_] if parent.id in found} for id_ in found}
    by_name: dict[str, ModelVersion] = {}
    for version in sorted(found.values(), key=lambda version: version.version):
        if version.name in by_name:
            before[version.id].add(by_name[version.name].id)
        by_name[version.name] = version
    after: dict[int, list[int]] = {}
    for id_, earlier in before.items():
        for each in earlier:
            after.setdefault(each, []).append(id_)
    ready = [(found[id_].name, found[id_].version, id_) for id_, earlier in before.items() if not earlier]
    heapq.heapify(ready)
    order = []
    while ready:
        _, _, id_ = heapq.heappop(ready)
        order.append(found[id_])
        for later in after.get(id_, ()):
            before[later].discard(id_)
            if not before[later]:
                heapq.heappush(ready, (found[later].name, found[later].version, later))
    return tuple(order)


@dataclass(frozen=True)
class Gathering:
    """The store that versions leave. ``referenced``: digests of files that lie outside of it, by their path."""

    session: Session
    home: Home
    store: str
    referenced: Mapping[Path, str]

    def entry(self, version: ModelVersion, above: Sequence[tuple[ModelVersion, str]]) -> Entry:
        """All that is known of a version, which was made from ``above``."""
        came = came_from(version)
        delta = load_delta(self.session, version.id)
        merged = version.kind == "merge"
        base = None if delta is None else self.session.get_one(ModelVersion, delta.base_version_id).reference
        outputs = self._outputs(version, came) if merged else []
        return Entry(
            name=version.name,
            version=version.version,
            kind=version.kind,
            digest=version.digest,
            state=version.state,
            reason=version.reason,
            licence=version.licence,
            source=public_source(version.source),
            attributes=exported(version.attributes),
            files=tuple(self._files(version)),
            parents=tuple(sorted(Parent(role, parent.reference) for parent, role in above)),
            base=base,
            recipe=recipe_document(self.session, version.digest) if merged else None,
            statistics=tuple(self._statistics(version)) if version.kind == "skill" else (),
            evaluations=tuple(self.scores(version)),
            attestations=tuple(self._attestations(outputs)),
            outputs=tuple(outputs),
            was=came["was"] if came else version.reference,
            made=Act(**came["made"]) if came else self._act(version),
        )

    def places(self, version: ModelVersion) -> dict[str, BlobPlace]:
        """Where the blobs of a version lie."""
        blobs = self.home.blobs
        found = {}
        for file in load_files(self.session, version.id):
            referenced = place(self.home, file) if file.blob_digest is None else None
            found[self._blob(file)] = BlobPlace(blobs, self._blob(file), referenced)
        if version.kind == "skill":
            for record in self._collected(version):
                found[record.blob_digest] = BlobPlace(blobs, record.blob_digest)
        return found

    def scores(self, version: ModelVersion) -> list[Score]:
        """The evaluations of a version."""
        recipes = [version.digest] if version.kind == "merge" else []
        return _sorted(map(self._score, evaluations(self.session, [version.id], recipes)))

    def _files(self, version: ModelVersion) -> list[BundledFile]:
        files = load_files(self.session, version.id)
        return [BundledFile(file.path, file.kind, self._blob(file)) for file in files]

    def _blob(self, file: FileRow) -> str:
        return file.blob_digest or self.referenced[place(self.home, file)]

    def _act(self, record: ModelVersion | Statistics | Evaluation | Materialization) -> Act:
        return Act(record.created_by, str(moment_text(record.created_at)), self.store)

    def _statistics(self, version: ModelVersion) -> list[Collected]:
        return [
            Collected(record.digest, record.blob_digest, collected_elsewhere(self.session, record) or self._act(record))
            for record in self._collected(version)
        ]

    def _collected(self, version: ModelVersion) -> list[Statistics]:
        """What was collected of this content: a merge may use what stands with another version of it."""
        kinds = (statistics_of_content(self.session, version.digest, kind) for kind in STATISTICS_KINDS)
        found = {record.digest: record for records in kinds for record in reversed(records)}
        return [found[digest] for digest in sorted(found)]

    def _score(self, record: Evaluation) -> Score:
        details = dict(record.details)
        came = details.pop(MEASURED, None)
        act = Act(**came) if came else self._act(record)
        return Score(record.metric, record.value, record.dataset, details, act)

    def _outputs(self, version: ModelVersion, came: Mapping[str, Any] | None) -> list[Output]:
        """What came out of a merge, here and where it was before: of each output the first time."""
        made = materializations(self.session, merge_recipes(self.session, version.id, version.digest))
        found = [Output(**{**each, "made": Act(**each["made"])}) for each in (came or {}).get("outputs", ())]
        found += [
            Output(each.recipe_digest, each.output_digest, each.device, each.engine, each.versions, self._act(each))
            for each in made
        ]
        first: dict[tuple[str, str], Output] = {}
        for output in sorted(found, key=lambda output: output.made.at):
            first.setdefault((output.recipe_digest, output.output_digest), output)
        return [first[key] for key in sorted(first)]

    def _attestations(self, outputs: Iterable[Output]) -> list[Attested]:
        rows = attestations(self.session, {output.output_digest for output in outputs})
        return _sorted(Attested(row.predicate_type, row.subject_digest, row.document) for row in rows)


def needed(version: ModelVersion) -> Need:
    """What the bundle says of a version that is not in it."""
    return Need(version.reference, version.kind, version.digest, version.attributes.get("files"))


def collected_elsewhere(session: Session, record: Statistics) -> Act | None:
    """Who collected imported statistics, and where; None for what was collected in this store."""
    skill = session.get_one(ModelVersion, record.version_id)
    for event in events.of(session, [skill.reference]):
        if event["action"] == IMPORT and record.digest in event["details"]["statistics"]:
            return Act(**event["details"]["statistics"][record.digest])
    return None


def _sorted(values: Iterable[Any]) -> list[Any]:
    return sorted(values, key=lambda value: canonical_json(plain(value)))
