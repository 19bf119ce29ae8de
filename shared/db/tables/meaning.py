"""What it means: findings, pilot kinds, outcome metrics and their values."""

from sqlalchemy import (
    BigInteger,
    Column,
    Double,
    ForeignKey,
    Identity,
    Index,
    Integer,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from shared.db.tables.columns import document, metadata, moment, one_of, reference, words
from shared.domain.place import ORIGINS

finding = Table(
    "finding",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    reference("pilot_id", "pilot.id"),
    reference("datastream_id", "datastream.id", null=True),
    reference("device_id", "device.id", null=True),  # about a device as a whole
    words("kind"),
    words("severity"),
    Column("confidence", Double),
    moment("started_at"),
    moment("ended_at", null=True),
    document("evidence"),
    words("origin"),
    moment("created_at", now=True),
    moment("withdrawn_at", null=True),
    Column("superseded_by", BigInteger, ForeignKey("finding.id")),
    Column("announced", Text),  # the severity alerts were made for; null: none yet
    Index("finding_pilot_id_started_at_idx", "pilot_id", text("started_at DESC")),
    Index(
        "finding_unannounced_idx",
        "id",
        postgresql_where=text("announced IS DISTINCT FROM severity"),
    ),
    Index(
        "finding_superseded_by_idx",
        "superseded_by",
        postgresql_where=text("superseded_by IS NOT NULL"),
    ),
    Index("finding_device_id_idx", "device_id", postgresql_where=text("device_id IS NOT NULL")),
    one_of("severity", ("info", "warning", "alarm", "critical")),
    one_of("origin", ORIGINS),
)
finding_action = Table(  # append-only: what people did about it, the newest row is its state
    "finding_action",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("finding_id", BigInteger, ForeignKey("finding.id"), nullable=False),
    words("action"),
    moment("at", now=True),
    words("by"),
    words("note", null=True),
    Index("finding_action_finding_id_id_idx", "finding_id", "id"),
    one_of("action", ("acknowledge", "close", "reopen")),
)
pilot_kind = Table(
    "pilot_kind",
    metadata,
    Column("kind", Text, primary_key=True),
    document("description"),
)
metric_definition = Table(
    "metric_definition",
    metadata,
    Column("metric", Text, primary_key=True),
    Column("def_version", Integer, primary_key=True),
    document("description"),
    moment("valid_from", now=True),
)
metric_value = Table(
    "metric_value",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    words("metric"),
    Column("def_version", Integer, nullable=False),
    Column("version", Integer, nullable=False),
    reference("pilot_id", "pilot.id"),
    Column("phase", SmallInteger, nullable=False),
    moment("from"),
    moment("to"),
    moment("as_of", now=True),
    Column("numerator", Double),
    Column("denominator", Double),
    Column("n", Integer, nullable=False),
    Column("value", Double),
    Column("ci_low", Double),
    Column("ci_high", Double),
    Column("method", Text),
    Column("coverage", Double),
    words("state"),
    Column("reason", Text),
    words("origin"),
    words("input_digest"),
    UniqueConstraint("pilot_id", "metric", "def_version", "from", "to", "version"),
    one_of("state", ("pass", "provisional", "fail", "insufficient")),
    one_of("origin", ORIGINS),
)
