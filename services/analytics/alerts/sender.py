"""Sending what waits, one thread a channel: claim, commit, send, record.

No transaction is open while the network is waited for: it would hold back every follower.
"""

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Final

import structlog
from sqlalchemy import Engine

from services.analytics.alerts import outbox, quiet
from services.analytics.alerts.alert import Alert, Undelivered
from services.analytics.alerts.channel import Channel, configured
from services.analytics.runner import lost
from shared.settings import Alerts, quiet_hours
from shared.telemetry import ALERTS

LOOK_S: Final = 0.5  # one lookup in a small index
FAILED_PAUSE_S: Final = 10.0
STEPS: Final = 12  # of an SMTP dialogue, each with the time-out: a claim outlasts them all

log = structlog.get_logger()
Clock = Callable[[], datetime]


def clock() -> datetime:
    return datetime.now(UTC)


@contextmanager
def running(engine: Engine, settings: Alerts, stop: threading.Event) -> Iterator[None]:
    """Send on every channel until `stop` is set, then wait for what is under way."""
    threads = [
        threading.Thread(
            target=_follow, name=f"alerts-{each.name}", args=(engine, each, settings, stop)
        )
        for each in configured(settings)
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _follow(engine: Engine, channel: Channel, settings: Alerts, stop: threading.Event) -> None:
    while not stop.is_set():
        pause = LOOK_S
        try:
            deliver(engine, channel, settings, stop)
        except Exception as error:  # the thread outlives any fault: told, then tried again
            pause = FAILED_PAUSE_S
            told = log.warning if lost(error) else log.exception
            told("alerts wait", channel=channel.name, error=str(error).strip())
        stop.wait(pause)


def deliver(
    engine: Engine,
    channel: Channel,
    settings: Alerts,
    stop: threading.Event,
    now: Clock = clock,
) -> int:
    """Send what is due on a channel, one after the other; returns how many arrived."""
    arrived = 0
    lease = timedelta(seconds=STEPS * settings.timeout_s)
    while not stop.is_set():
        with engine.begin() as connection:
            alert = outbox.claim(connection, channel.name, now(), lease)
        if alert is None:
            break
        why = _refusal(channel, alert, now())
        again = _again(alert, settings, now())
        with engine.begin() as connection:
            if why is None:
                outbox.sent(connection, alert, now())
                arrived += 1
            else:
                outbox.failed(connection, alert, why, again)
        outcome = "sent" if why is None else "failed" if again else "dead"
        ALERTS.labels(channel.name, outcome).inc()
    return arrived


def _refusal(channel: Channel, alert: Alert, now: datetime) -> str | None:
    """Why the alert did not arrive; None when it did."""
    said = {"channel": channel.name, "alert": alert.id, "finding": alert.finding_id}
    try:
        channel.send(alert, now)
    except Undelivered as error:
        log.warning("alert not delivered", **said, attempt=alert.attempts, error=str(error))
        return str(error)
    except Exception as error:  # one alert that cannot be written must not stop the others
        log.exception("alert cannot be sent", **said)
        return f"{type(error).__name__}: {error}"
    return None


def _again(alert: Alert, settings: Alerts, now: datetime) -> datetime | None:
    """When to try once more: later each time, not in quiet hours; None after the last attempt."""
    if alert.attempts >= settings.attempts:
        return None
    pause = quiet.pause(alert.attempts, settings.retry_s, random.random())
    hours = quiet_hours(settings.quiet) if settings.quiet else None
    return quiet.earliest(now + pause, hours, alert.zone, alert.severity)
