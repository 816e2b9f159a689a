"""What an import would do, decided from the manifest and the records: what is known, what is new, and as what."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from merging.recipes.stored import read_recipe
from registry.bundles.gathering import Gathering
from registry.bundles.manifest import Attested, Bundle, Collected, Entry, Need, Score, plain
from registry.records.attestations import attestations
from registry.records.catalog import find_model, versions
from registry.records.names import validate_name
from registry.records.statistics import statistics_of_content
from registry.records.tables import STATISTICS_KINDS, Model, ModelVersion
from storage.checkpoints.tensors import listed
from storage.digests import canonical_json
from storage.errors import Conflict, NotFound, UsageError

_OTHER_NAME = "import it under other names: --as NAME for the one that was exported, --namespace NAME for all"


@dataclass(frozen=True)
class Naming:
    """Under which names versions are imported: ``name`` for what was asked for, ``namespace`` for all of them."""

    name: str | None = None
    namespace: str | None = None


@dataclass(frozen=True)
class Planned:
    """One version of a bundle: its name and number in this store, and what is recorded of it.

    ``known``: the version that it is already; ``twin``: the one of this bundle that it is the same as.
    """

    entry: Entry
    name: str
    version: int
    known: ModelVersion | None
    twin: str | None
    statistics: tuple[Collected, ...]
    evaluations: tuple[Score, ...]
    attestations: tuple[Attested, ...]

    @property
    def created(self) -> bool:
        """Whether the version itself is new."""
        return self.known is None and self.twin is None

    @property
    def added(self) -> dict[str, int]:
        """How much is new of what comes with a version."""
        counts = {name: len(getattr(self, name)) for name in ("statistics", "evaluations", "attestations")}
        return {name: count for name, count in counts.items() if count}

    @property
    def blobs(self) -> Iterator[tuple[str, str]]:
        """The blobs that are stored for it, and of which kind they are."""
        if self.created:
            yield from ((file.blob, file.kind) for file in self.entry.files)
        yield from ((each.blob, "statistics") for each in self.statistics)


@dataclass(frozen=True)
class Plan:
    """All versions in the bundle's order, and the versions of this store that they need, by the bundle's reference."""

    planned: tuple[Planned, ...]
    needed: Mapping[str, ModelVersion]

    @property
    def blobs(self) -> dict[str, str]:
        """Every blob that is stored, and its kind."""
        return dict(pair for each in self.planned for pair in each.blobs)

    @property
    def changes(self) -> bool:
        """Whether anything is recorded."""
        return any(each.created or each.added for each in self.planned)


def make_plan(session: Session, gathering: Gathering, bundle: Bundle, naming: Naming) -> Plan:
    """Decide what becomes of each version. Raises UsageError for names that cannot be given, Conflict for those of
    another kind, NotFound naming all that is not in the bundle and missing here.
    """
    names = _names(bundle, naming)
    planned: list[Planned] = []
    for entry in bundle.versions:
        planned.append(_planned(session, gathering, entry, names[entry.name], planned))
    new = [each.entry for each in planned if each.created]
    needed = _needed(session, bundle, new)
    _require_statistics(session, bundle, new)
    return Plan(tuple(planned), needed)


def _names(bundle: Bundle, naming: Naming) -> dict[str, str]:
    """The new name of each name."""
    asked = {reference.partition("@")[0] for reference in bundle.named}
    every = sorted({entry.name for entry in bundle.versions})
    if naming.name is not None:
        if naming.namespace is not None:
            raise UsageError("--as and --namespace both say how to name", hint="leave one of them out")
        if len(asked) > 1:
            raise UsageError(f"{len(asked)} names were exported ({listed(sorted(asked))})", hint="use --namespace")
        names = {name: validate_name(naming.name) if name in asked else name for name in every}
    elif naming.namespace is not None:
        _check_namespace(naming.namespace)
        names = {name: validate_name(f"{naming.namespace}/{name.rpartition('/')[2]}") for name in every}
    else:
        names = {name: name for name in every}
    if len(set(names.values())) < len(names):
        raise UsageError("two names of the bundle would become one", hint="choose a name that none of them has")
    return names


def _check_namespace(text: str) -> None:
    """Raise UsageError for what cannot stand before the '/' of a name."""
    if "/" in text:
        raise UsageError(
            f"--namespace {text!r} has a '/' in it, and a name has but one, which comes after its namespace",
            hint=f"write one word, as --namespace {text.strip('/').replace('/', '-') or 'lab'}",
        )
    try:
        validate_name(text)
    except UsageError as error:
        raise UsageError(f"--namespace {text!r} is none: {error.message}", hint=error.hint) from error


def _planned(session: Session, gathering: Gathering, entry: Entry, name: str, before: list[Planned]) -> Planned:
    model = find_model(session, name)
    if model is not None and model.kind != entry.kind:
        raise Conflict(f"{entry.reference} is a {entry.kind}, and {name} is a {model.kind} here", hint=_OTHER_NAME)
    there = versions(session, name)
    known = [version for version in there if (version.digest, version.attributes.get("files")) == entry.content]
    twins = [each for each in before if each.created and (each.name, each.entry.content) == (name, entry.content)]
    number = (there[-1].version if there else 0) + sum(each.created and each.name == name for each in before) + 1
    if known or twins:
        number = known[-1].version if known else twins[0].version
    planned = {each.digest for one in before if one.entry.digest == entry.digest for each in one.statistics}
    planned |= _collected(session, entry.digest)
    scores = set(map(_spelled, gathering.scores(known[-1]))) if known else set()
    attested = {row.document for row in attestations(session, {each.subject_digest for each in entry.attestations})}
    return Planned(
        entry,
        name,
        number,
        known[-1] if known else None,
        twins[0].entry.reference if twins and not known else None,
        tuple(each for each in entry.statistics if each.digest not in planned),
        tuple(each for each in entry.evaluations if _spelled(each) not in scores),
        tuple(each for each in entry.attestations if each.document not in attested),
    )


def _spelled(score: Score) -> bytes:
    return canonical_json(plain(score))


def _collected(session: Session, skill: str) -> set[str]:
    """The statistics that this store has of a content, whichever version they stand with."""
    return {record.digest for kind in STATISTICS_KINDS for record in statistics_of_content(session, skill, kind)}


def _needed(session: Session, bundle: Bundle, new: list[Entry]) -> dict[str, ModelVersion]:
    """The versions of this store that new ones were made from. Raises NotFound naming those that it lacks."""
    used = {parent.reference for entry in new for parent in entry.parents}
    # A recipe names the files beside the weights of its base, too: its results are published with them.
    whole = {entry.recipe["base"] for entry in new if entry.recipe is not None}
    found: dict[str, ModelVersion] = {}
    missing: list[Need] = []
    for need in bundle.needs:
        if need.reference in used:
            version = _like(session, need, exactly=need.digest in whole)
            if version is None:
                missing.append(need)
            else:
                found[need.reference] = version
    if missing:
        told = "; ".join(f"{need.kind} {need.reference} ({need.digest})" for need in missing)
        raise NotFound(
            f"this store lacks what the bundle's versions were made from: {told}",
            hint="register or import that first, or export with --lineage",
            details={"missing": [{"reference": need.reference, "digest": need.digest} for need in missing]},
        )
    return found


def _like(session: Session, need: Need, *, exactly: bool) -> ModelVersion | None:
    """The version here that has a content, if there is one; best with the same files, then ready, then of that name."""
    query = select(ModelVersion).join(Model).where(ModelVersion.digest == need.digest, Model.kind == need.kind)
    name = need.reference.partition("@")[0]

    def fits(version: ModelVersion) -> tuple[bool, bool, bool, int]:
        same = version.attributes.get("files") == need.files
        return same, version.state == "ready", version.name == name, version.id

    found = [version for version in session.scalars(query) if fits(version)[0] or not exactly]
    return max(found, key=fits, default=None)


def _require_statistics(session: Session, bundle: Bundle, new: list[Entry]) -> None:
    """New merges find the statistics that they merge with."""
    brought = {each.digest for entry in bundle.versions for each in entry.statistics}
    for entry in new:
        used = read_recipe(entry.recipe).statistics if entry.recipe is not None else {}
        for skill, digest in sorted(used.items()):
            if digest not in brought and digest not in _collected(session, skill):
                raise NotFound(
                    f"this store lacks the statistics {digest} of {skill}, with which {entry.reference} merges",
                    hint="export with --lineage, or import the skill first",
                )
