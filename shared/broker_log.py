"""What a broker refused, read from its log: NATS 2.15 and Mosquitto 2.0 with `log_type debug`.

A publisher over MQTT 3.1.1 cannot see a refusal: its message is acknowledged and dropped. Only the
log tells.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from shared.domain.subject import topic_of

Kind = Literal["publish", "subscribe", "connect"]
_REMEMBERED: Final = 10_000


@dataclass(frozen=True, slots=True)
class Violation:
    """One refusal. NATS names the user only when it refuses a connection, and Mosquitto only else.

    connection: NATS's number of it, which its monitoring knows the user of; run: which start of
    NATS it belongs to.
    """

    kind: Kind
    user: str | None
    client: str | None
    topic: str | None
    connection: str | None = None
    run: int = 0


class BrokerLog:
    """Reads lines in order; which broker wrote them is seen from the lines themselves."""

    def __init__(self) -> None:
        self.run = 0
        self._users: dict[str, str] = {}  # Mosquitto: who a client id belongs to
        self._asked: list[str] = []  # Mosquitto: filters of the SUBSCRIBE being answered

    def read(self, line: str) -> list[Violation]:
        """The refusals this line completes."""
        line = line.rstrip("\r\n")
        if found := _NATS.match(line):
            return [*self._nats(found["connection"], found["labels"], found["what"])]
        if _NATS_STARTS.match(line):
            self.run += 1
        elif found := _MOSQUITTO.match(line):
            return [*self._mosquitto(found["what"])]
        return []

    def _nats(self, connection: str, labels: str, what: str) -> Iterator[Violation]:
        names = [_unquoted(each) for each in re.findall(_QUOTED, labels)]
        client = names[0] if names else None
        if found := _NATS_REFUSED.fullmatch(what):
            user = _unquoted(found["user"]) if found["user"] else None
            yield Violation("connect", user, client, None, run=self.run)
        elif found := _NATS_DENIED.match(what):
            kind: Kind = "publish" if found["what"] == "Publish" else "subscribe"
            topic = topic_of(_unquoted(found["subject"]))
            yield Violation(kind, None, client, topic, connection, self.run)

    def _mosquitto(self, what: str) -> Iterator[Violation]:
        if found := _CONNECTED.fullmatch(what):
            if len(self._users) >= _REMEMBERED:
                self._users.pop(next(iter(self._users)))
            self._users[found["client"]] = found["user"]
        elif found := _REFUSED.fullmatch(what):
            client = found["client"] if found["client"] != "<unknown>" else None
            yield Violation("connect", self._users.get(client or ""), client, None)
        elif what.startswith("Denied PUBLISH from "):
            yield self._denied(what.removeprefix("Denied PUBLISH from "))
        else:
            yield from self._subscription(what)

    def _denied(self, what: str) -> Violation:
        """Client ids and topics may hold anything: the longest id that is connected is meant."""
        splits = [m for m in _PACKET.finditer(what)]
        known = [m for m in splits if what[: m.start()] in self._users]
        split = known[-1] if known else splits[0] if splits else None
        if split is None:
            return Violation("publish", None, None, None)
        client = what[: split.start()]
        topic = what[split.end() :].rpartition("', ... (")[0]
        return Violation("publish", self._users.get(client), client, topic)

    def _subscription(self, what: str) -> Iterator[Violation]:
        """Filters are logged as asked, then each granted one; what is left at the end was denied.

        The broker does one thing at a time, so these lines stand together.
        """
        if what.startswith("Received SUBSCRIBE from "):
            self._asked = []
        elif what.startswith("\t") and (found := _ASKED.fullmatch(what)):
            self._asked.append(found["filter"])
        elif what.startswith("Sending SUBACK to "):
            client = what.removeprefix("Sending SUBACK to ")
            for topic in self._asked:
                yield Violation("subscribe", self._users.get(client), client, topic)
            self._asked = []
        elif self._asked and what.endswith(f" {self._asked[-1]}"):
            self._asked.pop()


def _unquoted(quoted: str) -> str:
    """The text of a string as Go quotes it."""
    return re.sub(r"\\(.)", r"\1", quoted[1:-1])


_QUOTED: Final = r'"(?:[^"\\]|\\.)*"'
_NATS: Final = re.compile(
    r"\[\d+\] \S+ \S+ \[ERR\] \S+ - (?:mid|cid|wid)\w*:(?P<connection>\d+)"
    rf"(?P<labels>(?: - {_QUOTED})*) - (?P<what>.*)"
)
_NATS_STARTS: Final = re.compile(r"\[\d+\] \S+ \S+ \[INF\] Starting nats-server")
_NATS_REFUSED: Final = re.compile(rf"authentication error(?: - User (?P<user>{_QUOTED}))?")
_NATS_DENIED: Final = re.compile(
    rf"(?P<what>Publish|Subscription) Violation - Subject (?P<subject>{_QUOTED})"
)
_MOSQUITTO: Final = re.compile(r"[\dTZ:.+-]+: (?P<what>.*)")
_CONNECTED: Final = re.compile(
    r"New client connected from \S+ as (?P<client>.*) \(p\d+, c\d, k\d+, u'(?P<user>.*)'\)\."
)
_REFUSED: Final = re.compile(r"Client (?P<client>.*) disconnected[,:] not authori[sz]ed\.")
_PACKET: Final = re.compile(r" \(d\d, q\d, r\d, m\d+, '")
_ASKED: Final = re.compile(r"\t(?P<filter>.*) \(QoS \d\)")
