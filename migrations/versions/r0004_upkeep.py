"""What keeping a store asks for: when each object was last read whole, which nobody needs since when, who needs it."""

from __future__ import annotations

import json

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_OF_OBJECTS = ("delta", "statistics")


def upgrade() -> None:
    """Add the column, the table and the indexes; the log tells a quota that was forgotten on a way back."""
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
    last = "SELECT details FROM audit_event WHERE action = 'store.quota' ORDER BY sequence DESC LIMIT 1"
    details = op.get_bind().execute(sa.text(last)).scalar()
    if details is not None and (quota := json.loads(details).get("bytes")) is not None:
        store_meta = sa.table("store_meta", sa.column("key", sa.Text()), sa.column("value", sa.Text()))
        op.execute(store_meta.insert().values(key="quota", value=str(quota)))


def downgrade() -> None:
    """Take them away, and the quota and the first folder, which older mergestores do not know."""
    op.execute("DELETE FROM store_meta WHERE key IN ('quota', 'folder')")
    for table in _OF_OBJECTS:
        op.drop_index(op.f(f"ix_{table}_blob_digest"), table_name=table)
    op.drop_table("garbage")
    op.drop_column("blob", "verified_at")
