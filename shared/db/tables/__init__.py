"""Every table. Those marked `info={"hypertable": column}` become hypertables where TimescaleDB is
present (shared/db/timescale.py); no foreign key points from or to them."""

from shared.db.tables.access import (
    access_state,
    api_key,
    principal,
    role_grant,
    session,
    sign_in_failure,
    sign_in_link,
)
from shared.db.tables.alert import alert
from shared.db.tables.arrival import (
    change,
    device_event,
    frame_newest,
    ledger,
    reading,
    reading_hourly,
    reading_superseded,
    rejected,
    uplink,
)
from shared.db.tables.audit import audit, audit_anchor, audit_head, audit_seal
from shared.db.tables.citizen import feedback_raw, service_request
from shared.db.tables.columns import metadata
from shared.db.tables.credential import source_credential
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
    "access_state",
    "alert",
    "api_key",
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
    "frame_newest",
    "gateway",
    "job",
    "ledger",
    "metadata",
    "metric_definition",
    "metric_value",
    "pilot",
    "pilot_kind",
    "principal",
    "profile",
    "reading",
    "reading_hourly",
    "reading_superseded",
    "rejected",
    "role_grant",
    "service_request",
    "session",
    "sign_in_failure",
    "sign_in_link",
    "site",
    "source",
    "source_credential",
    "task",
    "uplink",
]
