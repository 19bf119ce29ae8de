"""A writer remembers where frame counters stand, and finds out when another has written since.

Rows written over and over keep room beside them, so that no index grows with each time: on pages
made from now on.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "20261130_0140_frame_follows"
down_revision = "20261130_0130_source_clock"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("frame_newest", sa.Column("follows", postgresql.UUID(as_uuid=False)))
    for table in ("frame_newest", "ledger"):
        op.execute(f"ALTER TABLE {table} SET (fillfactor = 50)")


def downgrade() -> None:
    for table in ("frame_newest", "ledger"):
        op.execute(f"ALTER TABLE {table} RESET (fillfactor)")
    op.drop_column("frame_newest", "follows")
