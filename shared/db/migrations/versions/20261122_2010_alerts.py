"""Alerts."""

revision = "20261122_2010_alerts"
down_revision = "20261122_2000_device_health"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass
