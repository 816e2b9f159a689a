"""What keeping a store asks for: when each object was last read whole, which nobody needs since when, who needs it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_OF_OBJECTS = ("delta", "statistics")


def upgrade() -> None:
    """Add the column, the table, and the ways from an object to what it is of."""
    op.add_column("blob", sa.Column("verified_at", sa.DateTime(timezone=True), nullable=True))
    op.create_table(
        "garbage",
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("found_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_garbage")),
        sa.CheckConstraint("length(digest) = 71", name=op.f("ck_garbage_digest")),
    )
    for table in _OF_OBJECTS:
        op.create_index(op.f(f"ix_{table}_blob_digest"), table, ["blob_digest"])


def downgrade() -> None:
    """Take them away."""
    for table in _OF_OBJECTS:
        op.drop_index(op.f(f"ix_{table}_blob_digest"), table_name=table)
    op.drop_table("garbage")
    op.drop_column("blob", "verified_at")
