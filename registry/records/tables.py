"""The records of the registry: what exists, as SQLAlchemy 2 typed models. Alembic owns the schema.

Rows are written by the functions of ``registry.records.catalog`` and its neighbours, never by hand: those keep the
audit chain. Digests are text with their prefix; times are aware and in UTC, on every database.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import (
    CheckConstraint,
    ForeignKeyConstraint,
    Index,
    UniqueConstraint,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from registry.records.columns import Document, Large, Record, Shape, Words, is_digest, now, one_of, refers_to

KINDS = ("base", "skill", "merge")
STATES = ("ready", "yanked", "quarantined")
FILE_KINDS = ("weights", "companion", "delta")
BLOB_KINDS = (*FILE_KINDS, "statistics")
ENCODINGS = ("dare", "exact", "magnitude", "sign", "lora")
VALUES = ("int4", "bf16", "exact")
INPUT_ROLES = ("base", "skill", "head")
STATISTICS_KINDS = ("gram", "fisher")
LINEAGE_ROLES = ("base", "skill", "head", "merge")


class Model(Record):
    """A name and what kind of thing it names; names are unique across kinds."""

    __tablename__ = "model"
    __table_args__ = (one_of("kind", KINDS),)

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(Words(128), unique=True)
    kind: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(default=now)
    created_by: Mapped[str]


class ModelVersion(Record):
    """One immutable version of a model. Only its state and the reason of that may change.

    ``digest`` is the model digest of a base, the digest of a skill's delta, the recipe digest of a merge.
    Ids only grow and are never used again: lineage depends on it.
    """

    __tablename__ = "model_version"
    __table_args__ = (
        UniqueConstraint("model_id", "version"),
        UniqueConstraint("model_id", "id"),  # what an alias refers to
        CheckConstraint("version >= 1", name="version"),
        one_of("state", STATES),
        CheckConstraint("state = 'ready' OR reason IS NOT NULL", name="reason"),
        is_digest("digest"),
        Index(None, "digest"),
        Index(None, "licence"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    model_id: Mapped[int] = refers_to("model.id")
    version: Mapped[int]
    digest: Mapped[str]
    state: Mapped[str] = mapped_column(default="ready", server_default="ready")
    reason: Mapped[str | None]
    licence: Mapped[str | None]
    source: Mapped[str | None]
    attributes: Mapped[Document] = mapped_column(default=dict)
    created_at: Mapped[datetime] = mapped_column(default=now)
    created_by: Mapped[str]

    model: Mapped[Model] = relationship(lazy="joined", innerjoin=True)

    @property
    def name(self) -> str:
        """The model's name."""
        return self.model.name

    @property
    def kind(self) -> str:
        """The model's kind: base, skill or merge."""
        return self.model.kind

    @property
    def reference(self) -> str:
        """``name@version``: how people, events and lineage name this version."""
        return f"{self.model.name}@{self.version}"


class Alias(Record):
    """A movable name for one version of a model."""

    __tablename__ = "alias"
    __table_args__ = (
        ForeignKeyConstraint(
            ["model_id", "version_id"], ["model_version.model_id", "model_version.id"], ondelete="RESTRICT"
        ),
    )

    model_id: Mapped[int] = mapped_column(primary_key=True)
    alias: Mapped[str] = mapped_column(Words(128), primary_key=True)
    version_id: Mapped[int]
    updated_at: Mapped[datetime] = mapped_column(default=now)
    updated_by: Mapped[str]


