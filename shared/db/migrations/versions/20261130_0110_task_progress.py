"""Tasks belong to a site, and remember how far they are."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "20261130_0110_task_progress"
down_revision = "20261130_0100_frame_newest"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("task", sa.Column("site_id", sa.Integer(), nullable=True))
    op.add_column(
        "task",
        sa.Column(
            "progress",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'"),
            nullable=False,
        ),
    )
    op.add_column("task", sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True))
    op.create_foreign_key(op.f("task_site_id_fkey"), "task", "site", ["site_id"], ["id"])
    op.create_index(
        "task_open_idx",
        "task",
        ["id"],
        postgresql_where=sa.text("state IN ('waiting', 'running')"),
    )


def downgrade() -> None:
    op.drop_index("task_open_idx", "task")
    op.drop_constraint(op.f("task_site_id_fkey"), "task")
    op.drop_column("task", "finished_at")
    op.drop_column("task", "progress")
    op.drop_column("task", "site_id")
