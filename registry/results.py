"""What the Store's verbs return: plain values whose ``to_dict`` is the JSON that ``--json`` prints."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from storage.errors import EnvironmentFailure, IntegrityFailure, UsageError


@dataclass(frozen=True)
class Result:
    """Base of every answer: a frozen value that spells itself as JSON."""

    def to_dict(self) -> dict[str, Any]:
        """The answer as JSON-ready values, which it shares: answers may hold thousands of rows."""
        return {name: value.to_dict() if isinstance(value, Result) else value for name, value in vars(self).items()}


@dataclass(frozen=True)
class VersionRef(Result):
    """One version of one name."""

    name: str
    version: int
    digest: str


@dataclass(frozen=True)
class RegisteredBase(Result):
    """Answer of ``register base``; ``created`` is False when this content was registered before.

    ``notes`` are findings a person should read.
    """

    name: str
    version: int
    digest: str
    tensors: int
    parameters: int
    bytes: int
    created: bool
    referenced: bool
    licence: str | None
    source: str
    notes: list[str]


@dataclass(frozen=True)
class RegisteredSkill(Result):
    """Answer of ``register skill``; ``notes`` are findings a person should read (advice, prefix, heads)."""

    name: str
    version: int
    digest: str
    base: VersionRef
    encoding: str
    values: str | None
    drop_rate: float | None
    seed: int | None
    density: float | None
    trim: str | None
    stored_bytes: int
    bits_per_parameter: float
    statistics: dict[str, Any]
    notes: list[str]
    created: bool
    licence: str | None
    source: str


@dataclass(frozen=True)
class Merged(Result):
    """Answer of ``merge``: a named, versioned recipe; ``notes`` are findings a person should read.

    ``unified``: what was stored of a merge by ``emr``.
    """

    name: str
    version: int
    recipe_digest: str
    recipe: dict[str, Any]
    expression: str
    created: bool
    notes: list[str]
    unified: dict[str, Any] | None = None


@dataclass(frozen=True)
class Materialized(Result):
    """Answer of ``materialize``."""

    recipe_digest: str
    output_digest: str
    path: str
    device: str
    seconds: float
    cached: bool
    materialization_id: str
    mlflow_run_id: str | None
    bytes: int
    notes: list[str]


@dataclass(frozen=True)
class CollectedStatistics(Result):
    """Answer of ``stats collect``; ``created`` is False when the same statistics were collected before.

    ``model_digest``: of the model that was run; ``data_digest``: SHA-256 of the data file; ``tensors``: how many of the
    base's there is something for, in so many ``bytes``. ``notes`` are findings a person should read.
    """

    skill: VersionRef
    kind: str
    digest: str
    model_digest: str
    data_digest: str
    examples: int
    settings: dict[str, Any]
    tensors: int
    bytes: int
    notes: list[str]
    created: bool


@dataclass(frozen=True)
class MaterializedAdapter(Materialized):
    """Answer of ``materialize --as lora``; ``adapter`` is what the folder's manifest tells of it.

    ``error`` and ``energy`` of the whole and of each of ``layers``: ‖what is left‖/‖delta‖ in the Frobenius norm, and
    the share of ‖delta‖² that is kept; ``modules_to_save``, ``saved``, ``biases`` and ``dropped`` tensors.
    """

    adapter: dict[str, Any]


@dataclass(frozen=True)
class Checked(Result):
    """Answer of ``check``: what a target means, what keeps it from being materialized, and what that would take.

    ``problems``: {kind, message, hint} each, in the order in which ``materialize`` would meet them; ``exit_code`` is
    that of the first, or 0. ``violations``: those of them by which a policy refuses it, {policy, rule, subject, what,
    found, allowed, forbidden, path, way}, the path from step to step. ``warnings`` keep nothing from being done.
    ``resources`` and ``interference`` are None
    where a problem stands before them, the latter also where it was not asked for. ``plot``: the picture's path.
    """

    ok: bool
    exit_code: int
    expression: str
    method: str | None
    recipe_digest: str | None
    problems: list[dict[str, Any]]
    violations: list[dict[str, Any]]
    warnings: list[dict[str, Any]]
    inputs: list[dict[str, Any]]
    needs: list[dict[str, Any]]
    licences: dict[str, Any]
    policies: list[dict[str, str]]
    resources: dict[str, Any] | None
    interference: dict[str, Any] | None
    plot: str | None


@dataclass(frozen=True)
class Loaded(Result):
    """What resident mode loaded: by its recipe digest it can be traced, and materialized again."""

    expression: str
    recipe_digest: str
    recipe: dict[str, Any]
    device: str
    engine: str
    seconds: float


@dataclass(frozen=True)
class Footprint(Result):
    """Bytes that resident mode takes: the base's, and each skill's by its reference."""

    base: int
    skills: dict[str, int]

    @property
    def total(self) -> int:
        """Of all together."""
        return self.base + sum(self.skills.values())


@dataclass(frozen=True)
class Audit(Result):
    """Answer of ``audit``: the lineage of a version or a result, down to bases and skills, and what came of it.

    ``name`` and ``version`` are None of a recipe that no merge names, ``kind`` is then "result". ``descendants`` are
    versions made from it, newest first. ``licences``: of all that went in, {expression, stated, unknown, paths, note}.
    ``counts`` of materializations, evaluations, descendants by kind, and events say how many there are, where only the
    newest were asked for. ``attestations``: what is signed of its outputs. ``checks``: of a folder, {what, ok, detail}
    each; ``recorded``: whether the store knows it, or a manifest alone is what is told.
    """

    name: str | None
    version: int | None
    kind: str
    digest: str
    expression: str | None
    recipe_digest: str | None
    recipe: dict[str, Any] | None
    lineage: dict[str, list[dict[str, Any]]]  # {"nodes": [...], "edges": [...]}
    licences: dict[str, Any]
    descendants: list[dict[str, Any]]
    counts: dict[str, Any]  # {"materializations": int, "evaluations": int, "descendants": {kind: int}, "events": int}
    materializations: list[dict[str, Any]] = field(default_factory=list)
    evaluations: list[dict[str, Any]] = field(default_factory=list)
    attestations: list[dict[str, Any]] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    checks: list[dict[str, Any]] = field(default_factory=list)
    recorded: bool = True


@dataclass(frozen=True)
class Difference(Result):
    """Answer of ``diff``. ``one``, ``other``: {what, kind, digest}. ``made_of``: {what, one, other} where they differ.

    ``tensors``: of those in both, {name, dtypes, shapes, equal (to the bit), distance, norms, cosine}, the last three
    None where values cannot be compared. ``deltas``: whether norms and cosines are those of deltas from a common base.
    ``only``: names that one side alone has. ``whole``: {equal, differing, distance, norms, cosine} over all tensors.
    """

    one: dict[str, Any]
    other: dict[str, Any]
    made_of: list[dict[str, Any]]
    deltas: bool
    tensors: list[dict[str, Any]]
    only: dict[str, list[str]]
    whole: dict[str, Any]


@dataclass(frozen=True)
class Found(Result):
    """Answer of ``find``: a page of what was asked for, newest first; ``total`` is how many there are on all pages."""

    kind: str
    rows: list[dict[str, Any]]
    total: int
    page: int
    pages: int


@dataclass(frozen=True)
class Impact(Result):
    """Answer of ``impact``: what contains a version, directly or through others.

    ``pinned``, ``yanked``: {reason, by, at} if it is.
    ``versions``: newest first, each with its ``aliases``. ``aliases``: all that lead to the version or to one of those.
    ``materializations``: newest first, of named merges and of expressions, each with the ``merge`` that it is of, and
    whether it is still ``there``. ``counts``: {"versions": {kind: int}, "materializations": int}.
    """

    name: str
    version: int
    kind: str
    digest: str
    state: str
    reason: str | None
    yanked: dict[str, Any] | None
    pinned: dict[str, Any] | None
    versions: list[dict[str, Any]]
    aliases: list[str]
    materializations: list[dict[str, Any]]
    counts: dict[str, Any]


@dataclass(frozen=True)
class Influence(Result):
    """Answer of ``audit --tensor``: of each tensor {name, shape, dtype, skills}, a skill being {skill, tensor, weight,
    norm, share, kept, elements}: ‖δ‖ as registered, its share of Σ |w|·‖δ‖, and how many of its values are stored.

    ``recorded``: whether a store told it; a folder's manifest tells no norms but those of what was left as it was, 0.
    """

    name: str | None
    version: int | None
    recipe_digest: str
    tensors: list[dict[str, Any]]
    recorded: bool = True


@dataclass(frozen=True)
class Rebuilt(Result):
    """Answer of ``audit --rebuild``: a result made again from its lineage, and compared.

    ``ok``: None where nothing was there to compare with. ``compared``: {what, ok, detail} for each record and folder.
    ``folders``: {folder, ok, differing, tensors, problems}, which tells how many tensors differ and names the first.
    ``gone``: folders where results were put, and are not any more.
    ``differing``: {where, tensor, recorded, made, found} of those tensors, with the digests that the folder's manifest
    records, that was made, and that its bytes have where it is not the recorded one. ``receipt``: number of the audit
    event that keeps this answer.
    """

    ok: bool | None
    recipe_digest: str
    output_digest: str
    tensors: int
    device: str
    engine: str
    seconds: float
    compared: list[dict[str, Any]]
    folders: list[dict[str, Any]]
    gone: list[str]
    differing: list[dict[str, Any]]
    receipt: int


@dataclass(frozen=True)
class Exported(Result):
    """Answer of ``export``: the file, and what is in it.

    ``bundle``: the bundle's own digest, SHA-256 of its manifest. ``versions``: {name, version, kind, digest, state}.
    ``needs``: {reference, kind, digest} of what is not in it, and must be in the store that imports it.
    """

    path: str
    bundle: str
    bytes: int
    blobs: int
    versions: list[dict[str, Any]]
    needs: list[dict[str, Any]]


@dataclass(frozen=True)
class Imported(Result):
    """Answer of ``import``: from where a bundle came, and what became of each of its versions.

    ``exported``: {by, at, store}. ``versions``: {was, name, version, kind, digest, created, added}, ``was`` being the
    reference in the bundle and ``added`` what a version that was there before gained. ``blobs`` that were stored, and
    their ``bytes``. With ``dry_run`` it is what would be. ``notes`` are findings a person should read.
    """

    path: str
    bundle: str
    exported: dict[str, Any]
    dry_run: bool
    versions: list[dict[str, Any]]
    blobs: int
    bytes: int
    notes: list[str]


@dataclass(frozen=True)
class Verification(Result):
    """Answer of ``verify``: ``problems`` each name what, where and what to do; ``checked`` counts by kind."""

    ok: bool
    checked: dict[str, int]
    problems: list[dict[str, Any]]

    @property
    def damaged(self) -> bool:
        """Whether something is not as it was.

        Problems of kind usage, as in a policy file, are somebody's mistakes; of kind environment is what could not be
        looked at.
        """
        return bool({problem["kind"] for problem in self.problems} - {UsageError.kind, EnvironmentFailure.kind})

    @property
    def exit_code(self) -> int:
        """What a command ends with: 6 for damage, else 7 where something could not be looked at, else 2 or 0."""
        if self.damaged:
            return IntegrityFailure.exit_code
        if any(problem["kind"] == EnvironmentFailure.kind for problem in self.problems):
            return EnvironmentFailure.exit_code
        return 0 if self.ok else UsageError.exit_code


@dataclass(frozen=True)
class Inspection(Verification):
    """Answer of ``check_store``: ``problems`` each name what, where, what to do, and the ``digest`` of an object.

    ``checked`` counts by kind. ``read`` and ``left``, which time did not allow: {objects, bytes} of those asked for.
    ``references``: files that lie where they were registered; their sizes are compared, and ``verify`` reads them.
    ``read_since``: when the object was read that was not read for longest; None while some were never read whole and
    sound (``never_read``), or are missing. ``unneeded``: objects that no record names. ``strangers``: files among the
    objects that are none.
    """

    read: dict[str, int]
    left: dict[str, int]
    references: int
    never_read: int
    read_since: str | None
    unneeded: int
    strangers: list[str]
    seconds: float


@dataclass(frozen=True)
class Repaired(Result):
    """Answer of ``repair``: what was not as it was stored, and what became of it.

    ``objects``: {digest, bytes, was, of, state, how}; was ``missing`` or ``damaged``; state ``mended``, ``can be
    mended`` or ``lost``. ``lost``: {version, kind, contained_in, aliases, materializations} of each version that is not
    whole any more. ``caches``: damaged results in the cache, which are deleted. ``records``: contradictions among the
    records, which only a backup mends, and triggers and indexes that are gone, which ``init`` puts back.
    ``references``: problems of files that lie where they were registered, for whoever has them to put back there.
    ``unreadable``: objects and results in the cache that this user has no right to read, and that may be sound.
    ``referenced``: how many files of bases lie where they were registered: of these only ``verify`` reads the bytes.
    """

    applied: bool
    ok: bool
    objects: list[dict[str, Any]]
    lost: list[dict[str, Any]]
    caches: list[str]
    records: list[dict[str, Any]]
    references: list[dict[str, Any]]
    unreadable: list[dict[str, Any]]
    referenced: int

    @property
    def exit_code(self) -> int:
        """What a command ends with: 6 for damage that is left, else 7 where something could not be looked at, or 0."""
        left = self.records or any(each["state"] != "mended" for each in self.objects)
        if left or any(each["kind"] != EnvironmentFailure.kind for each in self.references):
            return IntegrityFailure.exit_code
        return 0 if self.ok else EnvironmentFailure.exit_code


@dataclass(frozen=True)
class Collected(Result):
    """Answer of ``collect_garbage``: what nothing needs, and what became of it.

    ``objects``: {digest, bytes, state, found_at}; state ``found`` for the first time, ``waits`` for its time to run
    out, or ``deleted``. ``leftovers`` of work that was cut short: {path, bytes, changed_at}. ``writers``: how many
    store bytes just now, and hold back what was found since they began. ``strangers``: files among the objects that
    are none. ``evicted``: results taken out of the cache for its limit, {path, bytes, state}.
    """

    applied: bool
    grace_seconds: float
    objects: list[dict[str, Any]]
    leftovers: list[dict[str, Any]]
    deleted_bytes: int
    waiting_bytes: int
    writers: int
    evicted: list[dict[str, Any]]
    strangers: list[str]


@dataclass(frozen=True)
class BackedUp(Result):
    """Answer of ``backup``: what is in the folder now, and what of it was ``copied`` this time.

    ``mended``: of these, objects of the backup before that were damaged or missing in it. ``lost``: objects that the
    records name, and that are damaged or missing in the store and in the backup before.
    """

    path: str
    ok: bool
    created: bool
    objects: int
    bytes: int
    copied: int
    copied_bytes: int
    mended: list[str]
    lost: list[str]
    audit_head: dict[str, Any]
    notes: list[str]


@dataclass(frozen=True)
class Restored(Result):
    """Answer of ``restore``: where the store is now, and as of when.

    ``elsewhere``: its registry is not in its folder, so every later command must be told the database. ``checked``: the
    backup was only read. ``lost``: objects that the records name and that are not there. ``unneeded``: how many there
    are in an object storage that the records do not name, stored after the backup was made: ``gc`` deletes them.
    """

    source: str
    home: str
    database: str | None
    elsewhere: bool
    checked: bool
    ok: bool
    created_at: str | None
    objects: int
    bytes: int
    lost: list[str]
    unneeded: int
    audit_head: dict[str, Any]


@dataclass(frozen=True)
class Attested(Result):
    """Answer of ``attest``: the in-toto ``statement`` about a published folder, and the DSSE ``envelope`` around it.

    ``subjects``: how many it is about. ``created`` is False where the same was attested before, or nothing was signed.
    ``output``: the file that it was written to. ``notes`` are findings a person should read.
    """

    path: str
    output_digest: str
    recipe_digest: str
    materialization_id: str
    key_id: str | None
    subjects: int
    created: bool
    notes: list[str]
    statement: dict[str, Any]
    envelope: dict[str, Any] | None
    output: str | None


@dataclass(frozen=True)
class Anchored(Result):
    """Answer of ``anchor``: the last event of the audit chain, and the DSSE ``envelope`` if it was signed."""

    anchor: dict[str, Any]
    key_id: str | None
    notes: list[str]
    envelope: dict[str, Any] | None
    output: str | None


@dataclass(frozen=True)
class Listing(Result):
    """Answer of ``list``: arrays of {name, version, digest, state, created_at, …}, newest versions only."""

    bases: list[dict[str, Any]] = field(default_factory=list)
    skills: list[dict[str, Any]] = field(default_factory=list)
    merges: list[dict[str, Any]] = field(default_factory=list)