class AliasEvent(Record):
    """One move of an alias; no version after it means that the alias was removed."""

    __tablename__ = "alias_event"
    __table_args__ = (Index(None, "model_id", "alias"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    model_id: Mapped[int] = refers_to("model.id")
    alias: Mapped[str] = mapped_column(Words(128))
    version_id: Mapped[int | None] = refers_to("model_version.id")
    previous_version_id: Mapped[int | None] = refers_to("model_version.id")
    at: Mapped[datetime] = mapped_column(default=now)
    actor: Mapped[str]


class Blob(Record):
    """A stored file, named by the BLAKE3 digest of its bytes; SHA-256 once it has left the store.

    ``verified_at``: when it was last read whole and found to be what its name says; the epoch where it was not.
    """

    __tablename__ = "blob"
    __table_args__ = (
        is_digest("digest"),
        CheckConstraint("size >= 0", name="size"),
        one_of("kind", BLOB_KINDS),
    )

    digest: Mapped[str] = mapped_column(primary_key=True)
    size: Mapped[int] = mapped_column(Large)
    sha256: Mapped[str | None]
    kind: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(default=now)
    verified_at: Mapped[datetime | None]


class Garbage(Record):
    """An object that no record needed when garbage was looked for; after a while of grace it is deleted."""

    __tablename__ = "garbage"
    __table_args__ = (is_digest("digest"),)

    digest: Mapped[str] = mapped_column(primary_key=True)
    found_at: Mapped[datetime]


class VersionFile(Record):
    """A file of a version: a blob of the store, or a file referenced where it lies."""

    __tablename__ = "version_file"
    __table_args__ = (
        CheckConstraint("(blob_digest IS NULL) <> (referenced_path IS NULL)", name="one_place"),
        CheckConstraint("size >= 0", name="size"),
        one_of("kind", FILE_KINDS),
        Index(None, "blob_digest"),
    )

    version_id: Mapped[int] = refers_to("model_version.id", primary_key=True)
    path: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str]
    size: Mapped[int] = mapped_column(Large)
    blob_digest: Mapped[str | None] = refers_to("blob.digest")
    referenced_path: Mapped[str | None]
    referenced_digest: Mapped[str | None]


class Tensor(Record):
    """A tensor of a version and where its bytes lie; no file for a tensor known by its digest only."""

    __tablename__ = "tensor"
    __table_args__ = (
        ForeignKeyConstraint(
            ["version_id", "file"], ["version_file.version_id", "version_file.path"], ondelete="RESTRICT"
        ),
        is_digest("digest"),
        CheckConstraint('(file IS NULL) = ("offset" IS NULL)', name="place"),
        CheckConstraint('"offset" >= 0 AND nbytes >= 0', name="extent"),
    )

    version_id: Mapped[int] = refers_to("model_version.id", primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    dtype: Mapped[str] = mapped_column(Words(16))
    shape: Mapped[Shape]
    digest: Mapped[str]
    file: Mapped[str | None]
    offset: Mapped[int | None] = mapped_column(Large)
    nbytes: Mapped[int] = mapped_column(Large)
    statistics: Mapped[Document | None]


class Delta(Record):
    """What makes a version a skill: its base, how the delta is stored, and what was measured on it."""

    __tablename__ = "delta"
    __table_args__ = (
        one_of("encoding", ENCODINGS),
        one_of("values", VALUES),
        CheckConstraint(
            "encoding <> 'dare' OR (\"values\" IS NOT NULL AND drop_rate IS NOT NULL AND seed IS NOT NULL)",
            name="dare",
        ),
        CheckConstraint("drop_rate >= 0 AND drop_rate < 1", name="drop_rate"),
        CheckConstraint("seed >= 0", name="seed"),
        CheckConstraint("stored_bytes >= 0", name="stored_bytes"),
        CheckConstraint("base_version_id < version_id", name="base_is_older"),
        Index(None, "base_version_id"),
        Index(None, "blob_digest"),
    )

    version_id: Mapped[int] = refers_to("model_version.id", primary_key=True)
    base_version_id: Mapped[int] = refers_to("model_version.id")
    encoding: Mapped[str]
    values: Mapped[str | None]
    drop_rate: Mapped[float | None]
    seed: Mapped[int | None] = mapped_column(Large)
    parameters: Mapped[Document] = mapped_column(default=dict)
    statistics: Mapped[Document] = mapped_column(default=dict)
    blob_digest: Mapped[str] = refers_to("blob.digest")
    stored_bytes: Mapped[int] = mapped_column(Large)


class Statistics(Record):
    """What was collected of a skill by running its model on data: the identity, the file, and how it came to be."""

    __tablename__ = "statistics"
    __table_args__ = (
        UniqueConstraint("version_id", "digest"),
        one_of("kind", STATISTICS_KINDS),
        is_digest("digest"),
        is_digest("model_digest"),
        is_digest("data_digest"),
        CheckConstraint("examples >= 1", name="examples"),
        Index(None, "digest"),
        Index(None, "blob_digest"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    version_id: Mapped[int] = refers_to("model_version.id")
    kind: Mapped[str]
    digest: Mapped[str]
    blob_digest: Mapped[str] = refers_to("blob.digest")
    model_digest: Mapped[str]
    data_digest: Mapped[str]
    examples: Mapped[int] = mapped_column(Large)
    settings: Mapped[Document]
    created_at: Mapped[datetime] = mapped_column(default=now)
    created_by: Mapped[str]


class Recipe(Record):
    """A recipe, named by the SHA-256 of its canonical JSON text, which is kept byte for byte."""

    __tablename__ = "recipe"
    __table_args__ = (is_digest("digest"),)

    digest: Mapped[str] = mapped_column(primary_key=True)
    canonical: Mapped[str]
    method: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(default=now)


class RecipeInput(Record):
    """One version that a recipe reads, in the recipe's order."""

    __tablename__ = "recipe_input"
    __table_args__ = (
        one_of("role", INPUT_ROLES),
        CheckConstraint("position >= 0", name="position"),
        Index(None, "version_id"),
    )

    recipe_digest: Mapped[str] = refers_to("recipe.digest", primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    version_id: Mapped[int] = refers_to("model_version.id")
    weight: Mapped[float | None]
    role: Mapped[str]


class LineageEdge(Record):
    """``child`` was made from ``parent``. A child is younger than its parent, so no cycle can be written."""

    __tablename__ = "lineage_edge"
    __table_args__ = (
        one_of("role", LINEAGE_ROLES),
        CheckConstraint("child_version_id > parent_version_id", name="acyclic"),
        Index(None, "parent_version_id"),
    )

    child_version_id: Mapped[int] = refers_to("model_version.id", primary_key=True)
    parent_version_id: Mapped[int] = refers_to("model_version.id", primary_key=True)
    role: Mapped[str] = mapped_column(primary_key=True)


class Materialization(Record):
    """One computation of a recipe: what came out, where it went, with what and how long it took.

    ``cached`` says that ``path`` lies in the store's cache, which may be emptied, not in a user's folder.
    ``mlflow_version``: the number of the registered model's version, of a named merge.
    """

    __tablename__ = "materialization"
    __table_args__ = (
        is_digest("output_digest"),
        CheckConstraint("seconds >= 0 AND bytes >= 0", name="measured"),
        Index(None, "recipe_digest", "created_at", "id"),  # the newest of some recipes, from the index alone
        Index(None, "merge_version_id"),
        Index(None, "output_digest"),
        Index(None, "created_at", "id"),
    )

    id: Mapped[str] = mapped_column(Words(36), primary_key=True)
    recipe_digest: Mapped[str] = refers_to("recipe.digest")
    merge_version_id: Mapped[int | None] = refers_to("model_version.id")
    output_digest: Mapped[str]
    device: Mapped[str]
    engine: Mapped[str]
    versions: Mapped[Document]
    seconds: Mapped[float]
    bytes: Mapped[int] = mapped_column(Large)
    path: Mapped[str | None]
    cached: Mapped[bool]
    mlflow_run_id: Mapped[str | None]
    mlflow_version: Mapped[int | None]
    created_at: Mapped[datetime] = mapped_column(default=now)
    created_by: Mapped[str]


class Evaluation(Record):
    """A score, kept with the recipe or version it belongs to."""

    __tablename__ = "evaluation"
    __table_args__ = (
        CheckConstraint("recipe_digest IS NOT NULL OR version_id IS NOT NULL", name="subject"),
        Index(None, "recipe_digest"),
        Index(None, "version_id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    recipe_digest: Mapped[str | None] = refers_to("recipe.digest")
    version_id: Mapped[int | None] = refers_to("model_version.id")
    metric: Mapped[str]
    value: Mapped[float]
    dataset: Mapped[str]
    details: Mapped[Document] = mapped_column(default=dict)
    created_at: Mapped[datetime] = mapped_column(default=now)
    created_by: Mapped[str]


class Attestation(Record):
    """A signed or unsigned statement about content, by its digest."""

    __tablename__ = "attestation"
    __table_args__ = (is_digest("subject_digest"), Index(None, "subject_digest"))

    id: Mapped[int] = mapped_column(primary_key=True)
    subject_digest: Mapped[str]
    predicate_type: Mapped[str]
    document: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(default=now)
    created_by: Mapped[str]


class Pin(Record):
    """A version that nothing may collect."""

    __tablename__ = "pin"

    version_id: Mapped[int] = refers_to("model_version.id", primary_key=True)
    reason: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(default=now)
    created_by: Mapped[str]


class Lease(Record):
    """Who may do a job that one process at a time should do, and until when."""

    __tablename__ = "lease"
    __table_args__ = (CheckConstraint("expires_at > acquired_at", name="period"),)

    name: Mapped[str] = mapped_column(primary_key=True)
    holder: Mapped[str]
    acquired_at: Mapped[datetime]
    expires_at: Mapped[datetime]


class StoreMeta(Record):
    """A fact about the store as a whole, such as the head of its audit chain."""

    __tablename__ = "store_meta"

    key: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[str]


class AuditEvent(Record):
    """One link of the audit chain: append-only, each holding the hash of the one before.

    ``details`` is canonical JSON text, so that what was hashed is what is stored.
    """

    __tablename__ = "audit_event"
    __table_args__ = (
        CheckConstraint("sequence >= 1", name="sequence"),
        Index(None, "subject"),
        Index(None, "action", "sequence"),
    )

    sequence: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    at: Mapped[datetime]
    actor: Mapped[str]
    action: Mapped[str]
    subject: Mapped[str]
    details: Mapped[str]
    previous_hash: Mapped[str]
    hash: Mapped[str] = mapped_column(unique=True)


class Outbox(Record):
    """Provenance to be delivered elsewhere, committed with what it tells of; ``key`` makes it unique."""

    __tablename__ = "outbox"
    __table_args__ = (
        UniqueConstraint("kind", "key"),
        CheckConstraint("attempts >= 0", name="attempts"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    key: Mapped[str]
    payload: Mapped[Document]
    attempts: Mapped[int] = mapped_column(default=0, server_default="0")
    last_error: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(default=now)
    delivered_at: Mapped[datetime | None]


# Partial in the database, as its migration says; said here too, it would load both dialects at every start.
Index("ix_outbox_pending", Outbox.id)
