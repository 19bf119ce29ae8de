"""Device health."""

revision = "20261122_2000_device_health"
down_revision = "20261122_1700_first_schema"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass
