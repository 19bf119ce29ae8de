"""Principals, grants, keys, sessions, one-time links and failed sign-ins."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "20261130_0030_access"
down_revision = "20261130_0020_source_credential"
branch_labels = None
depends_on = None

_NOW = sa.text("now()")


def _time(name: str, *, null: bool = False, now: bool = False) -> sa.Column[object]:
    return sa.Column(
        name, sa.DateTime(timezone=True), nullable=null, server_default=_NOW if now else None
    )


def _id() -> sa.Column[object]:
    return sa.Column("id", sa.Integer(), sa.Identity(always=True), nullable=False)


def _of_principal(table: str) -> tuple[sa.Column[object], sa.ForeignKeyConstraint]:
    name = op.f(f"{table}_principal_id_fkey")
    return (
        sa.Column("principal_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["principal_id"], ["principal.id"], name=name),
    )


def upgrade() -> None:
    op.create_table(
        "principal",
        _id(),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("machine", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("password", sa.Text(), nullable=True),
        _time("password_at", null=True),
        _time("created_at", now=True),
        _time("disabled_at", null=True),
        sa.CheckConstraint("NOT machine OR password IS NULL", name=op.f("principal_machine_check")),
        sa.PrimaryKeyConstraint("id", name=op.f("principal_pkey")),
        sa.UniqueConstraint("name", name=op.f("principal_name_key")),
    )
    op.create_table(
        "role_grant",
        _id(),
        *_of_principal("role_grant"),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("site_id", sa.Integer(), nullable=True),
        sa.CheckConstraint(
            "role IN ('researcher', 'planner', 'operator', 'admin')",
            name=op.f("role_grant_role_check"),
        ),
        sa.ForeignKeyConstraint(["site_id"], ["site.id"], name=op.f("role_grant_site_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("role_grant_pkey")),
    )
    op.create_index(
        "role_grant_key",
        "role_grant",
        ["principal_id", "role", "site_id"],
        unique=True,
        postgresql_nulls_not_distinct=True,
    )
    op.create_table(
        "api_key",
        _id(),
        *_of_principal("api_key"),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("prefix", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("scopes", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("site_ids", postgresql.ARRAY(sa.Integer()), nullable=True),
        _time("created_at", now=True),
        _time("expires_at"),
        _time("last_used_at", null=True),
        _time("revoked_at", null=True),
        sa.Column("replaces", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(["replaces"], ["api_key.id"], name=op.f("api_key_replaces_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("api_key_pkey")),
        sa.UniqueConstraint("prefix", name=op.f("api_key_prefix_key")),
        sa.UniqueConstraint("digest", name=op.f("api_key_digest_key")),
    )
    op.create_index("api_key_principal_id_idx", "api_key", ["principal_id"], unique=False)
    op.create_table(
        "session",
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        *_of_principal("session"),
        _time("created_at", now=True),
        _time("seen_at", now=True),
        sa.Column("address", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("digest", name=op.f("session_pkey")),
    )
    op.create_index("session_principal_id_idx", "session", ["principal_id"], unique=False)
    op.create_table(
        "sign_in_link",
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        *_of_principal("sign_in_link"),
        _time("expires_at"),
        sa.PrimaryKeyConstraint("digest", name=op.f("sign_in_link_pkey")),
    )
    op.create_index("sign_in_link_principal_id_idx", "sign_in_link", ["principal_id"], unique=False)
    op.create_table(
        "sign_in_failure",
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        _time("blocked_until"),
        _time("at"),
        sa.PrimaryKeyConstraint("who", name=op.f("sign_in_failure_pkey")),
    )
    op.create_table(
        "access_state",
        sa.Column("single", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("version", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.CheckConstraint("single", name=op.f("access_state_single_check")),
        sa.PrimaryKeyConstraint("single", name=op.f("access_state_pkey")),
    )


def downgrade() -> None:
    for table in (
        *("access_state", "sign_in_failure", "sign_in_link", "session", "api_key"),
        *("role_grant", "principal"),
    ):
        op.drop_table(table)
