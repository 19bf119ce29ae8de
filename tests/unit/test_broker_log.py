"""What brokers refuse, as their logs say it: lines of NATS 2.15.1 and Mosquitto 2.0.11."""

import os
from pathlib import Path

import pytest

from services.ingest.violations import Tail, _label
from shared.broker_log import BrokerLog, Violation

NATS = r"""
[1] 2026/11/29 23:53:22.638300 [INF] Starting nats-server
[1] 2026/11/29 23:53:58.068550 [ERR] 127.0.0.1:33415 - mid:28 - "anon" - authentication error
[1] 2026/11/29 23:53:58.068614 [ERR] 127.0.0.1:33415 - mid:28 - "anon" - unable to connect: authentication error
[1] 2026/11/29 23:53:58.489946 [ERR] 127.0.0.1:44175 - mid:29 - "wr\"ong" - authentication error - User "c.one"
[1] 2026/11/29 23:53:59.975824 [ERR] 127.0.0.1:44233 - mid:31 - "one" - Publish Violation - Subject "livinglab.two.a//b"
[1] 2026/11/29 23:54:02.385342 [ERR] 127.0.0.1:38423 - mid:34 - "x - \"y\" - Publish Violation" - Subscription Violation - Subject "livinglab.*.>", SID livinglab.*.>
[1] 2026/11/29 23:54:03.309165 [WRN] 127.0.0.1:46715 - mid:35 - "one" - Replacing old client "127.0.0.1:44233"
"""  # noqa: E501
MOSQUITTO = """
1795996488: New client connected from 127.0.0.1:32927 as ingest (p2, c0, k60, u'lab').
1795996488: Received SUBSCRIBE from ingest
1795996488: \tlivinglab/# (QoS 1)
1795996488: ingest 1 livinglab/#
1795996488: Sending SUBACK to ingest
1795996489: Client <unknown> disconnected, not authorised.
1795996490: New client connected from 127.0.0.1:43581 as one (p2, c1, k60, u'c.one').
1795996490: New client connected from 127.0.0.1:43582 as one (d0, q1, r0, m2, 'a (p2, c1, k60, u'c.two').
1795996490: Received PUBLISH from one (d0, q1, r0, m1, 'livinglab/one/a', ... (1 bytes))
1795996490: Denied PUBLISH from one (d0, q1, r0, m2, 'livinglab/two/a', ... (1 bytes))
1795996490: Denied PUBLISH from one (d0, q1, r0, m2, 'a (d0, q0, r1, m0, 'b', ... (3 bytes))
1795996493: Received SUBSCRIBE from one
1795996493: \tlivinglab/one (QoS 1)
1795996493: one 1 livinglab/one
1795996493: \t# (QoS 1)
1795996493: \t+/x y (QoS 0)
1795996493: Sending SUBACK to one
1795996494: Client one disconnected: not authorised.
"""  # noqa: E501


def read(text: str) -> list[Violation]:
    log = BrokerLog()
    return [each for line in text.splitlines(keepends=True) for each in log.read(line)]


def test_nats_names_the_user_of_a_refused_connection_and_numbers_the_others() -> None:
    assert read(NATS) == [
        Violation("connect", None, "anon", None, None, 1),
        Violation("connect", "c.one", 'wr"ong', None, None, 1),
        Violation("publish", None, "one", "livinglab/two/a.b", "31", 1),
        Violation("subscribe", None, 'x - "y" - Publish Violation', "livinglab/+/#", "34", 1),
    ]


def test_mosquitto_names_clients_whose_users_were_told_when_they_connected() -> None:
    odd = "one (d0, q1, r0, m2, 'a"
    assert read(MOSQUITTO) == [
        Violation("connect", None, None, None),
        Violation("publish", "c.one", "one", "livinglab/two/a"),
        Violation("publish", "c.two", odd, "b"),  # nobody else is blamed for a client id like this
        Violation("subscribe", "c.one", "one", "#"),
        Violation("subscribe", "c.one", "one", "+/x y"),
        Violation("connect", "c.one", "one", None),
    ]


def test_a_log_is_followed_through_rotation_cutting_and_absence(tmp_path: Path) -> None:
    file = tmp_path / "broker.log"
    tail = Tail(file)
    assert [*tail.before()] == []
    assert [*tail.lines()] == []
    file.write_text("one\ntw")
    assert [*tail.lines()] == ["one\n"]
    with file.open("a") as more:
        more.write("o\nthree\n")
    assert [*tail.lines()] == ["two\n", "three\n"]
    with file.open("a") as more:
        more.write("last\n")
    file.rename(tmp_path / "broker.log.1")
    assert [*tail.lines()] == ["last\n"]
    file.write_text("anew\n")
    assert [*tail.lines()] == ["anew\n"]
    os.truncate(file, 0)
    assert [*tail.lines()] == []
    with file.open("a") as more:
        more.write("cut\n")
    assert [*tail.lines()] == ["cut\n"]
    tail.close()
    assert [*tail.before()] == ["cut\n"]
    tail.close()


@pytest.mark.parametrize(
    ("user", "label"),
    [("bogor.gate-1", "bogor.gate-1"), ("lab", "lab"), (None, "unknown"), ("a\nb", "unknown")],
)
def test_strangers_get_no_series_of_their_own(user: str | None, label: str) -> None:
    assert _label(user, set()) == label
    full = {f"site.source{i}" for i in range(1000)}
    assert _label("one.more", full) == "other"
    assert _label("site.source7", full) == "site.source7"
