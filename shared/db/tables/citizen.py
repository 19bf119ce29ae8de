"""What citizens said: the raw message, and the scrubbed request made of it."""

from sqlalchemy import (
    CheckConstraint,
    Column,
    Double,
    Index,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, UUID

from shared.db.tables.columns import identity, metadata, moment, one_of, reference, words
from shared.domain.place import ORIGINS

feedback_raw = Table(  # personal text: own table, 30 days
    "feedback_raw",
    metadata,
    Column("feedback_id", UUID(as_uuid=False), primary_key=True),
    moment("received_at"),
    reference("site_id", "site.id"),
    Column("payload", LargeBinary, nullable=False),
    Column("refused", Text),  # why no service request was made of it
)
service_request = Table(
    "service_request",
    metadata,
    identity(),
    Column("feedback_id", UUID(as_uuid=False), nullable=False, unique=True),
    reference("site_id", "site.id"),
    words("service_code"),
    words("description"),
    Column("lat", Double),
    Column("lon", Double),
    Column("rating", SmallInteger),
    Column("lang", Text),
    moment("requested_at"),
    moment("received_at"),
    words("origin"),
    Column("status", Text, nullable=False, server_default=text("'open'")),
    Column("scrubbed", JSONB, nullable=False, server_default=text("'{}'")),
    Index("service_request_site_id_requested_at_idx", "site_id", text("requested_at DESC")),
    CheckConstraint("rating BETWEEN 1 AND 5", name="rating"),
    one_of("status", ("open", "closed")),
    one_of("origin", ORIGINS),
)
