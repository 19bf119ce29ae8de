"""Storage."""

revision = "20261122_2030_storage"
down_revision = "20261122_2020_finding_action"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass
