"""Each source with its own credential: what it may, what it may not, and what is seen of it."""

import json
import stat
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY
from sqlalchemy import Engine, text

from services.ingest import main
from shared.embedded.nats import free_port
from shared.errors import OperatorError
from shared.settings import Database, Ingest
from tests.integration.broker_world import BROKERS, World, cut, world
from tests.integration.ingest_bench import wait_healthy
from tests.integration.mqtt_attempt import Attempt, eventually, refused, with_user
from tests.integration.test_ingest_path import NOW, UP, chirpstack_up, site

pytestmark = pytest.mark.database
OWN, FOREIGN = "livinglab/cibinong/g1/up", UP
READ_ALL = (
    *("#", "+/#", "+/+/+/+", "livinglab/#", OWN, UP, "/#"),
    *("$SYS/#", "$MQTT/sub/#", "$MQTT/#", "$JS/API/#", "$CONTROL/#", "$share/all/#"),
)
WRITE_ELSEWHERE = (
    *("livinglab/elsewhere/g1/up", "$MQTT/sub/x", "$JS/API/STREAM/LIST", "$SYS/REQ/SERVER/PING"),
    "$CONTROL/dynamic-security/v1",
)


@pytest.fixture(params=BROKERS)
def at(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    database: Database,
    apply_site: Callable[..., Any],
) -> Iterator[World]:
    """A broker that knows nobody but ingest, and a site of two sources."""
    with world(request.param, tmp_path, database) as made:
        apply_site(site())
        made.told("sync")
        yield made


def reading(minutes: int) -> bytes:
    at = (NOW - timedelta(minutes=minutes)).isoformat()
    return json.dumps({"time": at, "values": {"level": 4}}).encode()


def stored(engine: Engine) -> list[tuple[str, bytes]]:
    """Everything that came in, whatever became of it."""
    with engine.connect() as connection:
        rows = connection.execute(
            text(
                "SELECT topic, payload FROM uplink UNION ALL"
                " SELECT topic, payload FROM rejected WHERE payload IS NOT NULL"
            )
        )
        return sorted((topic, bytes(payload)) for topic, payload in rows)


@pytest.fixture
def ingest(at: World, database: Database) -> Iterator[None]:
    stop, port = threading.Event(), free_port()
    worker = threading.Thread(
        target=main.run,
        args=(database, at.place, Ingest(health_port=port, batch_ms=20), stop, at.log),
        daemon=True,
    )
    worker.start()
    wait_healthy(port)
    yield
    stop.set()
    worker.join(20)
    assert not worker.is_alive()


def counted(user: str, kind: str) -> float:
    labels = {"user": user, "kind": kind}
    return REGISTRY.get_sample_value("lab_broker_violations_total", labels) or 0.0


@pytest.mark.usefixtures("ingest")
def test_nothing_of_another_source_s_topic_is_stored_and_it_is_counted(
    at: World, engine: Engine
) -> None:
    plain, radio = at.credential("cibinong/plain"), at.credential("cibinong/chirpstack")
    before = counted("cibinong.plain", "publish")
    intruder = Attempt(plain, "intruder", will=(FOREIGN, b"will", 1, True))
    forged = json.dumps(chirpstack_up()).encode()
    # A 3.1.1 publisher cannot see the refusal: the broker acknowledges what it throws away.
    assert intruder.publish(FOREIGN, forged)
    assert intruder.publish(FOREIGN, forged, qos=0)
    assert intruder.publish(FOREIGN, forged, retain=True)
    intruder.vanish()
    owner = Attempt(radio, "owner")
    for topic in WRITE_ELSEWHERE:
        assert owner.publish(topic, b"{}")
    honest = json.dumps(chirpstack_up(deduplicationId="honest", fCnt=8)).encode()
    assert owner.publish(UP, honest)
    assert Attempt(plain, "plain").publish(OWN, reading(0))
    eventually(lambda: len(stored(engine)) == 2)
    time.sleep(1)  # what was not refused would have come by now
    assert stored(engine) == sorted([(UP, honest), (OWN, reading(0))])

    found = at.violations()
    assert found["cibinong.plain", "publish", FOREIGN] == (4 if at.kind == "nats" else 3)
    assert {("cibinong.chirpstack", "publish", topic) for topic in WRITE_ELSEWHERE} <= found.keys()
    eventually(lambda: counted("cibinong.plain", "publish") - before >= 3)
    retained = Attempt(at.place, "later")
    assert retained.subscribe("#")
    time.sleep(0.5)
    assert retained.received == []


def test_a_source_reads_nothing(at: World) -> None:
    plain = at.credential("cibinong/plain")
    publisher = Attempt(at.place, "publisher")
    assert publisher.publish(UP, b"kept", retain=True)
    listeners = [Attempt(plain, f"listener-{i}") for i in range(len(READ_ALL))]
    granted = {f for f, each in zip(READ_ALL, listeners, strict=True) if each.subscribe(f)}
    assert not granted
    assert publisher.publish(UP, b"secret")
    assert Attempt(plain, "own").publish(OWN, reading(1))
    time.sleep(1)
    assert [each.received for each in listeners] == [[]] * len(READ_ALL)
    found = {key for key in at.violations() if key[1] == "subscribe"}
    assert ("cibinong.plain", "subscribe", "#") in found
    assert ("cibinong.plain", "subscribe", "livinglab/#") in found


def test_who_takes_over_a_session_reads_nothing_of_it(at: World) -> None:
    """Whoever connects under a known client id takes its place: hence it is a secret."""
    plain = at.credential("cibinong/plain")
    session = Attempt(at.place, "known-name", clean=False)
    assert session.subscribe("application/#")
    publisher = Attempt(at.place, "publisher")
    thief = Attempt(plain, "known-name", clean=False)
    assert cut(session) < 5
    assert publisher.publish(UP, b"secret")
    thief.close()
    assert publisher.publish(UP, b"queued")
    again = Attempt(plain, "known-name", clean=False)
    time.sleep(1)
    assert thief.received == again.received == []


def test_strangers_are_refused_and_counted(at: World) -> None:
    right = at.credential("cibinong/plain")
    assert not refused(right)
    assert refused(with_user(at.place, None))
    assert refused(with_user(at.place, "cibinong.plain", "guessed"))
    assert refused(with_user(at.place, "cibinong.chirpstack", "never-given"))
    found = {key: n for key, n in at.violations().items() if key[1] == "connect"}
    assert sum(found.values()) == 3
    if at.kind == "nats":  # Mosquitto does not log whom it refused
        assert found["cibinong.plain", "connect", None] == 1


def test_a_revoked_source_is_cut_at_once_and_stays_out(at: World) -> None:
    plain, radio = at.credential("cibinong/plain"), at.credential("cibinong/chirpstack")
    gone, stays = Attempt(plain, "gone"), Attempt(radio, "stays")
    ingest = Attempt(at.place, "ingest")
    assert gone.publish(OWN, b"{}")
    assert "is revoked" in at.told("revoke", "cibinong/plain")
    cut(gone)
    assert refused(plain)
    assert stays.cut_at is None
    assert ingest.cut_at is None
    assert not refused(radio)
    assert "revoked" in at.told("list")
    assert at.told("sync") == "nothing to change\n"


def test_a_new_credential_ends_the_earlier_one(at: World) -> None:
    earlier = at.credential("cibinong/plain")
    connected = Attempt(earlier, "connected")
    later = at.credential("cibinong/plain")
    cut(connected)
    assert refused(earlier)
    assert not refused(later)


def test_a_password_is_kept_nowhere(at: World, engine: Engine, tmp_path: Path) -> None:
    at.credential("cibinong/plain")
    (password,) = at.passwords.values()
    with engine.connect() as connection:
        (row,) = connection.execute(text("SELECT * FROM source_credential")).all()
    assert password not in str(row)
    files = [each for each in tmp_path.rglob("*") if each.is_file()]
    assert not [each.name for each in files if password.encode() in each.read_bytes()]
    if at.kind == "nats":
        users = Path(at.variables["LAB_BROKER_USERS_FILE"])
        assert stat.S_IMODE(users.stat().st_mode) == 0o600


def test_filters_follow_the_site_file_at_the_next_sync(
    at: World, apply_site: Callable[..., Any]
) -> None:
    plain = at.credential("cibinong/plain")
    assert at.told("sync") == "nothing to change\n"
    content = site()
    moved = ["sensors/+/v1.0", "other/place/#"]
    content["sources"][0]["filters"] = moved
    apply_site(content)
    shown = at.told("sync", "--dry-run")
    assert shown.startswith("~ ")
    assert "cibinong.plain" in shown
    assert at.told("sync", "--dry-run") == shown
    watch = Attempt(at.place, "watch")
    assert watch.subscribe("#")
    source = Attempt(plain, "source")
    assert source.publish("sensors/a/v1.0", b"too early")
    assert at.told("sync") == shown.replace("dry run: nothing was changed\n", "")
    assert at.told("sync") == "nothing to change\n"
    source = Attempt(plain, "source")
    passes = ("sensors/a.b/v1.0", "sensors//v1.0", "other/place", "other/place/x/y.z")
    stops = (OWN, "sensors/a/v1/0", "sensors/a/b/v1.0", "other", "other/placed")
    for topic in (*stops, *passes):
        assert source.publish(topic, topic.encode())
    eventually(lambda: len(watch.received) >= len(passes))
    time.sleep(0.5)
    assert sorted(watch.received) == sorted((topic, topic.encode()) for topic in passes)


def test_a_mistake_is_one_line(at: World) -> None:
    for arguments in (("credential", "cibinong/plane"), ("revoke", "nowhere")):
        with pytest.raises(OperatorError, match="no such source; there are: cibinong/chirpstack,"):
            at.lab(*arguments)
    at.variables["LAB_BROKER_ADMIN_URL"] = at.variables["LAB_BROKER_ADMIN_URL"].replace(
        "broker-admin:", "broker-admin:x"
    )
    with pytest.raises(OperatorError, match=r"^LAB_BROKER_ADMIN_URL: "):
        at.lab("credential", "cibinong/plain")
