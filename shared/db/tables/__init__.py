"""Every table. Those marked `info={"hypertable": column}` become hypertables where TimescaleDB is
present (shared/db/timescale.py); no foreign key points from or to them."""

from shared.db.tables.alert import alert
from shared.db.tables.arrival import (
    change,
    device_event,
    ledger,
    reading,
    reading_hourly,
    rejected,
    uplink,
)
from shared.db.tables.audit import audit, audit_anchor, audit_head, audit_seal
from shared.db.tables.citizen import feedback_raw, service_request
from shared.db.tables.columns import metadata
from shared.db.tables.meaning import (
    finding,
    finding_action,
    metric_definition,
    metric_value,
    pilot_kind,
)
from shared.db.tables.place import datastream, device, gateway, pilot, profile, site, source
from shared.db.tables.work import job, task

__all__ = [
    "alert",
    "audit",
    "audit_anchor",
    "audit_head",
    "audit_seal",
    "change",
    "datastream",
    "device",
    "device_event",
    "feedback_raw",
    "finding",
    "finding_action",
    "gateway",
    "job",
    "ledger",
    "metadata",
    "metric_definition",
    "metric_value",
    "pilot",
    "pilot_kind",
    "profile",
    "reading",
    "reading_hourly",
    "rejected",
    "service_request",
    "site",
    "source",
    "task",
    "uplink",
]
