"""Acknowledging and closing findings."""

import sqlalchemy as sa
from alembic import op

revision = "20261122_2020_finding_action"
down_revision = "20261122_2010_alerts"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "finding_action",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("finding_id", sa.BigInteger(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column(
            "at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "action IN ('acknowledge', 'close', 'reopen')",
            name=op.f("finding_action_action_check"),
        ),
        sa.ForeignKeyConstraint(
            ["finding_id"], ["finding.id"], name=op.f("finding_action_finding_id_fkey")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("finding_action_pkey")),
    )
    op.create_index(
        "finding_action_finding_id_id_idx", "finding_action", ["finding_id", "id"], unique=False
    )


def downgrade() -> None:
    op.drop_table("finding_action")
