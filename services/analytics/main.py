"""The analytics service: describes itself, then keeps everything derived up to date."""

import threading
from typing import Final

import structlog
from sqlalchemy import Connection, Engine, select
from sqlalchemy.dialects.postgresql import insert

from services.analytics import (
    compression,
    departed,
    listen,
    pilot,
    pilot_job,
    retention,
    rollup,
    silent,
)
from services.analytics.alerts import announce, sender
from services.analytics.audit import job as audit_job
from services.analytics.audit import retention as audit_retention
from services.analytics.outcomes.job import JOB as OUTCOMES
from services.analytics.outcomes.metric import Metric, metrics, unchanged
from services.analytics.outcomes.metric import described as metric_described
from services.analytics.runner import Job
from services.analytics.schedule import Schedule
from shared.db import migrate
from shared.db.engine import sync_engine
from shared.db.session import ANALYTICS
from shared.db.tables import metric_definition, pilot_kind
from shared.settings import Alerts, Analytics, Audit, Database, Retention
from shared.telemetry import serve_health

KEPT: Final = Retention.model_construct()
UNSIGNED: Final = Audit.model_construct()
UNSENT: Final = Alerts.model_construct()  # no channel: findings are for the pages alone

log = structlog.get_logger()


def run(
    database: Database,
    settings: Analytics,
    stop: threading.Event,
    alerts: Alerts = UNSENT,
    kept: Retention = KEPT,
    audit: Audit = UNSIGNED,
) -> None:
    """Work until `stop` is set. Raises OperatorError when the database cannot be used at start;
    one lost later is waited for."""
    engine = sync_engine(database, ANALYTICS)
    try:
        migrate.ready(engine, database)
        describe(engine)
        work = jobs(alerts, kept, audit)
        schedule = Schedule(engine, work, settings.every_s, stop)
        health = serve_health(settings.health_port, schedule.health)
        schedule.start()
        log.info("analytics started", jobs=[job.name for job in work], alerts=alerts.channels)
        try:
            with sender.running(engine, alerts, stop):
                listen.follow(database, schedule.wake, stop)
        finally:
            stop.set()
            schedule.close()
            if health:
                health.shutdown()
    finally:
        engine.dispose()


def jobs(alerts: Alerts = UNSENT, kept: Retention = KEPT, audit: Audit = UNSIGNED) -> list[Job]:
    """Every job of this release."""
    kinds = [pilot_job.job(kind) for kind in pilot.kinds().values()]
    followers = [rollup.JOB, *kinds, OUTCOMES, silent.JOB]
    names = [job.name for job in followers]
    audited = [audit_job.job(audit), audit_retention.job(audit)]
    keeping = [compression.job(kept), retention.job(names, kept)]
    return [*followers, departed.JOB, announce.job(alerts), *audited, *keeping]


def describe(engine: Engine) -> None:
    """Tell the API what this release can analyse and measure.

    Raises DefinitionChanged when a metric would give values published earlier another meaning.
    """
    with engine.begin() as connection:
        for kind in pilot.kinds().values():
            said = {"description": pilot.described(kind)}
            connection.execute(
                insert(pilot_kind)
                .values(kind=kind.name, **said)
                .on_conflict_do_update(index_elements=["kind"], set_=said)
            )
        for metric in metrics().values():
            _define(connection, metric)


def _define(connection: Connection, metric: Metric) -> None:
    """Store a definition once; afterwards only its wording may change."""
    key = {"metric": metric.key, "def_version": metric.def_version}
    said = {"description": metric_described(metric)}
    connection.execute(insert(metric_definition).values(**key, **said).on_conflict_do_nothing())
    stored = connection.scalar(select(metric_definition.c.description).filter_by(**key))
    unchanged(metric, stored or {})
    if stored != said["description"]:
        connection.execute(metric_definition.update().filter_by(**key).values(**said))
