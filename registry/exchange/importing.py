"""A bundle into a store: read once, every byte compared with its digests, every version with what it says it is.

Nothing counts before all of it is sound: contents lie in temporary files, become objects, and one transaction puts the
versions on record. Content that is there already is recognised.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from blake3 import blake3
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from registry.exchange import document as bundles
from registry.exchange.checking import Checked, check_part
from registry.exchange.document import Bundle, Outside, Part, in_namespace, read_document
from registry.exchange.exporting import IMPORTED, SCORED_AT, SCORED_BY, files_of
from registry.home import Home
from registry.merges import record as record_recipe
from registry.merges import resolved_by
from registry.publishing import free_space
from registry.records import events
from registry.records.catalog import create_model_version, find_model, refuse_other_kind, versions, yank
from registry.records.contents import (
    BlobRow,
    TensorRow,
    add_delta,
    add_files,
    add_tensors,
    load_files,
    load_tensors,
    record_blobs,
)
from registry.records.database import reading, writing
from registry.records.evaluations import add_evaluation, evaluations
from registry.records.lineage import add_lineage
from registry.records.names import validate_name
from registry.records.statistics import StatisticsRow, add_statistics, load_statistics
from registry.records.tables import ModelVersion
from registry.registering.skill_rows import delta_row, skill_tensors
from registry.results import Imported
from registry.tokens.companion_files import blob_rows
from registry.tokens.vocabulary import added_tokens
from storage import archives
from storage.digests import is_digest
from storage.errors import EnvironmentFailure, IntegrityFailure, NotFound, UsageError
from storage.files import disk_errors
from storage.progress import Progress

ACTION = "bundle.import"
_SHOWN = 5


@dataclass(frozen=True)
class _Read:
    """A bundle that was read whole: its own digest, what it says, and where its blobs lie meanwhile."""

    digest: str
    bundle: Bundle
    at: Mapping[str, Path]


def import_bundle(
    engine: Engine,
    home: Home,
    path: Path,
    actor: str,
    *,
    namespace: str | None,
    expected: str | None,
    dry_run: bool,
    progress: Progress,
) -> Imported:
    """Take the versions of a bundle into the store, or only try to.

    Raises IntegrityFailure or InputRefused for a bundle that is not sound, NotFound for versions that it was made from
    and that this store lacks, Conflict for a name that is taken by another kind of thing. ``expected``: the SHA-256
    digest that the file must have.
    """
    if expected is not None and not (is_digest(expected) and expected.startswith("sha256:")):
        raise UsageError(f"{expected!r} is no digest of a bundle", hint="it is sha256: and 64 digits, as export tells")
    if namespace is not None:
        validate_name(f"{namespace}/x")
    if not path.is_file():
        raise UsageError(f"there is no bundle {path}", hint="a bundle is the file that `mergestore export` wrote")
    with ExitStack() as stack:
        read = _read(home, path, namespace, stack, progress)
        if expected not in (None, read.digest):
            raise IntegrityFailure(f"{path} is {read.digest}, and {expected} is expected", hint="ask who exported it")
        with reading(engine) as session:
            plan = _Plan.of(session, read.bundle)
            bases = _base_tensors(session, read.bundle, plan)
        checked = _check(read, plan, bases, progress)
        if dry_run:
            told = [
                _told(part, plan.known.get(place), created=place not in plan.known)
                for place, part in enumerate(read.bundle.parts)
            ]
            return Imported(read.digest, told, [], done=False)
        _adopt(home, read)
        with writing(engine) as session:
            return _record(session, home, read, checked, actor)


def _read(home: Home, path: Path, namespace: str | None, stack: ExitStack, progress: Progress) -> _Read:
    """The document and every blob, each in a temporary file of its own, compared with its digests."""
    with disk_errors(f"cannot read {path}"), path.open("rb") as file:
        hashed = _Hashed(file)
        reader = archives.Reader(hashed, str(path))
        told = reader.first(bundles.NAME, bundles.LARGEST)
        bundle = read_document(told, str(path))
        members = bundle.members
        expected = archives.length(iter([(bundles.NAME, len(told)), *((name, size) for name, _, size in members)]))
        if (found := path.stat().st_size) != expected:
            raise IntegrityFailure(f"{path} has {found:,} bytes instead of {expected:,}", hint="copy it again")
        _require_room(home, sum(size for _, _, size in members))
        at = {}
        progress.start("read the bundle", expected)
        try:
            for name, digest, _ in members:
                at[digest] = home.blobs.scratch("import")
                stack.callback(at[digest].unlink, missing_ok=True)
                _take(reader, name, digest, bundle.blobs[digest], at[digest], progress)
            reader.end()
        finally:
            progress.finish()
    if namespace is not None:
        bundle = Bundle(tuple(in_namespace(part, namespace) for part in bundle.parts), bundle.blobs)
        names = {(part.name, part.version) for part in bundle.parts}
        if len(names) < len(bundle.parts):
            raise UsageError(
                f"in namespace {namespace} names of this bundle would be the same", hint="import it without --namespace"
            )
    return _Read(f"sha256:{hashed.hasher.hexdigest()}", bundle, at)


class _Hashed:
    """A file whose bytes are hashed as they are read."""

    def __init__(self, file: BinaryIO):
        self._file = file
        self.hasher = hashlib.sha256()

    def read(self, size: int) -> bytes:
        data = self._file.read(size)
        self.hasher.update(data)
        return data


def _require_room(home: Home, size: int) -> None:
    free = free_space(home.root)
    if free < size:
        raise EnvironmentFailure(
            f"the bundle holds {size:,} bytes, and {free:,} are free at {home.root}",
            hint="free some space, then run the same command again",
        )


def _take(
    reader: archives.Reader, name: str, digest: str, told: bundles.Content, scratch: Path, progress: Progress
) -> None:
    own, public = blake3(max_threads=blake3.AUTO), hashlib.sha256()
    with disk_errors(f"cannot write {scratch}"), scratch.open("xb") as file:

        def consume(piece: bytes) -> None:
            own.update(piece)
            public.update(piece)
            file.write(piece)
            progress.advance(len(piece))

        reader.member(name, told.size, consume)
    found, other = f"blake3:{own.hexdigest()}", f"sha256:{public.hexdigest()}"
    if found != digest or other != told.sha256:
        wrong = f"hashes to {found}" if found != digest else f"has {other} instead of {told.sha256}"
        raise IntegrityFailure(f"{name} of the bundle is damaged: it {wrong}", hint="copy the bundle again")


@dataclass(frozen=True)
class _Plan:
    """What is here already: of the versions of a bundle, by their place, and of those outside."""

    known: Mapping[int, ModelVersion]
    outside: Mapping[Outside, ModelVersion]

    @classmethod
    def of(cls, session: Session, bundle: Bundle) -> _Plan:
        """Raises Conflict or NotFound for what cannot be taken in."""
        for part in bundle.parts:
            refuse_other_kind(session, part.name, part.kind)
        known = {place: found for place, part in enumerate(bundle.parts) if (found := _known(session, part))}
        wanted = {parent.outside for part in bundle.parts for parent in part.parents if parent.outside}
        outside = {each: _find_outside(session, each) for each in sorted(wanted, key=repr)}
        missing = [f"{each.kind} {each.reference} ({each.digest})" for each, here in outside.items() if here is None]
        if missing:
            raise NotFound(
                f"this store lacks what the bundle was made from: {', '.join(missing[:_SHOWN])}",
                hint="import or register that first, or ask for a bundle with --lineage",
            )
        return cls(known, {each: here for each, here in outside.items() if here is not None})


def _known(session: Session, part: Part) -> ModelVersion | None:
    """The version of this content under this name, the newest; a merge is its recipe, others have files beside them."""
    if find_model(session, part.name) is None:
        return None
    files = part.attributes.get("files")
    same = [
        version
        for version in versions(session, part.name)
        if version.digest == part.digest and (part.kind == "merge" or version.attributes.get("files") == files)
    ]
    return same[-1] if same else None


def _find_outside(session: Session, outside: Outside) -> ModelVersion | None:
    """What a version outside is here: of the same content and files beside it; rather ready, and of the same name."""
    query = select(ModelVersion).where(ModelVersion.digest == outside.digest)
    found = [
        version
        for version in session.scalars(query)
        if version.kind == outside.kind and version.attributes.get("files") == outside.files
    ]
    return max(found, key=lambda each: (each.state == "ready", each.name == outside.name, each.id), default=None)


def _base_tensors(session: Session, bundle: Bundle, plan: _Plan) -> dict[int, dict[str, TensorRow]]:
    """The tensors of those bases that are here, by the place of the skill that needs them."""
    found = {}
    for place, part in enumerate(bundle.parts):
        base = part.parents[part.base] if part.base is not None else None
        version = None
        if base is not None and base.outside is not None:
            version = plan.outside[base.outside]
        elif base is not None and base.at is not None:
            version = plan.known.get(base.at)
        if version is not None:
            found[place] = {row.name: row for row in load_tensors(session, version.id)}
    return found


def _check(
    read: _Read, plan: _Plan, bases: Mapping[int, Mapping[str, TensorRow]], progress: Progress
) -> dict[int, Checked]:
    """Every version held to its files; a skill after its base, which stands before it."""
    checked: dict[int, Checked] = {}
    for place, part in enumerate(read.bundle.parts):
        _check_parents(part, read.bundle)
        base = part.parents[part.base] if part.base is not None else None
        tensors = bases.get(place, {})
        if base is not None and base.at is not None and place not in bases:
            tensors = {row.name: row for row in checked[base.at].tensors}
        checked[place] = check_part(part, read.at, tensors, progress)
    return checked


def _check_parents(part: Part, bundle: Bundle) -> None:
    """A parent plays a part that its kind can play."""
    allowed = {"base": ("base",), "skill": ("skill",), "head": ("skill",), "merge": ("merge",)}
    for parent in part.parents:
        kind = bundle.parts[parent.at].kind if parent.at is not None else parent.outside and parent.outside.kind
        if kind not in allowed[parent.role]:
            raise IntegrityFailure(f"{part.reference} in the bundle: a {kind} cannot be the {parent.role} of something")
    if part.base is not None and part.parents[part.base].role != "base":
        raise IntegrityFailure(f"{part.reference} in the bundle: its base is none")


def _adopt(home: Home, read: _Read) -> None:
    """Every file becomes an object of the store; what it has already is compared with its name."""
    from storage.blobs import Blob

    for digest, path in read.at.items():
        home.blobs.adopt(path, Blob(digest, read.bundle.blobs[digest].size))


def _check_tokens(session: Session, home: Home, part: Part, base: ModelVersion) -> None:
    """How many tokens a skill's tokenizer has more than its base's is found out of both, not believed."""
    tokens, _ = added_tokens(home, load_files(session, base.id), files_of(part))
    if part.attributes.get("tokens", 0) != len(tokens):
        raise IntegrityFailure(
            f"{part.reference} in the bundle: its tokenizer adds {len(tokens)} tokens, and "
            f"{part.attributes.get('tokens', 0)} are said"
        )


def _record(session: Session, home: Home, read: _Read, checked: Mapping[int, Checked], actor: str) -> Imported:
    """All of it in the caller's transaction, parents first."""
    plan = _Plan.of(session, read.bundle)
    here: dict[int, ModelVersion] = {}
    notes: list[str] = []
    for place, part in enumerate(read.bundle.parts):
        known = plan.known.get(place)
        if known is not None:
            here[place] = known
            if part.yanked is not None and known.state == "ready":
                notes.append(f"{known.reference} was taken out of use where it comes from: {part.yanked}")
        else:
            parents = [(_parent(each, here, plan), each.role) for each in part.parents]
            if part.base is not None:
                _check_tokens(session, home, part, parents[part.base][0])
            here[place] = _create(session, part, checked[place], parents, read, actor)
        _add_statistics(session, part, here[place], read, actor)
        _add_scores(session, part, here[place], actor)
    told = [_told(part, here[place], created=place not in plan.known) for place, part in enumerate(read.bundle.parts)]
    return Imported(read.digest, told, notes, done=True)


