"""Which findings become alerts: each once per channel, none of a past nobody waits for."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, text

from services.analytics.alerts import announce, outbox
from shared.db import migrate, sites
from shared.db.engine import sync_engine
from shared.settings import Alerts, Database
from shared.site_file import parse
from tests.integration import analytics_site as world
from tests.integration.alert_receivers import SECRET

pytestmark = pytest.mark.database
Apply = Callable[[object], list[str]]
NOW = datetime(2026, 3, 1, 15, 30, tzinfo=UTC)  # 22:30 in Jakarta
HOUR = timedelta(hours=1)
BOTH = {
    "webhook_url": "http://127.0.0.1:9/",
    "webhook_secret": SECRET,
    "smtp_url": "smtp://127.0.0.1:9",
    "mail_from": "lab@city.example",
    "mail_to": "duty@city.example",
}
HOOK = {name: BOTH[name] for name in ("webhook_url", "webhook_secret")}


@pytest.fixture
def gauge(engine: Engine, apply_site: Apply) -> int:
    apply_site(world.site(("g1", "gauge")))
    gauge = world.datastream(engine, "g1", "water_level")
    world.write(engine, gauge, world.good([(NOW - HOUR, 0.1)]))
    return gauge


def raised(
    engine: Engine, gauge: int, severity: str = "alarm", start: datetime = NOW, **more: object
) -> int:
    """A finding, as an analysis would commit it."""
    columns = {"severity": severity, "started_at": start, **more}
    with engine.begin() as connection:
        return int(
            connection.scalar(
                text(f"""
                    INSERT INTO finding (pilot_id, datastream_id, kind, origin,
                                         {", ".join(columns)})
                    SELECT id, :gauge, 'flood', origin, {", ".join(f":{name}" for name in columns)}
                    FROM pilot WHERE kind = 'flood' RETURNING id
                """),
                {"gauge": gauge, **columns},
            )
        )


def changed(engine: Engine, number: int, **columns: object) -> None:
    names = ", ".join(f"{name} = :{name}" for name in columns)
    with engine.begin() as connection:
        connection.execute(
            text(f"UPDATE finding SET {names} WHERE id = :id"), {"id": number, **columns}
        )


def announced(engine: Engine, now: datetime = NOW, **settings: Any) -> list[tuple[Any, ...]]:
    """Announce what is due; all alerts there are: finding, channel, severity, state, why."""
    with engine.begin() as connection:
        announce.work(connection, {}, Alerts(**(settings or HOOK)), now)
    return [
        tuple(row.values())
        for row in world.rows(
            engine,
            "SELECT finding_id, channel, severity, state, error FROM alert"
            " ORDER BY created_at, finding_id, channel",
        )
    ]


def claimed(engine: Engine, now: datetime = NOW) -> str | None:
    with engine.begin() as connection:
        alert = outbox.claim(connection, "webhook", now, HOUR)
    return alert and alert.id


def send_all(engine: Engine) -> None:
    with engine.begin() as connection:
        while alert := outbox.claim(connection, "webhook", NOW, HOUR):
            outbox.sent(connection, alert, NOW)


def test_a_finding_is_announced_once_on_each_channel_and_again_when_it_gets_worse(
    engine: Engine, gauge: int
) -> None:
    number = raised(engine, gauge, "warning")
    wanted = [(number, name, "warning", "waiting", None) for name in ("mail", "webhook")]
    assert announced(engine, **BOTH) == wanted
    changed(engine, number, ended_at=NOW)
    assert announced(engine, **BOTH) == wanted
    changed(engine, number, severity="critical")
    wanted += [(number, name, "critical", "waiting", None) for name in ("mail", "webhook")]
    assert announced(engine, **BOTH) == wanted


@pytest.mark.parametrize(
    ("finding", "why"),
    [
        ({"severity": "info"}, "below warning"),
        ({"withdrawn_at": NOW}, "withdrawn"),
        (
            {"start": NOW - 30 * HOUR, "ended_at": NOW - 25 * HOUR},
            "history: it ended more than 24 hours before it was found",
        ),
    ],
)
def test_what_is_not_for_sending_says_why(
    engine: Engine, gauge: int, finding: dict[str, Any], why: str
) -> None:
    number = raised(engine, gauge, **finding)
    severity = finding.get("severity", "alarm")
    assert announced(engine) == [(number, "webhook", severity, "skipped", why)]


def test_what_ended_within_a_day_is_sent(engine: Engine, gauge: int) -> None:
    number = raised(engine, gauge, start=NOW - 40 * HOUR, ended_at=NOW - 23 * HOUR)
    assert announced(engine) == [(number, "webhook", "alarm", "waiting", None)]


def test_a_past_being_filled_in_is_silent_but_what_lasts_until_now_is_told(
    engine: Engine, gauge: int
) -> None:
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM reading"))
    world.write(engine, gauge, world.good([(NOW - 500 * HOUR, 0.9)]))
    passing = raised(engine, gauge, start=NOW - 500 * HOUR)
    lasting = raised(engine, gauge, start=NOW - 499 * HOUR)
    assert announced(engine) == []
    changed(engine, passing, ended_at=NOW - 490 * HOUR)
    assert [row[:4] for row in announced(engine)] == [(passing, "webhook", "alarm", "skipped")]
    world.write(engine, gauge, world.good([(NOW - HOUR, 0.9)]))
    assert announced(engine)[1:] == [(lasting, "webhook", "alarm", "waiting", None)]


def test_what_was_found_without_a_channel_stays_unsent(engine: Engine, gauge: int) -> None:
    raised(engine, gauge)
    with engine.begin() as connection:
        announce.work(connection, {}, Alerts(), NOW)
    assert announced(engine) == []
    later = raised(engine, gauge)
    assert announced(engine) == [(later, "webhook", "alarm", "waiting", None)]


def test_a_corrected_finding_is_not_told_twice(engine: Engine, gauge: int) -> None:
    first = raised(engine, gauge)
    announced(engine)
    send_all(engine)
    second = raised(engine, gauge, start=NOW - HOUR)
    changed(engine, first, withdrawn_at=NOW, superseded_by=second)
    third = raised(engine, gauge, "warning", start=NOW - 2 * HOUR)
    changed(engine, second, withdrawn_at=NOW, superseded_by=third)
    worse = raised(engine, gauge, "critical", start=NOW - 3 * HOUR)
    changed(engine, third, withdrawn_at=NOW, superseded_by=worse)
    assert [row[3:] for row in announced(engine)] == [
        ("sent", None),
        ("skipped", "withdrawn"),
        ("skipped", "withdrawn"),
        ("waiting", None),
    ]
    changed(engine, worse, withdrawn_at=NOW)
    again = raised(engine, gauge, start=NOW - 4 * HOUR)
    changed(engine, worse, superseded_by=again)
    announced(engine)
    assert claimed(engine) is None
    why = "it takes the place of a finding that was sent"
    assert announced(engine)[-1] == (again, "webhook", "alarm", "skipped", why)


def test_a_finding_replaced_while_its_alert_was_on_its_way_is_not_told_again(
    engine: Engine, gauge: int
) -> None:
    first = raised(engine, gauge)
    announced(engine)
    with engine.begin() as connection:
        on_its_way = outbox.claim(connection, "webhook", NOW, HOUR)
    assert on_its_way
    second = raised(engine, gauge, start=NOW - HOUR)
    changed(engine, first, withdrawn_at=NOW, superseded_by=second)
    announced(engine)
    with engine.begin() as connection:
        outbox.sent(connection, on_its_way, NOW)
    assert claimed(engine) is None
    assert [row[3] for row in announced(engine)] == ["sent", "skipped"]


def test_a_finding_withdrawn_before_it_went_out_gives_way_to_its_successor(
    engine: Engine, gauge: int
) -> None:
    first = raised(engine, gauge)
    announced(engine)
    second = raised(engine, gauge, start=NOW - HOUR)
    changed(engine, first, withdrawn_at=NOW, superseded_by=second)
    announced(engine)
    assert claimed(engine) is not None
    assert claimed(engine) is None
    assert [row[:1] + row[3:] for row in announced(engine)] == [
        (first, "skipped", "withdrawn"),
        (second, "waiting", None),
    ]


def test_quiet_hours_hold_what_is_not_critical_until_they_end(engine: Engine, gauge: int) -> None:
    held, passes = raised(engine, gauge), raised(engine, gauge, "critical")
    announced(engine, **HOOK, quiet="22:00-06:00")
    rows = world.rows(engine, "SELECT finding_id, next_at FROM alert")
    due = {row["finding_id"]: row["next_at"] for row in rows}
    assert due == {held: datetime(2026, 3, 1, 23, tzinfo=UTC), passes: NOW}
    assert claimed(engine)
    assert claimed(engine) is None
    assert claimed(engine, due[held])


def test_a_finding_committed_late_is_not_missed(engine: Engine, gauge: int) -> None:
    with engine.connect() as slow:
        late = slow.scalar(
            text("""
                INSERT INTO finding (pilot_id, datastream_id, kind, severity, origin, started_at)
                SELECT id, :gauge, 'flood', 'alarm', origin, :start FROM pilot
                WHERE kind = 'flood' RETURNING id
            """),
            {"gauge": gauge, "start": NOW},
        )
        newer = raised(engine, gauge)
        assert [row[0] for row in announced(engine)] == [newer]
        slow.commit()
    assert [row[0] for row in announced(engine)] == [newer, late]


def test_two_workers_never_claim_the_same_alert(engine: Engine, gauge: int) -> None:
    numbers = [raised(engine, gauge) for _ in range(12)]
    announced(engine)
    taken: list[str] = []

    def take() -> None:
        while alert := claimed(engine):
            taken.append(alert)

    threads = [threading.Thread(target=take) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == len(set(taken)) == len(numbers)


def test_findings_of_an_older_release_are_not_sent(
    new_database: Callable[[str], Database],
) -> None:
    old = sync_engine(new_database("lab_test_alerts_old"))
    migrate.upgrade(old)
    with old.begin() as connection:
        sites.apply(connection, parse(world.site(("g1", "gauge"))))
    migrate.downgrade(old, "20261122_2000_device_health")
    raised(old, world.datastream(old, "g1", "water_level"))
    migrate.upgrade(old)
    assert announced(old) == []
    old.dispose()
