"""Device health: events beside values, and which uplinks are history."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "20261122_2000_device_health"
down_revision = "20261122_1700_first_schema"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "uplink", sa.Column("event", sa.Text(), server_default=sa.text("'up'"), nullable=False)
    )
    op.add_column(
        "uplink",
        sa.Column("history", sa.Boolean(), server_default=sa.text("false"), nullable=False),
    )
    op.create_table(
        "device_event",
        sa.Column("event_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("device_id", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column(
            "detail",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["device_id"], ["device.id"], name=op.f("device_event_device_id_fkey")
        ),
        sa.PrimaryKeyConstraint("event_id", name=op.f("device_event_pkey")),
    )
    op.create_index(
        "device_event_device_id_kind_at_idx",
        "device_event",
        ["device_id", "kind", sa.literal_column("at DESC")],
        unique=False,
    )


def downgrade() -> None:
    op.drop_index("device_event_device_id_kind_at_idx", table_name="device_event")
    op.drop_table("device_event")
    op.drop_column("uplink", "history")
    op.drop_column("uplink", "event")
