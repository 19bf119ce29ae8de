"""Acknowledging and closing findings."""

revision = "20261122_2020_finding_action"
down_revision = "20261122_2010_alerts"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass
