"""What audits ask for: results and events by index, registered versions in MLflow, who a store is; a log only grows."""

from __future__ import annotations

import uuid

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_SQLITE_TRIGGERS = (
    # REPLACE deletes without asking the triggers of DELETE.
    "CREATE TRIGGER audit_event_follows BEFORE INSERT ON audit_event "
    "WHEN NEW.sequence <> (SELECT coalesce(max(sequence), 0) + 1 FROM audit_event) "
    "OR EXISTS (SELECT 1 FROM audit_event WHERE hash = NEW.hash) "
    "BEGIN SELECT RAISE(ABORT, 'audit events are append-only'); END",
    "CREATE TRIGGER model_version_replaces_none BEFORE INSERT ON model_version "
    "WHEN EXISTS (SELECT 1 FROM model_version WHERE id = NEW.id) "
    "OR EXISTS (SELECT 1 FROM model_version WHERE model_id = NEW.model_id AND version = NEW.version) "
    "BEGIN SELECT RAISE(ABORT, 'the content of a version is immutable'); END",
)
_POSTGRES_TRIGGERS = (
    "CREATE FUNCTION mergestore_follow() RETURNS trigger LANGUAGE plpgsql AS "
    "$$ BEGIN IF NEW.sequence <> (SELECT coalesce(max(sequence), 0) + 1 FROM audit_event) THEN "
    "RAISE EXCEPTION 'audit events are append-only' USING ERRCODE = 'restrict_violation'; END IF; "
    "RETURN NEW; END $$",
    "CREATE TRIGGER audit_event_follows BEFORE INSERT ON audit_event FOR EACH ROW EXECUTE FUNCTION mergestore_follow()",
)


def upgrade() -> None:
    """Add the column, the index, the identity and the triggers."""
    op.add_column("materialization", sa.Column("mlflow_version", sa.Integer(), nullable=True))
    op.create_index(op.f("ix_materialization_output_digest"), "materialization", ["output_digest"])
    op.create_index(op.f("ix_materialization_created_at_id"), "materialization", ["created_at", "id"])
    op.drop_index(op.f("ix_materialization_recipe_digest"), "materialization")
    op.create_index(
        op.f("ix_materialization_recipe_digest_created_at_id"), "materialization", ["recipe_digest", "created_at", "id"]
    )
    op.create_index(op.f("ix_audit_event_action_sequence"), "audit_event", ["action", "sequence"])
    store_meta = sa.table("store_meta", sa.column("key", sa.Text()), sa.column("value", sa.Text()))
    op.execute(store_meta.insert().values(key="store_id", value=uuid.uuid4().hex))
    for statement in _SQLITE_TRIGGERS if _on_sqlite() else _POSTGRES_TRIGGERS:
        op.execute(statement)


def downgrade() -> None:
    """Take all of it away."""
    if _on_sqlite():
        op.execute("DROP TRIGGER model_version_replaces_none")
        op.execute("DROP TRIGGER audit_event_follows")
    else:
        op.execute("DROP TRIGGER audit_event_follows ON audit_event")
        op.execute("DROP FUNCTION mergestore_follow()")
    op.execute("DELETE FROM store_meta WHERE key = 'store_id'")
    op.drop_index(op.f("ix_audit_event_action_sequence"), "audit_event")
    op.drop_index(op.f("ix_materialization_recipe_digest_created_at_id"), "materialization")
    op.create_index(op.f("ix_materialization_recipe_digest"), "materialization", ["recipe_digest"])
    op.drop_index(op.f("ix_materialization_created_at_id"), "materialization")
    op.drop_index(op.f("ix_materialization_output_digest"), "materialization")
    op.drop_column("materialization", "mlflow_version")


def _on_sqlite() -> bool:
    return op.get_bind().dialect.name == "sqlite"
