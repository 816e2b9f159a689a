"""What keeping a store asks for: when each object was last read whole, and which nobody needs since when."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the column and the table."""
    op.add_column("blob", sa.Column("verified_at", sa.DateTime(timezone=True), nullable=True))
    op.create_table(
        "garbage",
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("found_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_garbage")),
        sa.CheckConstraint("length(digest) = 71", name=op.f("ck_garbage_digest")),
    )


def downgrade() -> None:
    """Take both away."""
    op.drop_table("garbage")
    op.drop_column("blob", "verified_at")
