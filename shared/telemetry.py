"""Logs, metrics and the health page of services that have no HTTP of their own."""

import json
import logging
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import structlog
from prometheus_client import Counter, Gauge, Histogram, generate_latest

from shared.errors import OperatorError
from shared.settings import Log

MESSAGES = Counter("lab_ingest_messages_total", "Messages by outcome", ["outcome"])
BATCH_SECONDS = Histogram("lab_ingest_batch_seconds", "Time to commit one batch")
BATCH_MESSAGES = Histogram(
    "lab_ingest_batch_messages", "Messages per batch", buckets=(1, 10, 50, 100, 500, 1000, 2000)
)
IN_FLIGHT = Gauge("lab_ingest_in_flight", "Messages delivered and not yet acknowledged")
CONNECTED = Gauge("lab_ingest_broker_connected", "1 while the broker connection stands")
RECEIVES = Gauge("lab_ingest_receiving", "1 while the thread that receives messages runs")
DATABASE = Gauge("lab_ingest_database_connected", "1 while live messages are committed")
LAG = Gauge("lab_ingest_lag_seconds", "Age of the oldest message received and not yet durable")
PENDING = Gauge("lab_ingest_broker_pending_messages", "What the broker holds; NaN: it does not say")
SPOOL_BYTES = Gauge("lab_ingest_spool_bytes", "Size of the spool on disk")
SPOOL_MESSAGES = Gauge("lab_ingest_spool_messages", "Messages that wait in the spool")
SPOOL_FULL = Gauge(
    "lab_ingest_spool_full", "1 while nothing more is taken: nothing is acknowledged"
)
SPOOL_DRAINS = Gauge("lab_ingest_spool_drain_running", "1 while the thread that drains runs")
SPOOLED = Counter("lab_ingest_spooled_messages_total", "Messages made durable in the spool")
DRAINED = Counter("lab_ingest_drained_messages_total", "Messages of the spool that were committed")
SPOOL_DAMAGED = Counter("lab_ingest_spool_damaged_total", "Places in the spool that no longer read")
SOURCE_SEEN = Gauge(
    "lab_ingest_source_last_seen_timestamp_seconds", "Last uplink; at most a day ago", ["source"]
)
GATEWAY_SEEN = Gauge(
    "lab_ingest_gateway_last_seen_timestamp_seconds", "Last uplink heard", ["source", "gateway"]
)
PUSHES = Counter("lab_push_requests_total", "Requests to push a message, by answer", ["status"])
VIOLATIONS = Counter(
    "lab_broker_violations_total", "What the broker refused, by its log", ["user", "kind"]
)
JOB_SECONDS = Histogram("lab_analytics_job_seconds", "Time of one job slice", ["job"])
JOB_FAILURES = Counter("lab_analytics_job_failures_total", "Failed job slices", ["job"])
ALERTS = Counter("lab_alerts_total", "Attempts to send an alert", ["channel", "outcome"])
LIVE_STREAMS = Gauge("lab_api_live_streams", "Open server-sent event streams")

Health = Callable[[], dict[str, object]]


def configure_logs(settings: Log) -> None:
    """One structured line per event on stderr: console text or JSON."""
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if settings.format == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            getattr(logging, settings.level.upper())
        ),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
    )


class HealthPortTaken(OperatorError):
    """The health page cannot be served at its port; the message names the settings."""


class HealthServer(ThreadingHTTPServer):
    """Answers probes; `shutdown` also frees the port."""

    def shutdown(self) -> None:
        super().shutdown()
        self.server_close()


def serve_health(port: int, health: Health) -> HealthServer | None:
    """Serve /healthz (200 when `ok` is true, else 503) and /metrics on loopback; port 0 is off.

    Raises HealthPortTaken.
    """
    if port == 0:
        return None

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/metrics":
                return self._answer(200, "text/plain; version=0.0.4", generate_latest())
            if self.path == "/healthz":
                state = health()
                return self._answer(
                    200 if state["ok"] else 503, "application/json", json.dumps(state).encode()
                )
            return self._answer(404, "text/plain", b"try /healthz or /metrics\n")

        def _answer(self, status: int, kind: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Probes every few seconds are no news."""

    try:
        server = HealthServer(("127.0.0.1", port), Handler)
    except OSError as error:
        raise HealthPortTaken(
            f"LAB_INGEST_HEALTH_PORT, LAB_ANALYTICS_HEALTH_PORT: cannot listen on 127.0.0.1:{port}:"
            f" {error.strerror}"
        ) from None
    threading.Thread(target=server.serve_forever, name="health", daemon=True).start()
    return server
