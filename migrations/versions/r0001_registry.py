"""The first schema: models and versions, content, recipes, lineage, provenance, the audit chain."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_Item = sa.Column[Any] | sa.Constraint


def upgrade() -> None:
    """Make every table, then the triggers that keep history as it was written."""
    _models()
    _content()
    _recipes()
    _provenance()
    _housekeeping()
    for statement in _SQLITE_TRIGGERS if _on_sqlite() else _POSTGRES_TRIGGERS:
        op.execute(statement)


def downgrade() -> None:
    """Remove everything that ``upgrade`` made; triggers go with their tables."""
    for table in reversed(_TABLES):
        op.drop_table(table)
    if not _on_sqlite():
        op.execute("DROP FUNCTION mergestore_refuse()")


_TABLES = (
    *("model", "model_version", "alias", "alias_event", "blob", "version_file", "tensor", "delta"),
    *("recipe", "recipe_input", "lineage_edge", "materialization", "evaluation", "attestation"),
    *("pin", "lease", "store_meta", "audit_event", "outbox"),
)


def _models() -> None:
    _table(
        "model",
        _id(),
        _column("name", sa.String(128)),
        _text("kind"),
        *_stamp(),
        _unique("model", "name"),
        _check("model", "kind", "\"kind\" IN ('base', 'skill', 'merge')"),
    )
    _table(
        "model_version",
        _id(),
        _column("model_id", sa.Integer()),
        _column("version", sa.Integer()),
        _text("digest"),
        _text("state", server_default="ready"),
        _text("reason", nullable=True),
        _text("licence", nullable=True),
        _text("source", nullable=True),
        _column("attributes", sa.JSON()),
        *_stamp(),
        _refers("model_version", "model_id", "model.id"),
        _unique("model_version", "model_id", "version"),
        _unique("model_version", "model_id", "id"),
        _check("model_version", "version", "version >= 1"),
        _check("model_version", "state", "\"state\" IN ('ready', 'yanked', 'quarantined')"),
        _check("model_version", "reason", "state = 'ready' OR reason IS NOT NULL"),
        _digest("model_version", "digest"),
        sqlite_autoincrement=True,
    )
    _index("model_version", "digest")
    _table(
        "alias",
        _column("model_id", sa.Integer()),
        _column("alias", sa.String(128)),
        _column("version_id", sa.Integer()),
        _time("updated_at"),
        _text("updated_by"),
        _key("alias", "model_id", "alias"),
        sa.ForeignKeyConstraint(
            ["model_id", "version_id"],
            ["model_version.model_id", "model_version.id"],
            name=op.f("fk_alias_model_id_version_id"),
            ondelete="RESTRICT",
        ),
    )
    _table(
        "alias_event",
        _id(),
        _column("model_id", sa.Integer()),
        _column("alias", sa.String(128)),
        _column("version_id", sa.Integer(), nullable=True),
        _column("previous_version_id", sa.Integer(), nullable=True),
        _time("at"),
        _text("actor"),
        _refers("alias_event", "model_id", "model.id"),
        _refers("alias_event", "version_id", "model_version.id"),
        _refers("alias_event", "previous_version_id", "model_version.id"),
    )
    _index("alias_event", "model_id", "alias")


def _content() -> None:
    _table(
        "blob",
        _text("digest"),
        _column("size", sa.BigInteger()),
        _text("sha256", nullable=True),
        _text("kind"),
        _time("created_at"),
        _key("blob", "digest"),
        _digest("blob", "digest"),
        _check("blob", "size", "size >= 0"),
        _check("blob", "kind", _FILE_KIND),
    )
    _table(
        "version_file",
        _column("version_id", sa.Integer()),
        _text("path"),
        _text("kind"),
        _column("size", sa.BigInteger()),
        _text("blob_digest", nullable=True),
        _text("referenced_path", nullable=True),
        _text("referenced_digest", nullable=True),
        _key("version_file", "version_id", "path"),
        _refers("version_file", "version_id", "model_version.id"),
        _refers("version_file", "blob_digest", "blob.digest"),
        _check("version_file", "one_place", "(blob_digest IS NULL) <> (referenced_path IS NULL)"),
        _check("version_file", "size", "size >= 0"),
        _check("version_file", "kind", _FILE_KIND),
    )
    _index("version_file", "blob_digest")
    _table(
        "tensor",
        _column("version_id", sa.Integer()),
        _text("name"),
        _column("dtype", sa.String(16)),
        _column("shape", sa.JSON()),
        _text("digest"),
        _text("file", nullable=True),
        _column("offset", sa.BigInteger(), nullable=True),
        _column("nbytes", sa.BigInteger()),
        _column("statistics", sa.JSON(), nullable=True),
        _key("tensor", "version_id", "name"),
        _refers("tensor", "version_id", "model_version.id"),
        sa.ForeignKeyConstraint(
            ["version_id", "file"],
            ["version_file.version_id", "version_file.path"],
            name=op.f("fk_tensor_version_id_file"),
            ondelete="RESTRICT",
        ),
        _digest("tensor", "digest"),
        _check("tensor", "place", '(file IS NULL) = ("offset" IS NULL)'),
        _check("tensor", "extent", '"offset" >= 0 AND nbytes >= 0'),
    )
    _table(
        "delta",
        _column("version_id", sa.Integer()),
        _column("base_version_id", sa.Integer()),
        _text("encoding"),
        _text("values", nullable=True),
        _column("drop_rate", sa.Double(), nullable=True),
        _column("seed", sa.BigInteger(), nullable=True),
        _column("parameters", sa.JSON()),
        _column("statistics", sa.JSON()),
        _text("blob_digest"),
        _column("stored_bytes", sa.BigInteger()),
        _key("delta", "version_id"),
        _refers("delta", "version_id", "model_version.id"),
        _refers("delta", "base_version_id", "model_version.id"),
        _refers("delta", "blob_digest", "blob.digest"),
        _check("delta", "encoding", "\"encoding\" IN ('dare', 'exact', 'magnitude', 'sign', 'lora')"),
        _check("delta", "values", "\"values\" IN ('int4', 'bf16', 'exact')"),
        _check("delta", "dare", _DARE),
        _check("delta", "drop_rate", "drop_rate >= 0 AND drop_rate < 1"),
        _check("delta", "seed", "seed >= 0"),
        _check("delta", "stored_bytes", "stored_bytes >= 0"),
        _check("delta", "base_is_older", "base_version_id < version_id"),
    )
    _index("delta", "base_version_id")


def _recipes() -> None:
    _table(
        "recipe",
        _text("digest"),
        _text("canonical"),
        _text("method"),
        _time("created_at"),
        _key("recipe", "digest"),
        _digest("recipe", "digest"),
    )
    _table(
        "recipe_input",
        _text("recipe_digest"),
        _column("position", sa.Integer()),
        _column("version_id", sa.Integer()),
        _column("weight", sa.Double(), nullable=True),
        _text("role"),
        _key("recipe_input", "recipe_digest", "position"),
        _refers("recipe_input", "recipe_digest", "recipe.digest"),
        _refers("recipe_input", "version_id", "model_version.id"),
        _check("recipe_input", "role", "\"role\" IN ('base', 'skill', 'head')"),
        _check("recipe_input", "position", "position >= 0"),
    )
    _index("recipe_input", "version_id")
    _table(
        "lineage_edge",
        _column("child_version_id", sa.Integer()),
        _column("parent_version_id", sa.Integer()),
        _text("role"),
        _key("lineage_edge", "child_version_id", "parent_version_id", "role"),
        _refers("lineage_edge", "child_version_id", "model_version.id"),
        _refers("lineage_edge", "parent_version_id", "model_version.id"),
        _check("lineage_edge", "role", "\"role\" IN ('base', 'skill', 'head', 'merge')"),
        _check("lineage_edge", "acyclic", "child_version_id > parent_version_id"),
    )
    _index("lineage_edge", "parent_version_id")


def _provenance() -> None:
    _table(
        "materialization",
        _column("id", sa.String(36)),
        _text("recipe_digest"),
        _column("merge_version_id", sa.Integer(), nullable=True),
        _text("output_digest"),
        _text("device"),
        _text("engine"),
        _column("versions", sa.JSON()),
        _column("seconds", sa.Double()),
        _column("bytes", sa.BigInteger()),
        _text("path", nullable=True),
        _column("cached", sa.Boolean()),
        _text("mlflow_run_id", nullable=True),
        *_stamp(),
        _key("materialization", "id"),
        _refers("materialization", "recipe_digest", "recipe.digest"),
        _refers("materialization", "merge_version_id", "model_version.id"),
        _digest("materialization", "output_digest"),
        _check("materialization", "measured", "seconds >= 0 AND bytes >= 0"),
    )
    _index("materialization", "recipe_digest")
    _index("materialization", "merge_version_id")
    _table(
        "evaluation",
        _id(),
        _text("recipe_digest", nullable=True),
        _column("version_id", sa.Integer(), nullable=True),
        _text("metric"),
        _column("value", sa.Double()),
        _text("dataset"),
        _column("details", sa.JSON()),
        *_stamp(),
        _refers("evaluation", "recipe_digest", "recipe.digest"),
        _refers("evaluation", "version_id", "model_version.id"),
        _check("evaluation", "subject", "recipe_digest IS NOT NULL OR version_id IS NOT NULL"),
    )
    _index("evaluation", "recipe_digest")
    _index("evaluation", "version_id")
    _table(
        "attestation",
        _id(),
        _text("subject_digest"),
        _text("predicate_type"),
        _text("document"),
        *_stamp(),
        _digest("attestation", "subject_digest"),
    )
    _index("attestation", "subject_digest")


def _housekeeping() -> None:
    _table(
        "pin",
        _column("version_id", sa.Integer()),
        _text("reason"),
        *_stamp(),
        _key("pin", "version_id"),
        _refers("pin", "version_id", "model_version.id"),
    )
    _table(
        "lease",
        _text("name"),
        _text("holder"),
        _time("acquired_at"),
        _time("expires_at"),
        _key("lease", "name"),
        _check("lease", "period", "expires_at > acquired_at"),
    )
    _table("store_meta", _text("key"), _text("value"), _key("store_meta", "key"))
    _table(
        "audit_event",
        sa.Column("sequence", sa.Integer(), nullable=False, autoincrement=False),
        _time("at"),
        _text("actor"),
        _text("action"),
        _text("subject"),
        _text("details"),
        _text("previous_hash"),
        _text("hash"),
        _key("audit_event", "sequence"),
        _unique("audit_event", "hash"),
        _check("audit_event", "sequence", "sequence >= 1"),
    )
    _index("audit_event", "subject")
    _table(
        "outbox",
        _id(),
        _text("kind"),
        _text("key"),
        _column("payload", sa.JSON()),
        sa.Column("attempts", sa.Integer(), nullable=False, server_default="0"),
        _text("last_error", nullable=True),
        _time("created_at"),
        _time("delivered_at", nullable=True),
        _unique("outbox", "kind", "key"),
        _check("outbox", "attempts", "attempts >= 0"),
    )
    pending = sa.text("delivered_at IS NULL")
    op.create_index("ix_outbox_pending", "outbox", ["id"], sqlite_where=pending, postgresql_where=pending)


_FILE_KIND = "\"kind\" IN ('weights', 'companion', 'delta')"
_DARE = "encoding <> 'dare' OR (\"values\" IS NOT NULL AND drop_rate IS NOT NULL AND seed IS NOT NULL)"

_SQLITE_TRIGGERS = (
    "CREATE TRIGGER audit_event_keeps_rows BEFORE UPDATE ON audit_event "
    "BEGIN SELECT RAISE(ABORT, 'audit events are append-only'); END",
    "CREATE TRIGGER audit_event_loses_none BEFORE DELETE ON audit_event "
    "BEGIN SELECT RAISE(ABORT, 'audit events are append-only'); END",
    "CREATE TRIGGER model_version_keeps_content BEFORE UPDATE ON model_version "
    "WHEN NEW.id <> OLD.id OR NEW.model_id <> OLD.model_id OR NEW.version <> OLD.version "
    "OR NEW.digest <> OLD.digest "
    "BEGIN SELECT RAISE(ABORT, 'the content of a version is immutable'); END",
)

_POSTGRES_TRIGGERS = (
    "CREATE FUNCTION mergestore_refuse() RETURNS trigger LANGUAGE plpgsql AS "
    "$$ BEGIN RAISE EXCEPTION '%', TG_ARGV[0] USING ERRCODE = 'restrict_violation'; END $$",
    "CREATE TRIGGER audit_event_keeps_rows BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_event "
    "FOR EACH STATEMENT EXECUTE FUNCTION mergestore_refuse('audit events are append-only')",
    "CREATE TRIGGER model_version_keeps_content BEFORE UPDATE ON model_version FOR EACH ROW "
    "WHEN (NEW.id <> OLD.id OR NEW.model_id <> OLD.model_id OR NEW.version <> OLD.version "
    "OR NEW.digest <> OLD.digest) "
    "EXECUTE FUNCTION mergestore_refuse('the content of a version is immutable')",
)


def _on_sqlite() -> bool:
    return op.get_bind().dialect.name == "sqlite"


def _table(name: str, *items: _Item, **options: bool) -> None:
    op.create_table(name, *items, **options)


def _column(name: str, kind: sa.types.TypeEngine[Any], *, nullable: bool = False) -> _Item:
    return sa.Column(name, kind, nullable=nullable)


def _text(name: str, *, nullable: bool = False, server_default: str | None = None) -> _Item:
    return sa.Column(name, sa.Text(), nullable=nullable, server_default=server_default)


def _time(name: str, *, nullable: bool = False) -> _Item:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _stamp() -> tuple[_Item, _Item]:
    return _time("created_at"), _text("created_by")


def _id() -> _Item:
    return sa.Column("id", sa.Integer(), nullable=False, primary_key=True)


def _key(table: str, *columns: str) -> _Item:
    return sa.PrimaryKeyConstraint(*columns, name=op.f(f"pk_{table}"))


def _unique(table: str, *columns: str) -> _Item:
    return sa.UniqueConstraint(*columns, name=op.f(f"uq_{table}_{'_'.join(columns)}"))


def _refers(table: str, column: str, target: str) -> _Item:
    return sa.ForeignKeyConstraint([column], [target], name=op.f(f"fk_{table}_{column}"), ondelete="RESTRICT")


def _check(table: str, name: str, rule: str) -> _Item:
    return sa.CheckConstraint(rule, name=op.f(f"ck_{table}_{name}"))


def _digest(table: str, column: str) -> _Item:
    return _check(table, column, f"length({column}) = 71")


def _index(table: str, *columns: str) -> None:
    op.create_index(op.f(f"ix_{table}_{'_'.join(columns)}"), table, list(columns))