def _parent(parent: bundles.Parent, here: Mapping[int, ModelVersion], plan: _Plan) -> ModelVersion:
    if parent.at is not None:
        return here[parent.at]
    assert parent.outside is not None
    return plan.outside[parent.outside]


def _create(
    session: Session,
    part: Part,
    checked: Checked,
    parents: Sequence[tuple[ModelVersion, str]],
    read: _Read,
    actor: str,
) -> ModelVersion:
    """One version with everything about it, as if it had been registered here, and where it comes from."""
    origin = {"bundle": read.digest, "made": dict(vars(part.made))}
    version = create_model_version(
        session,
        name=part.name,
        kind=part.kind,
        digest=part.digest,
        actor=actor,
        licence=part.licence,
        source=part.source,
        attributes={**part.attributes, IMPORTED: origin},
    )
    files = files_of(part)
    if files:
        rows = [
            BlobRow(row.digest, row.size, row.kind, read.bundle.blobs[row.digest].sha256) for row in blob_rows(files)
        ]
        record_blobs(session, rows)
        add_files(session, version, files, actor=actor)
    if part.kind == "base":
        add_tensors(session, version, checked.tensors, actor=actor)
    if checked.manifest is not None:
        add_tensors(session, version, skill_tensors(checked.manifest, checked.statistics), actor=actor)
        assert part.base is not None
        base, _ = parents[part.base]
        delta = next(file for file in files if file.kind == "delta")
        add_delta(session, version, delta_row(base, checked.manifest, checked.statistics, delta), actor=actor)
    if checked.recipe is not None:
        inputs = {(role, parent.digest): parent for parent, role in parents}
        where = f"{part.reference} in the bundle lacks an input of its recipe"
        record_recipe(session, resolved_by(checked.recipe, inputs, "", where), actor=actor)
    if parents:
        add_lineage(session, version, parents, actor=actor)
    if part.yanked is not None:
        yank(session, version, part.yanked, actor=actor)
    events.append(session, actor=actor, action=ACTION, subject=version.reference, details=origin)
    return version


