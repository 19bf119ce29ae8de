"""The audit log: append-only rows, their chain of seals, and signed places of it."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from shared.db.tables.columns import Xid8

revision = "20261130_0010_audit"
down_revision = "20261122_2030_storage"
branch_labels = None
depends_on = None

APPEND_ONLY = ("audit", "audit_seal", "audit_anchor")


def upgrade() -> None:
    op.create_table(
        "audit",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("xid", Xid8(), server_default=sa.text("pg_current_xact_id()"), nullable=False),
        sa.Column(
            "at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("object", sa.Text(), nullable=False),
        sa.Column("site_id", sa.Integer(), nullable=True),
        sa.Column("address", sa.Text(), nullable=True),
        sa.Column("why", sa.Text(), nullable=True),
        sa.Column("outcome", sa.Text(), server_default=sa.text("'done'"), nullable=False),
        sa.Column(
            "changed", postgresql.ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False
        ),
        sa.Column(
            "values",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'"),
            nullable=False,
        ),
        sa.CheckConstraint(
            "outcome IN ('done', 'refused', 'failed')", name=op.f("audit_outcome_check")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("audit_pkey")),
    )
    op.create_index("audit_xid_id_idx", "audit", ["xid", "id"], unique=False)
    op.create_table(
        "audit_seal",
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("audit_id", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("audit_seal_pkey")),
        sa.UniqueConstraint("audit_id", name=op.f("audit_seal_audit_id_key")),
    )
    op.create_table(
        "audit_head",
        sa.Column(
            "only", sa.Integer(), autoincrement=False, server_default=sa.text("1"), nullable=False
        ),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("signature", sa.LargeBinary(), nullable=True),
        sa.Column("passed_xid", Xid8(), nullable=False),
        sa.Column("passed_id", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("only", name=op.f("audit_head_pkey")),
    )
    op.create_table(
        "audit_anchor",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("signature", sa.LargeBinary(), nullable=True),
        sa.CheckConstraint("kind IN ('head', 'start')", name=op.f("audit_anchor_kind_check")),
        sa.PrimaryKeyConstraint("id", name=op.f("audit_anchor_pkey")),
    )
    op.execute(
        """
        CREATE FUNCTION audit_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF coalesce(current_setting('lab.audit_unlocked', true), '') = '' THEN
                RAISE EXCEPTION '% of % refused: it is append-only', TG_OP, TG_TABLE_NAME
                    USING ERRCODE = 'insufficient_privilege';
            END IF;
            RETURN NULL;
        END $$
        """
    )
    for table in APPEND_ONLY:
        op.execute(
            f"CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}"
            " FOR EACH STATEMENT EXECUTE FUNCTION audit_append_only()"
        )


def downgrade() -> None:
    for table in ("audit_anchor", "audit_head", "audit_seal", "audit"):
        op.drop_table(table)
    op.execute("DROP FUNCTION audit_append_only()")
