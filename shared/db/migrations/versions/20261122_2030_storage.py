"""What is old enough to go is found without reading all of it."""

from alembic import op

revision = "20261122_2030_storage"
down_revision = "20261122_2020_finding_action"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Uplinks are written in the order they are received: a few blocks tell where the old ones are.
    op.create_index(
        "uplink_received_at_idx", "uplink", ["received_at"], unique=False, postgresql_using="brin"
    )


def downgrade() -> None:
    op.drop_index("uplink_received_at_idx", "uplink")
