"""The first schema."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from shared.db.tables.columns import Xid8

revision = "20261122_1700_first_schema"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "change",
        sa.Column("batch_id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column(
            "xid",
            Xid8(),
            server_default=sa.text("pg_current_xact_id()"),
            nullable=False,
        ),
        sa.Column(
            "at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.Column("datastream_ids", sa.ARRAY(sa.Integer()), nullable=False),
        sa.Column("hours", sa.ARRAY(sa.DateTime(timezone=True)), nullable=False),
        sa.PrimaryKeyConstraint("batch_id", name=op.f("change_pkey")),
    )
    op.create_index("change_xid_batch_id_idx", "change", ["xid", "batch_id"], unique=False)
    op.create_table(
        "job",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column(
            "progress",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'"),
            nullable=False,
        ),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("ran_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("job_pkey")),
    )
    op.create_table(
        "ledger",
        sa.Column("source_id", sa.Integer(), nullable=False),
        sa.Column("device_id", sa.Integer(), nullable=True),
        sa.Column("hour", sa.DateTime(timezone=True), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("n", sa.BigInteger(), nullable=False),
    )
    op.create_index(
        "ledger_cell_key",
        "ledger",
        ["source_id", "device_id", "hour", "kind"],
        unique=True,
        postgresql_nulls_not_distinct=True,
    )
    op.create_table(
        "metric_definition",
        sa.Column("metric", sa.Text(), nullable=False),
        sa.Column("def_version", sa.Integer(), nullable=False),
        sa.Column(
            "description",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'"),
            nullable=False,
        ),
        sa.Column(
            "valid_from",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("metric", "def_version", name=op.f("metric_definition_pkey")),
    )
    op.create_table(
        "pilot_kind",
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column(
            "description",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("kind", name=op.f("pilot_kind_pkey")),
    )
    op.create_table(
        "reading",
        sa.Column("time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("datastream_id", sa.Integer(), nullable=False),
        sa.Column("value", sa.Double(), nullable=False),
        sa.Column("quality", sa.SmallInteger(), nullable=False),
        info={"hypertable": "time"},
    )
    op.create_index(
        "reading_datastream_id_time_key", "reading", ["datastream_id", "time"], unique=True
    )
    op.create_table(
        "reading_hourly",
        sa.Column("datastream_id", sa.Integer(), nullable=False),
        sa.Column("hour", sa.DateTime(timezone=True), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("n_good", sa.Integer(), nullable=False),
        sa.Column("sum", sa.Double(), nullable=True),
        sa.Column("min", sa.Double(), nullable=True),
        sa.Column("max", sa.Double(), nullable=True),
        sa.Column("first", sa.Double(), nullable=True),
        sa.Column("last", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("datastream_id", "hour", name=op.f("reading_hourly_pkey")),
    )
    op.create_table(
        "rejected",
        sa.Column("reject_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("source_id", sa.Integer(), nullable=False),
        sa.Column("device_id", sa.Integer(), nullable=True),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=True),
        sa.Column("uplink_id", sa.UUID(as_uuid=False), nullable=True),
        sa.CheckConstraint("scope IN ('message', 'item')", name=op.f("rejected_scope_check")),
        sa.PrimaryKeyConstraint("reject_id", name=op.f("rejected_pkey")),
    )
    op.create_index("rejected_device_id_idx", "rejected", ["device_id"], unique=False)
    op.create_index(
        "rejected_received_at_idx",
        "rejected",
        [sa.literal_column("received_at DESC")],
        unique=False,
    )
    op.create_table(
        "site",
        sa.Column("id", sa.Integer(), sa.Identity(always=True), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("zone", sa.Text(), nullable=False),
        sa.Column("lat", sa.Double(), nullable=False),
        sa.Column("lon", sa.Double(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "stage IN ('foundation', 'experiment', 'spread')", name=op.f("site_stage_check")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("site_pkey")),
        sa.UniqueConstraint("key", name=op.f("site_key_key")),
    )
    op.create_table(
        "task",
        sa.Column("id", sa.Integer(), sa.Identity(always=True), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column(
            "args",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'"),
            nullable=False,
        ),
        sa.Column("state", sa.Text(), server_default=sa.text("'waiting'"), nullable=False),
        sa.Column("result", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("requested_by", sa.Text(), nullable=True),
        sa.Column(
            "requested_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.CheckConstraint(
            "state IN ('waiting', 'running', 'done', 'failed')", name=op.f("task_state_check")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("task_pkey")),
    )
    op.create_table(
        "uplink",
        sa.Column("uplink_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("observed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("source_id", sa.Integer(), nullable=False),
        sa.Column("device_id", sa.Integer(), nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.Column("f_cnt", sa.BigInteger(), nullable=True),
        sa.Column("f_port", sa.SmallInteger(), nullable=True),
        sa.Column("radio", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("gateways", sa.ARRAY(sa.Text()), nullable=True),
        info={"hypertable": "observed_at"},
    )
    op.create_index(
        "uplink_device_id_observed_at_idx",
        "uplink",
        ["device_id", sa.literal_column("observed_at DESC")],
        unique=False,
    )
    op.create_index(
        "uplink_uplink_id_observed_at_key", "uplink", ["uplink_id", "observed_at"], unique=True
    )
    op.create_table(
        "feedback_raw",
        sa.Column("feedback_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("site_id", sa.Integer(), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.Column("refused", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["site_id"], ["site.id"], name=op.f("feedback_raw_site_id_fkey")),
        sa.PrimaryKeyConstraint("feedback_id", name=op.f("feedback_raw_pkey")),
    )
    op.create_table(
        "pilot",
        sa.Column("id", sa.Integer(), sa.Identity(always=True), nullable=False),
        sa.Column("site_id", sa.Integer(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("service", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=True),
        sa.Column("phase", sa.SmallInteger(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column(
            "params",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'"),
            nullable=False,
        ),
        sa.CheckConstraint(
            "origin IN ('measured', 'recorded', 'simulated')", name=op.f("pilot_origin_check")
        ),
        sa.CheckConstraint("phase BETWEEN 1 AND 3", name=op.f("pilot_phase_check")),
        sa.ForeignKeyConstraint(["site_id"], ["site.id"], name=op.f("pilot_site_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("pilot_pkey")),
        sa.UniqueConstraint("site_id", "key", name=op.f("pilot_site_id_key_key")),
    )
    op.create_table(
        "profile",
        sa.Column("id", sa.Integer(), sa.Identity(always=True), nullable=False),
        sa.Column("site_id", sa.Integer(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("interval_s", sa.Integer(), nullable=True),
        sa.Column(
            "fields",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(["site_id"], ["site.id"], name=op.f("profile_site_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("profile_pkey")),
        sa.UniqueConstraint("site_id", "key", name=op.f("profile_site_id_key_key")),
    )
    op.create_table(
        "service_request",
        sa.Column("id", sa.Integer(), sa.Identity(always=True), nullable=False),
        sa.Column("feedback_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("site_id", sa.Integer(), nullable=False),
        sa.Column("service_code", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("lat", sa.Double(), nullable=True),
        sa.Column("lon", sa.Double(), nullable=True),
        sa.Column("rating", sa.SmallInteger(), nullable=True),
        sa.Column("lang", sa.Text(), nullable=True),
        sa.Column("requested_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), server_default=sa.text("'open'"), nullable=False),
        sa.Column(
            "scrubbed",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'"),
            nullable=False,
        ),
        sa.CheckConstraint(
            "origin IN ('measured', 'recorded', 'simulated')",
            name=op.f("service_request_origin_check"),
        ),
        sa.CheckConstraint(
            "status IN ('open', 'closed')", name=op.f("service_request_status_check")
        ),
        sa.CheckConstraint("rating BETWEEN 1 AND 5", name=op.f("service_request_rating_check")),
        sa.ForeignKeyConstraint(
            ["site_id"], ["site.id"], name=op.f("service_request_site_id_fkey")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("service_request_pkey")),
        sa.UniqueConstraint("feedback_id", name=op.f("service_request_feedback_id_key")),
    )
    op.create_index(
        "service_request_site_id_requested_at_idx",
        "service_request",
        ["site_id", sa.literal_column("requested_at DESC")],
        unique=False,
    )
    op.create_table(
        "source",
        sa.Column("id", sa.Integer(), sa.Identity(always=True), nullable=False),
        sa.Column("site_id", sa.Integer(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("adapter", sa.Text(), nullable=False),
        sa.Column("filters", sa.ARRAY(sa.Text()), nullable=False),
        sa.ForeignKeyConstraint(["site_id"], ["site.id"], name=op.f("source_site_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("source_pkey")),
        sa.UniqueConstraint("site_id", "key", name=op.f("source_site_id_key_key")),
    )
    op.create_table(
        "device",
        sa.Column("id", sa.Integer(), sa.Identity(always=True), nullable=False),
        sa.Column("site_id", sa.Integer(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=True),
        sa.Column("pilot_id", sa.Integer(), nullable=True),
        sa.Column("profile_id", sa.Integer(), nullable=True),
        sa.Column("source_id", sa.Integer(), nullable=False),
        sa.Column("lat", sa.Double(), nullable=True),
        sa.Column("lon", sa.Double(), nullable=True),
        sa.Column("planned", sa.DateTime(timezone=True), nullable=True),
        sa.Column("commissioned", sa.DateTime(timezone=True), nullable=True),
        sa.Column("cancelled", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "maintenance",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'[]'"),
            nullable=False,
        ),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("shift_s", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.CheckConstraint(
            "origin IN ('measured', 'recorded', 'simulated')", name=op.f("device_origin_check")
        ),
        sa.ForeignKeyConstraint(["pilot_id"], ["pilot.id"], name=op.f("device_pilot_id_fkey")),
        sa.ForeignKeyConstraint(
            ["profile_id"], ["profile.id"], name=op.f("device_profile_id_fkey")
        ),
        sa.ForeignKeyConstraint(["site_id"], ["site.id"], name=op.f("device_site_id_fkey")),
        sa.ForeignKeyConstraint(["source_id"], ["source.id"], name=op.f("device_source_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("device_pkey")),
        sa.UniqueConstraint("external_id", name=op.f("device_external_id_key")),
        sa.UniqueConstraint("site_id", "key", name=op.f("device_site_id_key_key")),
    )
    op.create_table(
        "gateway",
        sa.Column("id", sa.Integer(), sa.Identity(always=True), nullable=False),
        sa.Column("source_id", sa.Integer(), nullable=False),
        sa.Column("gateway_id", sa.Text(), nullable=False),
        sa.Column("lat", sa.Double(), nullable=True),
        sa.Column("lon", sa.Double(), nullable=True),
        sa.Column("last_seen", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["source_id"], ["source.id"], name=op.f("gateway_source_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("gateway_pkey")),
        sa.UniqueConstraint(
            "source_id", "gateway_id", name=op.f("gateway_source_id_gateway_id_key")
        ),
    )
    op.create_table(
        "metric_value",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("metric", sa.Text(), nullable=False),
        sa.Column("def_version", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("pilot_id", sa.Integer(), nullable=False),
        sa.Column("phase", sa.SmallInteger(), nullable=False),
        sa.Column("from", sa.DateTime(timezone=True), nullable=False),
        sa.Column("to", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "as_of", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.Column("numerator", sa.Double(), nullable=True),
        sa.Column("denominator", sa.Double(), nullable=True),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("value", sa.Double(), nullable=True),
        sa.Column("ci_low", sa.Double(), nullable=True),
        sa.Column("ci_high", sa.Double(), nullable=True),
        sa.Column("method", sa.Text(), nullable=True),
        sa.Column("coverage", sa.Double(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("input_digest", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "origin IN ('measured', 'recorded', 'simulated')",
            name=op.f("metric_value_origin_check"),
        ),
        sa.CheckConstraint(
            "state IN ('pass', 'provisional', 'fail', 'insufficient')",
            name=op.f("metric_value_state_check"),
        ),
        sa.ForeignKeyConstraint(
            ["pilot_id"], ["pilot.id"], name=op.f("metric_value_pilot_id_fkey")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("metric_value_pkey")),
        sa.UniqueConstraint(
            "pilot_id",
            "metric",
            "def_version",
            "from",
            "to",
            "version",
            name=op.f("metric_value_pilot_id_metric_def_version_from_to_version_key"),
        ),
    )
    op.create_table(
        "datastream",
        sa.Column("id", sa.Integer(), sa.Identity(always=True), nullable=False),
        sa.Column("device_id", sa.Integer(), nullable=False),
        sa.Column("property", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("unit", sa.Text(), nullable=False),
        sa.Column("derived_by", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["device_id"], ["device.id"], name=op.f("datastream_device_id_fkey")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("datastream_pkey")),
        sa.UniqueConstraint(
            "device_id",
            "property",
            "channel",
            name=op.f("datastream_device_id_property_channel_key"),
        ),
    )
    op.create_table(
        "finding",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("pilot_id", sa.Integer(), nullable=False),
        sa.Column("datastream_id", sa.Integer(), nullable=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("severity", sa.Text(), nullable=False),
        sa.Column("confidence", sa.Double(), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "evidence",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'"),
            nullable=False,
        ),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("withdrawn_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("superseded_by", sa.BigInteger(), nullable=True),
        sa.CheckConstraint(
            "origin IN ('measured', 'recorded', 'simulated')", name=op.f("finding_origin_check")
        ),
        sa.CheckConstraint(
            "severity IN ('info', 'warning', 'alarm', 'critical')",
            name=op.f("finding_severity_check"),
        ),
        sa.ForeignKeyConstraint(
            ["datastream_id"], ["datastream.id"], name=op.f("finding_datastream_id_fkey")
        ),
        sa.ForeignKeyConstraint(["pilot_id"], ["pilot.id"], name=op.f("finding_pilot_id_fkey")),
        sa.ForeignKeyConstraint(
            ["superseded_by"], ["finding.id"], name=op.f("finding_superseded_by_fkey")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("finding_pkey")),
    )
    op.create_index(
        "finding_pilot_id_started_at_idx",
        "finding",
        ["pilot_id", sa.literal_column("started_at DESC")],
        unique=False,
    )


def downgrade() -> None:
    op.drop_index("finding_pilot_id_started_at_idx", table_name="finding")
    op.drop_table("finding")
    op.drop_table("datastream")
    op.drop_table("metric_value")
    op.drop_table("gateway")
    op.drop_table("device")
    op.drop_table("source")
    op.drop_index("service_request_site_id_requested_at_idx", table_name="service_request")
    op.drop_table("service_request")
    op.drop_table("profile")
    op.drop_table("pilot")
    op.drop_table("feedback_raw")
    op.drop_index("uplink_uplink_id_observed_at_key", table_name="uplink")
    op.drop_index("uplink_device_id_observed_at_idx", table_name="uplink")
    op.drop_table("uplink")
    op.drop_table("task")
    op.drop_table("site")
    op.drop_index("rejected_received_at_idx", table_name="rejected")
    op.drop_index("rejected_device_id_idx", table_name="rejected")
    op.drop_table("rejected")
    op.drop_table("reading_hourly")
    op.drop_index("reading_datastream_id_time_key", table_name="reading")
    op.drop_table("reading")
    op.drop_table("pilot_kind")
    op.drop_table("metric_definition")
    op.drop_index("ledger_cell_key", table_name="ledger", postgresql_nulls_not_distinct=True)
    op.drop_table("ledger")
    op.drop_table("job")
    op.drop_index("change_xid_batch_id_idx", table_name="change")
    op.drop_table("change")
