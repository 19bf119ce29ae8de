"""Alerts: one row per finding, severity reached and channel; what was sent, and what was not."""

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import UUID

from shared.db.tables.columns import metadata, moment, one_of, words

alert = Table(
    "alert",
    metadata,
    # Receivers know an alert by it: the same at every attempt, unlike in any other database.
    Column("id", UUID(as_uuid=False), primary_key=True, server_default=text("gen_random_uuid()")),
    Column("finding_id", BigInteger, ForeignKey("finding.id"), nullable=False),
    words("channel"),
    words("severity"),
    Column("state", Text, nullable=False, server_default=text("'waiting'")),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    moment("next_at", null=True),  # waiting: not before this; while one sends, its lease
    Column("error", Text),  # why it was skipped, or what the last attempt met
    moment("created_at", now=True),
    moment("sent_at", null=True),
    UniqueConstraint("finding_id", "channel", "severity"),
    Index("alert_waiting_idx", "channel", "next_at", postgresql_where=text("state = 'waiting'")),
    one_of("state", ("waiting", "sent", "dead", "skipped")),
    one_of("severity", ("info", "warning", "alarm", "critical")),
)