def _add_statistics(session: Session, part: Part, version: ModelVersion, read: _Read, actor: str) -> None:
    there = {each.digest for each in load_statistics(session, [version.id])}
    for each in part.statistics:
        if each.digest in there:
            continue
        content = read.bundle.blobs[each.blob]
        record_blobs(session, [BlobRow(each.blob, content.size, "statistics", content.sha256)])
        row = StatisticsRow(
            each.kind, each.digest, each.blob, each.model, each.data, each.examples, dict(each.settings), actor
        )
        add_statistics(session, version, row)


def _add_scores(session: Session, part: Part, version: ModelVersion, actor: str) -> None:
    recipe = version.digest if version.kind == "merge" else None
    there = evaluations(session, [version.id], [recipe] if recipe else [])
    known = {(each.metric, each.value, each.dataset, *sorted(each.details.items())) for each in there}
    own = {(each.metric, each.value, each.dataset, each.created_by, each.created_at.isoformat()) for each in there}
    for score in part.scores:
        details = {**score.details, SCORED_BY: score.by, SCORED_AT: score.at}
        if (score.metric, score.value, score.dataset, *sorted(details.items())) in known:
            continue
        if (score.metric, score.value, score.dataset, score.by, score.at) in own:
            continue  # it was measured here, and comes back
        add_evaluation(
            session,
            version=version,
            recipe_digest=recipe,
            metric=score.metric,
            value=score.value,
            dataset=score.dataset,
            details=details,
            actor=actor,
        )


def _told(origin: Part, version: ModelVersion | None, *, created: bool) -> dict[str, Any]:
    return {
        "kind": origin.kind,
        "origin": f"{origin.made.name}@{origin.made.version}",
        "reference": version.reference if version is not None else None,
        "name": origin.name,
        "digest": origin.digest,
        "created": created,
    }
