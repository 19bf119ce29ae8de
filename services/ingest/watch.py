"""What ingest tells of itself: the same figures on /healthz and /metrics, read when asked."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from prometheus_client import Gauge

from services.ingest.inlet import Inlet
from services.ingest.keeper import Keeper
from services.ingest.parts import Parts
from shared import broker_monitor, telemetry
from shared.broker_monitor import MonitorUnreachable


@dataclass(frozen=True, slots=True)
class Watch:
    """Looks at the parts of a running ingest."""

    inlet: Inlet
    opened: Parts
    keeper: Keeper
    monitor_url: str | None

    def expose(self) -> None:
        """Let Prometheus read them at each scrape."""
        told: list[tuple[Gauge, Callable[[], float]]] = [
            (telemetry.LAG, self._lag),
            (telemetry.RECEIVES, lambda: self.inlet.alive),
            (telemetry.DATABASE, lambda: self.opened.store.healthy),
        ]
        if self.opened.backlog:
            spool, drain = self.opened.backlog
            told += [
                (telemetry.SPOOL_BYTES, lambda: spool.size),
                (telemetry.SPOOL_MESSAGES, lambda: spool.messages),
                (telemetry.SPOOL_FULL, lambda: spool.full is not None),
                (telemetry.SPOOL_DRAINS, lambda: drain.alive),
            ]
        if self.monitor_url:
            told.append((telemetry.PENDING, lambda: _or_unknown(self._pending())))
        for gauge, read in told:
            gauge.set_function(read)

    def state(self) -> dict[str, object]:
        """For /healthz. `ok`: everything works; a spool that fills loses nothing, yet is not ok."""
        connected = self.inlet.alive and self.inlet.subscribed
        full = self.opened.backlog[0].full if self.opened.backlog else None
        drains = self.opened.backlog is None or self.opened.backlog[1].alive
        return {
            "ok": connected and self.opened.store.healthy and full is None and drains,
            "broker_connected": connected,
            "network_thread": self.inlet.alive,
            "database": self.opened.store.healthy,
            "waiting": self.inlet.inbox.qsize(),
            "lag_s": round(self._lag(), 1),
            "broker_pending": self._pending(),
            "spool": self._spool(),
        }

    def _lag(self) -> float:
        """Age of the oldest message we were given and have not made durable."""
        since = self.keeper.holds_since
        return (datetime.now(UTC) - since).total_seconds() if since else 0.0

    def _pending(self) -> int | None:
        if self.monitor_url is None:
            return None
        try:
            return broker_monitor.pending(self.monitor_url)
        except MonitorUnreachable:
            return None

    def _spool(self) -> dict[str, object] | None:
        if self.opened.backlog is None:
            return None
        spool, drain = self.opened.backlog
        return {
            "bytes": spool.size,
            "messages": spool.messages,
            "full": spool.full,
            "drains": drain.alive,
        }


def _or_unknown(count: int | None) -> float:
    return float("nan") if count is None else count
