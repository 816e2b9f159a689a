"""Statistics of skills: their table, and blobs that hold them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_BEFORE = "\"kind\" IN ('weights', 'companion', 'delta')"
_AFTER = "\"kind\" IN ('weights', 'companion', 'delta', 'statistics')"


def upgrade() -> None:
    """Let a blob hold statistics, and make the table that says what was collected."""
    _let_blobs_hold(_AFTER, _BEFORE)
    op.create_table(
        "statistics",
        sa.Column("id", sa.Integer(), nullable=False, primary_key=True),
        sa.Column("version_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("blob_digest", sa.Text(), nullable=False),
        sa.Column("model_digest", sa.Text(), nullable=False),
        sa.Column("data_digest", sa.Text(), nullable=False),
        sa.Column("examples", sa.BigInteger(), nullable=False),
        sa.Column("settings", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        _refers("version_id", "model_version.id"),
        _refers("blob_digest", "blob.digest"),
        sa.UniqueConstraint("version_id", "digest", name=op.f("uq_statistics_version_id_digest")),
        _check("kind", "\"kind\" IN ('gram', 'fisher')"),
        *(_check(column, f"length({column}) = 71") for column in ("digest", "model_digest", "data_digest")),
        _check("examples", "examples >= 1"),
    )
    op.create_index(op.f("ix_statistics_digest"), "statistics", ["digest"])


def downgrade() -> None:
    """Forget all statistics; their files become garbage."""
    op.drop_table("statistics")
    op.execute("DELETE FROM blob WHERE kind = 'statistics'")
    _let_blobs_hold(_BEFORE, _AFTER)


def _let_blobs_hold(kinds: str, instead_of: str) -> None:
    """Change which kinds a blob may have; SQLite can only replace the whole table."""
    with op.batch_alter_table("blob", copy_from=_blob(instead_of)) as blob:
        blob.drop_constraint(op.f("ck_blob_kind"), type_="check")
        blob.create_check_constraint(op.f("ck_blob_kind"), sa.text(kinds))


def _blob(kinds: str) -> sa.Table:
    """The table as it is; Alembic does not find CHECKs by itself."""
    return sa.Table(
        "blob",
        sa.MetaData(),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_blob")),
        sa.CheckConstraint("length(digest) = 71", name=op.f("ck_blob_digest")),
        sa.CheckConstraint("size >= 0", name=op.f("ck_blob_size")),
        sa.CheckConstraint(kinds, name=op.f("ck_blob_kind")),
    )


def _refers(column: str, target: str) -> sa.ForeignKeyConstraint:
    name = op.f(f"fk_statistics_{column}")
    return sa.ForeignKeyConstraint([column], [target], name=name, ondelete="RESTRICT")


def _check(name: str, rule: str) -> sa.CheckConstraint:
    return sa.CheckConstraint(rule, name=op.f(f"ck_statistics_{name}"))
