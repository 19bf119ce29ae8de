"""Sites, sources, profiles, pilots, devices and their datastreams."""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    Column,
    Double,
    ForeignKey,
    Integer,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from shared.db.tables.columns import document, identity, metadata, moment, one_of, reference, words
from shared.domain.place import ORIGINS, STAGES

site = Table(
    "site",
    metadata,
    identity(),
    Column("key", Text, nullable=False, unique=True),
    words("name"),
    words("zone"),
    Column("lat", Double, nullable=False),
    Column("lon", Double, nullable=False),
    words("stage"),
    one_of("stage", STAGES),
)
source = Table(
    "source",
    metadata,
    identity(),
    reference("site_id", "site.id"),
    words("key"),
    words("adapter"),
    Column("filters", ARRAY(Text), nullable=False),
    document("clock"),  # which event times are believed; empty: as usual
    UniqueConstraint("site_id", "key"),
)
gateway = Table(
    "gateway",
    metadata,
    identity(),
    reference("source_id", "source.id"),
    words("gateway_id"),
    Column("lat", Double),
    Column("lon", Double),
    moment("last_seen"),
    UniqueConstraint("source_id", "gateway_id"),
)
profile = Table(
    "profile",
    metadata,
    identity(),
    reference("site_id", "site.id"),
    words("key"),
    Column("interval_s", Integer),
    document("fields"),
    UniqueConstraint("site_id", "key"),
)
pilot = Table(
    "pilot",
    metadata,
    identity(),
    reference("site_id", "site.id"),
    words("key"),
    words("service"),
    words("kind", null=True),  # null: observed and shown, not analysed
    Column("phase", SmallInteger, nullable=False),
    words("origin"),
    document("params"),
    UniqueConstraint("site_id", "key"),
    CheckConstraint("phase BETWEEN 1 AND 3", name="phase"),
    one_of("origin", ORIGINS),
)
device = Table(
    "device",
    metadata,
    identity(),
    reference("site_id", "site.id"),
    words("key"),
    Column("external_id", Text, unique=True),  # eui:…, imei:…; null: the topic names the device
    reference("pilot_id", "pilot.id", null=True),
    reference("profile_id", "profile.id", null=True),
    reference("source_id", "source.id"),
    Column("lat", Double),
    Column("lon", Double),
    moment("planned", null=True),
    moment("commissioned", null=True),
    moment("cancelled", null=True),
    document("maintenance", default="[]"),
    words("origin"),
    Column("shift_s", BigInteger, nullable=False, server_default=text("0")),
    UniqueConstraint("site_id", "key"),
    one_of("origin", ORIGINS),
)
datastream = Table(
    "datastream",
    metadata,
    identity(),
    Column("device_id", Integer, ForeignKey("device.id"), nullable=False),
    words("property"),
    Column("channel", Text, nullable=False, server_default=text("''")),
    words("unit"),
    Column("derived_by", Text),  # the pilot kind that owns and replaces its readings
    UniqueConstraint("device_id", "property", "channel"),
)
