"""What arrived: raw uplinks, readings, roll-ups, changes, rejects and the ledger."""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Double,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, UUID

from shared.db.tables.columns import Xid8, document, metadata, moment, one_of, reference, words

uplink = Table(
    "uplink",
    metadata,
    Column("uplink_id", UUID(as_uuid=False), nullable=False),
    moment("observed_at"),
    moment("received_at"),
    Column("source_id", Integer, nullable=False),
    Column("device_id", Integer, nullable=False),
    words("topic"),
    Column("payload", LargeBinary, nullable=False),
    Column("f_cnt", BigInteger),
    Column("f_port", SmallInteger),
    Column("radio", JSONB),
    Column("gateways", ARRAY(Text)),
    # up, or what else a network server tells of a device: see device_event
    Column("event", Text, nullable=False, server_default=text("'up'")),
    # values of several times, or sent again later: received_at - observed_at is no latency
    Column("history", Boolean, nullable=False, server_default=text("false")),
    Index("uplink_uplink_id_observed_at_key", "uplink_id", "observed_at", unique=True),
    Index("uplink_device_id_observed_at_idx", "device_id", text("observed_at DESC")),
    Index("uplink_received_at_idx", "received_at", postgresql_using="brin"),
    info={"hypertable": "observed_at", "segment_by": "device_id"},
)
# The newest of each kind of a device, however rare: an uplink is kept for a while only.
device_event = Table(
    "device_event",
    metadata,
    Column("event_id", UUID(as_uuid=False), primary_key=True),  # as in uplink
    reference("device_id", "device.id"),
    moment("at"),
    words("kind"),  # join, status, ack, txack, queued, log, location, integration
    document("detail"),
    Index("device_event_device_id_kind_at_idx", "device_id", "kind", text("at DESC")),
)
reading = Table(
    "reading",
    metadata,
    moment("time"),
    Column("datastream_id", Integer, nullable=False),
    Column("value", Double, nullable=False),
    Column("quality", SmallInteger, nullable=False),
    Index("reading_datastream_id_time_key", "datastream_id", "time", unique=True),
    info={"hypertable": "time", "segment_by": "datastream_id"},
)
reading_superseded = Table(  # what a reprocessing replaced: its task is the revision
    "reading_superseded",
    metadata,
    Column("revision", Integer, primary_key=True),
    Column("datastream_id", Integer, primary_key=True),
    Column("time", DateTime(timezone=True), primary_key=True),
    Column("value", Double, nullable=False),
    Column("quality", SmallInteger, nullable=False),
    Index("reading_superseded_datastream_id_time_idx", "datastream_id", "time"),
)
reading_hourly = Table(
    "reading_hourly",
    metadata,
    Column("datastream_id", Integer, primary_key=True),
    Column("hour", DateTime(timezone=True), primary_key=True),
    Column("n", Integer, nullable=False),
    Column("n_good", Integer, nullable=False),
    Column("sum", Double),
    Column("min", Double),
    Column("max", Double),
    Column("first", Double),
    Column("last", Double),
)
change = Table(
    "change",
    metadata,
    Column("batch_id", BigInteger, Identity(always=True), primary_key=True),
    Column("xid", Xid8, nullable=False, server_default=text("pg_current_xact_id()")),
    moment("at", now=True),
    Column("datastream_ids", ARRAY(Integer), nullable=False),
    Column("hours", ARRAY(DateTime(timezone=True)), nullable=False),
    Index("change_xid_batch_id_idx", "xid", "batch_id"),
)
rejected = Table(
    "rejected",
    metadata,
    Column("reject_id", UUID(as_uuid=False), primary_key=True),
    moment("received_at"),
    Column("source_id", Integer, nullable=False),
    Column("device_id", Integer),
    Column("scope", Text, nullable=False),  # message: refused whole; item: one part of a stored one
    words("reason"),
    words("detail"),
    words("topic"),
    Column("payload", LargeBinary),
    Column("uplink_id", UUID(as_uuid=False)),
    Index("rejected_received_at_idx", text("received_at DESC")),
    Index("rejected_device_id_idx", "device_id"),
    one_of("scope", ("message", "item")),
)
ledger = Table(
    "ledger",
    metadata,
    Column("source_id", Integer, nullable=False),
    Column("device_id", Integer),
    moment("hour"),
    Column(
        "kind", Text, nullable=False
    ),  # stored, repeat, unkeyed, frame_gap, rejected:<reason>, item:<reason>
    Column("n", BigInteger, nullable=False),
    Index(
        "ledger_cell_key",
        "source_id",
        "device_id",
        "hour",
        "kind",
        unique=True,
        postgresql_nulls_not_distinct=True,
    ),
    postgresql_with={"fillfactor": 50},
)
# Where each device's frame counter stands: a later frame tells what was missed between.
frame_newest = Table(
    "frame_newest",
    metadata,
    Column("device_id", Integer, ForeignKey("device.id"), primary_key=True),
    moment("at", null=True),
    Column("f_cnt", BigInteger),  # -1: a join, after which counting begins anew
    Column("uplink_id", UUID(as_uuid=False)),
    Column("source_id", Integer),
    moment("hour", null=True),
    # the frame it was written after: a writer that remembers another learns so
    Column("follows", UUID(as_uuid=False)),
    postgresql_with={"fillfactor": 50},  # written over and over: room beside each, as in `ledger`
)
