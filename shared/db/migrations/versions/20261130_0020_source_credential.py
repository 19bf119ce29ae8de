"""A credential of its own for each source."""

import sqlalchemy as sa
from alembic import op

revision = "20261130_0020_source_credential"
down_revision = "20261130_0010_audit"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "source_credential",
        sa.Column("id", sa.Integer(), sa.Identity(always=True), nullable=False),
        sa.Column("source_id", sa.Integer(), nullable=False),
        sa.Column("user_name", sa.Text(), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["source_id"], ["source.id"], name=op.f("source_credential_source_id_fkey")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("source_credential_pkey")),
    )
    op.create_index(
        "source_credential_in_force_idx",
        "source_credential",
        ["source_id"],
        unique=True,
        postgresql_where=sa.text("revoked_at IS NULL"),
    )


def downgrade() -> None:
    op.drop_table("source_credential")
