"""Credentials of sources at the broker: one in force for each source, earlier ones kept."""

from sqlalchemy import Index, Table, text

from shared.db.tables.columns import identity, metadata, moment, reference, words

source_credential = Table(
    "source_credential",
    metadata,
    identity(),
    reference("source_id", "source.id"),
    words("user_name"),
    words("password_hash"),  # bcrypt, as NATS reads it; the password itself is nowhere
    moment("created_at", now=True),
    moment("revoked_at", null=True),  # null: in force
    Index(
        "source_credential_in_force_idx",
        "source_id",
        unique=True,
        postgresql_where=text("revoked_at IS NULL"),
    ),
)
