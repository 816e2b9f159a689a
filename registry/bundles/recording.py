"""Putting an imported bundle on record: all of it in the caller's one transaction."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from merging.recipes.stored import read_recipe
from registry.bundles.checking import Checked
from registry.bundles.contents import file_rows
from registry.bundles.gathering import IMPORT
from registry.bundles.manifest import Attested, Bundle, Entry, Origin, plain
from registry.bundles.planning import Plan, Planned
from registry.home import Home
from registry.merges import record, with_inputs
from registry.quota import record_within
from registry.records import events
from registry.records.attestations import add_attestation
from registry.records.catalog import create_model_version
from registry.records.contents import BlobRow, add_delta, add_files, add_tensors
from registry.records.evaluations import add_evaluation
from registry.records.imports import IMPORTED, MEASURED
from registry.records.lineage import add_lineage
from registry.records.readiness import yank
from registry.records.statistics import add_statistics
from registry.records.tables import ModelVersion
from registry.registering.skill_rows import delta_row, skill_tensors
from registry.resolved import ResolvedMerge


@dataclass(frozen=True)
class Recording:
    """A bundle that goes on record, whose blobs are stored."""

    session: Session
    home: Home
    bundle: Bundle
    origin: Origin
    checked: Checked
    actor: str

    def run(self, plan: Plan) -> None:
        """Record all that is new."""
        facts = self.bundle.blobs
        record_within(
            self.session,
            self.home,
            [BlobRow(digest, facts[digest].size, kind, facts[digest].sha256) for digest, kind in plan.blobs.items()],
        )
        made = dict(plan.needed)
        for each in plan.planned:
            made[each.entry.reference] = self._version(each, made)
            self._add(each, made[each.entry.reference])

    def _version(self, planned: Planned, made: Mapping[str, ModelVersion]) -> ModelVersion:
        if planned.known is not None:
            return planned.known
        if planned.twin is not None:
            return made[planned.twin]
        entry = planned.entry
        parents = [(made[parent.reference], parent.role) for parent in entry.parents]
        inputs = {(role, parent.digest): parent for parent, role in parents}
        expression = str(entry.attributes.get("expression", ""))
        resolved = with_inputs(read_recipe(entry.recipe), inputs, expression) if entry.recipe is not None else None
        version = create_model_version(
            self.session,
            name=planned.name,
            kind=entry.kind,
            digest=entry.digest,
            actor=self.actor,
            licence=entry.licence,
            source=entry.source,
            attributes=self._attributes(entry, resolved),
        )
        if resolved is not None:
            record(self.session, resolved, actor=self.actor)
        self._add_contents(entry, version, made)
        if parents:
            add_lineage(self.session, version, parents, actor=self.actor)
        if entry.reason is not None:
            yank(self.session, version, entry.reason, actor=self.actor)
        return version

    def _attributes(self, entry: Entry, resolved: ResolvedMerge | None) -> dict[str, Any]:
        told = json.loads(json.dumps(plain(entry.attributes)))
        if resolved is not None and "unified" in told:
            for share, skill in zip(told["unified"]["skills"], resolved.skills, strict=True):
                share["skill"] = skill.reference
        came = {
            "bundle": self.bundle.digest,
            "exported": plain(self.origin.exported),
            "was": entry.was,
            "made": plain(entry.made),
            "outputs": plain(entry.outputs),
        }
        return {**told, **({"referenced": None} if entry.kind == "base" else {}), IMPORTED: came}

    def _add_contents(self, entry: Entry, version: ModelVersion, made: Mapping[str, ModelVersion]) -> None:
        files = file_rows(entry, self.bundle.blobs)
        if files:
            add_files(self.session, version, files, actor=self.actor)
        if entry.kind == "base":
            add_tensors(self.session, version, self.checked.bases[entry.reference], actor=self.actor)
        if entry.base is not None:
            from storage.deltas.delta import DeltaFile  # compiled kernels stand behind it

            (file,) = (file for file in files if file.kind == "delta")
            assert file.blob_digest is not None
            with DeltaFile.open(self.home.blobs.path(file.blob_digest)) as delta:
                rows = skill_tensors(delta.manifest, delta.statistics)
                row = delta_row(made[entry.base].id, delta.manifest, delta.statistics, file)
            add_tensors(self.session, version, rows, actor=self.actor)
            add_delta(self.session, version, row, actor=self.actor)

    def _add(self, planned: Planned, version: ModelVersion) -> None:
        """What comes with a version, and the event that tells from where it all came."""
        for collected in planned.statistics:
            add_statistics(self.session, version, self.checked.statistics[collected.digest])
        for score in planned.evaluations:
            add_evaluation(
                self.session,
                version=version,
                recipe_digest=version.digest if version.kind == "merge" else None,
                metric=score.metric,
                value=score.value,
                dataset=score.dataset,
                details={**score.details, MEASURED: plain(score.made)},
                actor=self.actor,
            )
        for attested in planned.attestations:
            self._attest(attested, planned.entry)
        if planned.created or planned.added:
            details = {
                "bundle": self.bundle.digest,
                "exported": plain(self.origin.exported),
                "as": planned.entry.reference,
                "created": planned.created,
                "statistics": {each.digest: plain(each.made) for each in planned.statistics},
            }
            events.append(self.session, actor=self.actor, action=IMPORT, subject=version.reference, details=details)

    def _attest(self, attested: Attested, entry: Entry) -> None:
        recipe = next(each.recipe_digest for each in entry.outputs if each.output_digest == attested.subject_digest)
        add_attestation(
            self.session,
            subject_digest=attested.subject_digest,
            predicate_type=attested.predicate_type,
            document=attested.document,
            recipe_digest=recipe,
            key_ids=key_ids(attested.document),
            actor=self.actor,
        )


def key_ids(document: str) -> list[str]:
    """Which keys a statement says that it is signed with; whether it is, tells `verify --key`."""
    try:
        signatures = json.loads(document)["signatures"]
        return sorted({signature["keyid"] for signature in signatures if isinstance(signature["keyid"], str)})
    except (ValueError, LookupError, TypeError, RecursionError):
        return []
