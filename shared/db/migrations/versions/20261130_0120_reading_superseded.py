"""Readings that a reprocessing replaced."""

import sqlalchemy as sa
from alembic import op

revision = "20261130_0120_reading_superseded"
down_revision = "20261130_0110_task_progress"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "reading_superseded",
        sa.Column("revision", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("datastream_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("value", sa.Double(), nullable=False),
        sa.Column("quality", sa.SmallInteger(), nullable=False),
        sa.PrimaryKeyConstraint(
            "revision", "datastream_id", "time", name=op.f("reading_superseded_pkey")
        ),
    )
    op.create_index(
        "reading_superseded_datastream_id_time_idx",
        "reading_superseded",
        ["datastream_id", "time"],
    )


def downgrade() -> None:
    op.drop_table("reading_superseded")
