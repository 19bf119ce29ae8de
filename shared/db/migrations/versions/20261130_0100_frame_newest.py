"""Where each device's frame counter stands."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "20261130_0100_frame_newest"
down_revision = "20261130_0030_access"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "frame_newest",
        sa.Column("device_id", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("f_cnt", sa.BigInteger(), nullable=True),
        sa.Column("uplink_id", postgresql.UUID(as_uuid=False), nullable=True),
        sa.Column("source_id", sa.Integer(), nullable=True),
        sa.Column("hour", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["device_id"], ["device.id"], name=op.f("frame_newest_device_id_fkey")
        ),
        sa.PrimaryKeyConstraint("device_id", name=op.f("frame_newest_pkey")),
    )


def downgrade() -> None:
    op.drop_table("frame_newest")
