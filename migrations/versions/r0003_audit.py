"""What audits ask for: results, events and licences by index, registered versions in MLflow, who a store is.

A log only grows, and what is pinned or referred to is kept, whether or not a connection minds foreign keys.
"""

from __future__ import annotations

import json
import uuid

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

# What SQLite forgets with foreign keys off: who refers to a row, by which columns. PostgreSQL never does.
_USES = {
    "model": ("model_version WHERE model_id = OLD.id", "alias_event WHERE model_id = OLD.id"),
    "model_version": (
        *("pin WHERE version_id = OLD.id", "lineage_edge WHERE OLD.id IN (parent_version_id, child_version_id)"),
        *("alias WHERE version_id = OLD.id", "alias_event WHERE OLD.id IN (version_id, previous_version_id)"),
        *("version_file WHERE version_id = OLD.id", "tensor WHERE version_id = OLD.id"),
        *("delta WHERE OLD.id IN (version_id, base_version_id)", "statistics WHERE version_id = OLD.id"),
        *("recipe_input WHERE version_id = OLD.id", "materialization WHERE merge_version_id = OLD.id"),
        "evaluation WHERE version_id = OLD.id",
    ),
    "version_file": ("tensor WHERE version_id = OLD.version_id AND file = OLD.path",),
    "blob": (
        *("version_file WHERE blob_digest = OLD.digest", "delta WHERE blob_digest = OLD.digest"),
        "statistics WHERE blob_digest = OLD.digest",
    ),
    "recipe": (
        *("recipe_input WHERE recipe_digest = OLD.digest", "materialization WHERE recipe_digest = OLD.digest"),
        "evaluation WHERE recipe_digest = OLD.digest",
    ),
}
# What versions are made of, by the column that names the version. It stays while that is pinned, or something came
# from it: so do, step by step, all that a pinned version came from.
_PARTS = {
    "version_file": "version_id",
    "tensor": "version_id",
    "delta": "version_id",
    "lineage_edge": "child_version_id",
    "recipe_input": "recipe_digest",
}
_KEPT = (
    "(EXISTS (SELECT 1 FROM pin WHERE pin.version_id = kept.id) "
    "OR EXISTS (SELECT 1 FROM lineage_edge WHERE lineage_edge.parent_version_id = kept.id))"
)

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
    *(
        f"CREATE TRIGGER {table}_stays_while_used BEFORE DELETE ON {table} "
        f"WHEN {' OR '.join(f'EXISTS (SELECT 1 FROM {use})' for use in uses)} "
        "BEGIN SELECT RAISE(ABORT, 'other records refer to it'); END"
        for table, uses in _USES.items()
    ),
    *(
        f"CREATE TRIGGER {table}_stays_while_kept BEFORE DELETE ON {table} "
        f"WHEN EXISTS (SELECT 1 FROM model_version AS kept "
        f"WHERE kept.{'digest' if column == 'recipe_digest' else 'id'} = OLD.{column} AND {_KEPT}) "
        "BEGIN SELECT RAISE(ABORT, 'its version is pinned, or something came from it'); END"
        for table, column in _PARTS.items()
    ),
)
_POSTGRES_TRIGGERS = (
    "CREATE FUNCTION mergestore_follow() RETURNS trigger LANGUAGE plpgsql AS "
    "$$ BEGIN IF NEW.sequence <> (SELECT coalesce(max(sequence), 0) + 1 FROM audit_event) THEN "
    "RAISE EXCEPTION 'audit events are append-only' USING ERRCODE = 'restrict_violation'; END IF; "
    "RETURN NEW; END $$",
    "CREATE TRIGGER audit_event_follows BEFORE INSERT ON audit_event FOR EACH ROW EXECUTE FUNCTION mergestore_follow()",
    "CREATE FUNCTION mergestore_keep() RETURNS trigger LANGUAGE plpgsql AS "
    "$$ DECLARE named text = to_jsonb(OLD) ->> TG_ARGV[0]; BEGIN "
    "IF EXISTS (SELECT 1 FROM model_version AS kept WHERE CASE WHEN TG_ARGV[0] = 'recipe_digest' "
    f"THEN kept.digest = named ELSE kept.id = named::integer END AND {_KEPT}) THEN "
    "RAISE EXCEPTION 'its version is pinned, or something came from it' USING ERRCODE = 'restrict_violation'; END IF; "
    "RETURN OLD; END $$",
    *(
        f"CREATE TRIGGER {table}_stays_while_kept BEFORE DELETE ON {table} "
        f"FOR EACH ROW EXECUTE FUNCTION mergestore_keep('{column}')"
        for table, column in _PARTS.items()
    ),
    *(
        f"CREATE TRIGGER {table}_is_not_emptied BEFORE TRUNCATE ON {table} "
        "FOR EACH STATEMENT EXECUTE FUNCTION mergestore_refuse('versions are deleted one by one')"
        for table in (*_PARTS, "pin")
    ),
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
    op.create_index(op.f("ix_model_version_licence"), "model_version", ["licence"])
    _restore_versions_in_mlflow()
    store_meta = sa.table("store_meta", sa.column("key", sa.Text()), sa.column("value", sa.Text()))
    op.execute(store_meta.insert().values(key="store_id", value=_known_identity() or uuid.uuid4().hex))
    for statement in _SQLITE_TRIGGERS if _on_sqlite() else _POSTGRES_TRIGGERS:
        op.execute(statement)


def downgrade() -> None:
    """Take all of it away."""
    for statement in _SQLITE_TRIGGERS if _on_sqlite() else _POSTGRES_TRIGGERS:
        kind, name, *words = statement.split()[1:]
        if kind == "TRIGGER":
            table = words[words.index("ON") + 1]
            op.execute(f"DROP TRIGGER {name}" if _on_sqlite() else f"DROP TRIGGER {name} ON {table}")
    if not _on_sqlite():
        op.execute("DROP FUNCTION mergestore_follow(), mergestore_keep()")
    op.execute("DELETE FROM store_meta WHERE key = 'store_id'")
    op.drop_index(op.f("ix_model_version_licence"), "model_version")
    op.drop_index(op.f("ix_audit_event_action_sequence"), "audit_event")
    op.drop_index(op.f("ix_materialization_recipe_digest_created_at_id"), "materialization")
    op.create_index(op.f("ix_materialization_recipe_digest"), "materialization", ["recipe_digest"])
    op.drop_index(op.f("ix_materialization_created_at_id"), "materialization")
    op.drop_index(op.f("ix_materialization_output_digest"), "materialization")
    op.drop_column("materialization", "mlflow_version")


def _restore_versions_in_mlflow() -> None:
    """Where results stand in MLflow, in a store that was taken back to an older schema: the log still says so."""
    made = sa.table("materialization", sa.column("id", sa.Text()), sa.column("mlflow_version", sa.Integer()))
    query = "SELECT details FROM audit_event WHERE action = 'provenance.deliver' ORDER BY sequence"
    told = {
        str(details["materialization"]): details.get("mlflow_version")
        for details in map(json.loads, op.get_bind().execute(sa.text(query)).scalars())
    }
    for id_, version in told.items():
        if version is not None:
            op.execute(made.update().where(made.c.id == id_).values(mlflow_version=version))


def _known_identity() -> str | None:
    """Who the store was before it was taken back to an older schema: the log still says so."""
    for details in op.get_bind().execute(sa.text("SELECT details FROM audit_event ORDER BY sequence DESC")).scalars():
        if (found := json.loads(details).get("store")) is not None:
            return str(found)
    return None


def _on_sqlite() -> bool:
    return op.get_bind().dialect.name == "sqlite"
