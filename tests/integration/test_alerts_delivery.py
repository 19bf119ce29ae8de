"""Alerts on their way: signed, tried again, given up with a reason, and one effective delivery."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine

from services.analytics import main
from services.analytics.alerts import outbox, sender
from services.analytics.alerts.channel import configured
from services.analytics.runner import run_slice
from shared.embedded.nats import free_port
from shared.settings import Alerts, Analytics, Database
from tests.integration import analytics_site as world
from tests.integration.alert_receivers import HANGS, SECRET, TRICKLES, Hook, Mailbox, hook, mailbox
from tests.integration.test_analytics_service import until
from tests.integration.test_cli import lab

pytestmark = pytest.mark.database
Apply = Callable[[object], list[str]]


@pytest.fixture
def receiver() -> Iterator[Hook]:
    with hook() as listening:
        yield listening


@pytest.fixture
def server() -> Iterator[Mailbox]:
    with mailbox() as listening:
        yield listening


@pytest.fixture
def gauge(engine: Engine, apply_site: Apply) -> int:
    apply_site(world.site(("g1", "gauge")))
    return world.datastream(engine, "g1", "water_level")


def to(url: str, **more: Any) -> Alerts:
    """Settings of a hasty operator: tries again at once."""
    hasty = {"retry_s": 0.001, "timeout_s": 30, "attempts": 4}
    return Alerts(webhook_url=url, webhook_secret=SECRET, **{**hasty, **more})


def mailing(box: Mailbox, **more: Any) -> Alerts:
    people = {"mail_from": "lab@city.example", "mail_to": "duty@city.example, chief@city.example"}
    return Alerts(smtp_url=box.url, **{**people, "retry_s": 0.001, "timeout_s": 30, **more})


def rises(engine: Engine, gauge: int, level: float = 0.9, minutes: int = 0) -> None:
    """The gauge reports a level now: 0.8 is Siaga 3, 1.5 Siaga 2, 2.0 Siaga 1."""
    world.write(engine, gauge, [(datetime.now(UTC) + timedelta(minutes=minutes), level, 1)])


def settle(engine: Engine, settings: Alerts) -> None:
    """Analyse and announce all there is."""
    for job in main.jobs(settings):
        while run_slice(engine, job):
            pass


def deliver(engine: Engine, settings: Alerts) -> int:
    """Send until nothing is left waiting; returns how many arrived."""
    arrived = 0
    while world.rows(engine, "SELECT FROM alert WHERE state = 'waiting'"):
        for channel in configured(settings):
            arrived += sender.deliver(engine, channel, settings, threading.Event())
    return arrived


def alerts(engine: Engine) -> list[tuple[Any, ...]]:
    query = "SELECT channel, severity, state, attempts, error FROM alert ORDER BY created_at"
    return [tuple(row.values()) for row in world.rows(engine, query)]


@contextmanager
def service(database: Database, settings: Alerts) -> Iterator[None]:
    """Analytics with alerts in a thread; it must have ended when the context does."""
    stop = threading.Event()
    arguments = (database, Analytics(every_s=0.5), stop, settings)
    thread = threading.Thread(target=main.run, args=arguments)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(60)
        assert not thread.is_alive()


def test_a_webhook_tells_of_a_rise_once_and_of_a_worse_one_once_more(
    engine: Engine, gauge: int, receiver: Hook
) -> None:
    for minutes, level in ((-2, 0.9), (-1, 1.0), (0, 2.1)):
        rises(engine, gauge, level, minutes)
        settle(engine, to(receiver.url))
        deliver(engine, to(receiver.url))
    assert receiver.forged == []
    assert len({message_id for message_id, _ in receiver.accepted}) == 2
    (first, worse) = [said for _, said in receiver.accepted]
    assert (first["type"], worse["type"]) == ("finding.raised", "finding.escalated")
    assert first["data"]["finding"] == worse["data"]["finding"]
    assert (first["data"]["severity"], worse["data"]["severity"]) == ("warning", "critical")
    assert first["data"]["device"] == "g1"
    assert first["data"]["origin"] == "simulated"
    assert "(simulasi)" in first["data"]["text"]["id"]


@pytest.mark.parametrize("answers", [[500, 503, 429], [HANGS, 500], [302, 404]])
def test_an_alert_is_tried_again_under_the_same_id_until_it_arrives(
    engine: Engine, gauge: int, receiver: Hook, answers: list[int]
) -> None:
    receiver.answers += answers
    settings = to(receiver.url, timeout_s=2 if HANGS in answers else 30)
    rises(engine, gauge)
    settle(engine, settings)
    assert deliver(engine, settings) == 1
    assert len(receiver.requests) == len(answers) + 1
    assert len({message_id for message_id, _ in receiver.requests}) == 1
    assert len(receiver.accepted) == 1
    assert alerts(engine) == [("webhook", "warning", "sent", len(answers) + 1, None)]


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (500, "answered 500"),
        (307, "answered 307, not followed"),
        (HANGS, "ReadTimeout: "),
        (TRICKLES, "no answer within 2 s"),
    ],
)
def test_after_the_last_attempt_it_is_given_up_with_the_reason(
    engine: Engine, gauge: int, receiver: Hook, answer: int, why: str
) -> None:
    receiver.answers += [answer] * 2
    waits = 0.5 if answer in (HANGS, TRICKLES) else 30
    settings = to(receiver.url, attempts=2, timeout_s=waits)
    rises(engine, gauge)
    settle(engine, settings)
    assert deliver(engine, settings) == 0
    ((channel, _, state, attempts, error),) = alerts(engine)
    assert (channel, state, attempts) == ("webhook", "dead", 2)
    assert error.startswith(why)
    assert receiver.accepted == []


def test_the_operator_sees_what_was_given_up_and_starts_it_again(
    database: Database, engine: Engine, gauge: int, receiver: Hook
) -> None:
    receiver.answers += [503] * 2
    settings = to(receiver.url, attempts=2)
    rises(engine, gauge)
    settle(engine, settings)
    assert deliver(engine, settings) == 0
    url = {"LAB_DATABASE_URL": database.url}
    listed = lab("alerts", "list", **url)
    assert "webhook  dead     1" in listed.stdout, listed.stderr
    assert "flood warning: 2 attempts, given up: answered 503" in listed.stdout
    assert lab("alerts", "retry", **url).stdout == "1 alerts are due again\n"
    assert deliver(engine, settings) == 1
    assert len(receiver.accepted) == 1


def test_what_a_killed_worker_held_comes_again_under_the_same_id(
    engine: Engine, gauge: int, receiver: Hook
) -> None:
    settings = to(receiver.url)
    rises(engine, gauge)
    settle(engine, settings)
    now = datetime.now(UTC)
    with engine.begin() as connection:
        held = outbox.claim(connection, "webhook", now, timedelta(minutes=2))
    assert held
    (channel,) = configured(settings)
    channel.send(held, now)  # and then it was killed, before it could write that down
    stop = threading.Event()
    assert sender.deliver(engine, channel, settings, stop) == 0  # another might still be at it
    later = lambda: datetime.now(UTC) + timedelta(minutes=2)  # noqa: E731
    assert sender.deliver(engine, channel, settings, stop, later) == 1
    assert len(receiver.accepted) == 2
    assert len(receiver.effective()) == 1


def test_nothing_is_held_open_while_a_receiver_thinks(engine: Engine, gauge: int) -> None:
    stop = threading.Event()
    open_ones = """
        SELECT FROM pg_stat_activity
        WHERE datname = current_database() AND backend_type = 'client backend'
          AND pid <> pg_backend_pid() AND (state LIKE 'idle in trans%' OR backend_xid IS NOT NULL)
    """
    with hook() as receiver:
        receiver.answers += [HANGS]
        settings = to(receiver.url, timeout_s=20)
        rises(engine, gauge)
        settle(engine, settings)
        (channel,) = configured(settings)
        sending = threading.Thread(target=sender.deliver, args=(engine, channel, settings, stop))
        sending.start()
        until(lambda: receiver.requests)
        stop.set()
        assert not world.rows(engine, open_ones)
        assert sending.is_alive()
    sending.join(30)
    assert alerts(engine)[0][2:4] == ("waiting", 1)


def test_a_mail_says_the_line_in_three_languages(
    engine: Engine, gauge: int, server: Mailbox
) -> None:
    rises(engine, gauge)
    settle(engine, mailing(server))
    assert deliver(engine, mailing(server)) == 1
    (mail,) = server.mails
    assert mail["Subject"].startswith("Warning: Level at Siaga 3 or above · g1 · flood · Town")
    assert (mail["From"], mail["To"]) == (
        "lab@city.example",
        "duty@city.example, chief@city.example",
    )
    english, indonesian, korean = mail.get_content().splitlines()[:3]
    assert english == mail["Subject"]
    assert indonesian.startswith("Waspada: Muka air pada Siaga 3 atau lebih")
    assert korean.startswith("주의: 수위가 시아가(Siaga) 3 이상")


def test_a_mail_one_of_two_accepts_was_sent_and_one_nobody_accepts_was_not(
    engine: Engine, gauge: int, server: Mailbox
) -> None:
    server.refused |= {"chief@city.example"}
    rises(engine, gauge)
    settle(engine, mailing(server))
    assert deliver(engine, mailing(server)) == 1
    server.refused |= {"duty@city.example"}
    rises(engine, gauge, 1.6, minutes=1)
    settle(engine, mailing(server, attempts=1))
    assert deliver(engine, mailing(server, attempts=1)) == 0
    assert len(server.mails) == 1
    assert alerts(engine)[1][:4] == ("mail", "alarm", "dead", 1)
    assert "550" in alerts(engine)[1][4]


def test_a_server_without_tls_gets_no_mail_and_no_password_where_tls_is_asked_for(
    engine: Engine, gauge: int, server: Mailbox
) -> None:
    url = server.url.replace("smtp://", "smtp+starttls://duty:open-sesame@")
    settings = mailing(Mailbox(url), attempts=1)
    rises(engine, gauge)
    settle(engine, settings)
    assert deliver(engine, settings) == 0
    assert server.mails == []
    assert "STARTTLS" in alerts(engine)[0][4]
    assert "sesame" not in alerts(engine)[0][4]


def test_the_service_delivers_across_a_restart_once(
    database: Database, engine: Engine, gauge: int, capfd: pytest.CaptureFixture[str]
) -> None:
    port = free_port()
    settings = to(f"http://127.0.0.1:{port}/", attempts=100, retry_s=0.2)
    with service(database, settings):
        until(lambda: world.rows(engine, "SELECT FROM job WHERE name = 'alerts'"))
        rises(engine, gauge)
        until(lambda: [row for row in alerts(engine) if row[3]])  # refused: nobody listens yet
    with hook(port) as receiver, service(database, settings):
        until(lambda: receiver.accepted)
        rises(engine, gauge, 2.1, minutes=1)
        until(lambda: len(receiver.accepted) == 2)
    assert [said["data"]["severity"] for said in receiver.effective()[::-1]] == [
        "warning",
        "critical",
    ]
    assert receiver.forged == []
    told = capfd.readouterr()
    assert "ConnectError" in told.out + told.err
    assert SECRET.removeprefix("whsec_") not in told.out + told.err
