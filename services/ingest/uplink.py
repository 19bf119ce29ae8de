"""What an adapter makes of a message, and how it refuses one."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from msgspec import Struct
from msgspec.structs import replace

if TYPE_CHECKING:
    from services.ingest.pushed import Pushed


@dataclass(frozen=True, slots=True)
class Clock:
    """Which event times are believed; arrival: in place of others comes the time of receipt."""

    earliest: datetime = datetime(2010, 1, 1, tzinfo=UTC)
    lead: timedelta = timedelta(minutes=10)
    arrival: bool = False


USUAL: Final = Clock()


class Refused(Exception):
    """A message that cannot be used: kept whole, under a reason, and acknowledged."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class Message(NamedTuple):
    """One message as received; mid and generation say how to acknowledge it."""

    topic: str
    payload: bytes
    received_at: datetime
    mid: int = 0
    generation: int = 0


class ByRadio(Struct, frozen=True):
    """A device named by what it is: eui:…, imei:…."""

    external_id: str

    def __str__(self) -> str:
        return self.external_id


class ByTopic(Struct, frozen=True):
    """A device named by where it publishes."""

    site: str
    device: str

    def __str__(self) -> str:
        return f"device {self.device!r} of site {self.site!r}"


class ByKey(Struct, frozen=True):
    """A device named by its key at the site of the source: the sender told no identity."""

    key: str

    def __str__(self) -> str:
        return f"device {self.key!r}"


class Record(Struct, gc=False):  # a Struct is made in a third of the time of a dataclass
    """Values of one time: dotted field → whatever the sender wrote, units only where it said."""

    time: datetime
    fields: Mapping[str, object]
    units: Mapping[str, str] = {}


class Heard(Struct, gc=False):
    """A gateway that heard the uplink."""

    gateway_id: str
    lat: float | None = None
    lon: float | None = None


class Uplink(Struct, gc=False):
    """One message understood. `key` and `observed_at` come from topic and bytes alone; an unkeyed
    one has neither id nor time of its own, so its repeats cannot be told apart.

    `event` is `up`, or what else the network server tells of a device, with `detail` for its page.
    `history` says that the values were not sent when they were measured: no latency follows."""

    device: ByRadio | ByTopic | ByKey
    key: str
    observed_at: datetime
    records: Sequence[Record]
    keyed: bool = True
    f_cnt: int | None = None
    f_port: int | None = None
    radio: Mapping[str, Any] | None = None
    gateways: Sequence[Heard] = ()
    undecoded: str | None = None  # why there are no values, if that is a fault
    event: str = "up"
    detail: Mapping[str, Any] | None = None
    history: bool = False
    simulated: bool = False  # the network server says so: only simulated devices may


@dataclass(frozen=True, slots=True)
class Feedback:
    """What a citizen wrote; goes to its own tables only."""

    site: str
    key: str
    time: datetime
    service_code: str
    description: str
    lat: float | None
    lon: float | None
    rating: int | None
    lang: str | None
    origin: str


@dataclass(frozen=True, slots=True)
class Adapter:
    """One kind of message source. parse(message) raises Refused."""

    name: str
    parse: Callable[[Message], Uplink | Feedback]
    is_personal: Callable[[str], bool] = lambda _: False  # by topic: never kept among rejects
    # The topic of what is pushed over HTTP, as over MQTT; None: the sender names it.
    topic_of: "Callable[[Pushed], str] | None" = None


NO_ID: Final = bytes(16)  # of no message: one that is not known yet, or is not there


def identity(topic: str, key: str) -> bytes:
    """The id of a message, 16 bytes, the same every time it arrives."""
    whole = f"{topic}\0{key}".encode("utf-8", "surrogatepass")
    return hashlib.blake2b(whole, digest_size=16).digest()


def brief(value: object, most: int = 100) -> str:
    """A value as a reject tells it. Of a list or an object no more than that it is one: written
    out, one that is nested deeply enough would be a fault of ours."""
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "an object"
    return repr(value[:most]) if isinstance(value, str) else str(value)[:most]


def content_key(payload: bytes) -> str:
    """A key for messages that carry none but do carry their time."""
    return hashlib.blake2b(payload, digest_size=16).hexdigest()


def plausible(time: datetime, received_at: datetime, clock: Clock = USUAL) -> bool:
    """Accepted event times: usually from 2010 to ten minutes after arrival."""
    return clock.earliest <= time <= received_at + clock.lead


def on_arrival(uplink: Uplink, received_at: datetime) -> Uplink:
    """The uplink of a device without a usable clock, as of its receipt: values of its own time
    move, those of others stay. A repeat of it can no longer be told apart."""
    records = [
        replace(each, time=received_at) if each.time == uplink.observed_at else each
        for each in uplink.records
    ]
    return replace(uplink, observed_at=received_at, records=records, keyed=False)


def arrival_key(message: Message) -> str:
    """A key for messages that carry neither: each arrival is another message, and so are different
    bytes that arrive at one moment."""
    return f"{message.received_at.isoformat()}:{content_key(message.payload)}"
