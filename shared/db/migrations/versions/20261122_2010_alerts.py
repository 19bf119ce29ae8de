"""Alerts, and findings about a device as a whole."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "20261122_2010_alerts"
down_revision = "20261122_2000_device_health"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("finding", sa.Column("device_id", sa.Integer(), nullable=True))
    op.create_foreign_key(
        op.f("finding_device_id_fkey"), "finding", "device", ["device_id"], ["id"]
    )
    op.add_column("finding", sa.Column("announced", sa.Text(), nullable=True))
    # What was found before there were alerts is not sent.
    op.execute("UPDATE finding SET announced = severity")
    op.create_index(
        "finding_unannounced_idx",
        "finding",
        ["id"],
        unique=False,
        postgresql_where=sa.text("announced IS DISTINCT FROM severity"),
    )
    op.create_index(
        "finding_device_id_idx",
        "finding",
        ["device_id"],
        unique=False,
        postgresql_where=sa.text("device_id IS NOT NULL"),
    )
    op.create_index(
        "finding_superseded_by_idx",
        "finding",
        ["superseded_by"],
        unique=False,
        postgresql_where=sa.text("superseded_by IS NOT NULL"),
    )
    op.create_table(
        "alert",
        sa.Column(
            "id",
            postgresql.UUID(as_uuid=False),
            server_default=sa.text("gen_random_uuid()"),
            nullable=False,
        ),
        sa.Column("finding_id", sa.BigInteger(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("severity", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), server_default=sa.text("'waiting'"), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("next_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "state IN ('waiting', 'sent', 'dead', 'skipped')", name=op.f("alert_state_check")
        ),
        sa.CheckConstraint(
            "severity IN ('info', 'warning', 'alarm', 'critical')",
            name=op.f("alert_severity_check"),
        ),
        sa.ForeignKeyConstraint(["finding_id"], ["finding.id"], name=op.f("alert_finding_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("alert_pkey")),
        sa.UniqueConstraint(
            "finding_id", "channel", "severity", name=op.f("alert_finding_id_channel_severity_key")
        ),
    )
    op.create_index(
        "alert_waiting_idx",
        "alert",
        ["channel", "next_at"],
        unique=False,
        postgresql_where=sa.text("state = 'waiting'"),
    )


def downgrade() -> None:
    op.drop_table("alert")
    op.drop_index("finding_superseded_by_idx", table_name="finding")
    op.drop_index("finding_device_id_idx", table_name="finding")
    op.drop_index("finding_unannounced_idx", table_name="finding")
    op.drop_column("finding", "announced")
    op.drop_column("finding", "device_id")
