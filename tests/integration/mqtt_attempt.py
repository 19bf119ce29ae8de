"""One MQTT 3.1.1 client that tries something, and what it saw of the broker's answer."""

import socket
import ssl
import time
from collections.abc import Callable

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.reasoncodes import ReasonCode

from shared.settings import Mqtt

Will = tuple[str, bytes, int, bool]
PATIENCE_S = 30.0


class Attempt:
    """Connects at once. accepted: None until the broker has answered; cut_at: when it hung up."""

    def __init__(
        self, place: Mqtt, name: str, *, will: Will | None = None, clean: bool = True
    ) -> None:
        self.accepted: bool | None = None
        self.cut_at: float | None = None
        self.granted: list[bool] = []
        self.received: list[tuple[str, bytes]] = []
        self._client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=name,
            clean_session=clean,
            reconnect_on_failure=False,
        )
        self._client.username_pw_set(place.username, place.password)
        if place.tls:
            self._client.tls_set_context(place.tls_context)
        if will:
            self._client.will_set(*will)
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_message = lambda _c, _u, m: self.received.append((m.topic, m.payload))
        self._client.connect(place.host, place.port)
        self._client.loop_start()
        eventually(lambda: self.accepted is not None or self.cut_at is not None)

    def publish(self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False) -> bool:
        """Whether the broker acknowledged it: which it does with what it refuses, too."""
        sent = self._client.publish(topic, payload, qos=qos, retain=retain)
        sent.wait_for_publish(PATIENCE_S)
        return sent.is_published()

    def subscribe(self, topic_filter: str) -> bool:
        """Whether it was granted."""
        told = len(self.granted)
        self._client.subscribe(topic_filter, qos=1)
        eventually(lambda: len(self.granted) > told or self.cut_at is not None)
        return self.granted[told:] == [True]

    def vanish(self) -> None:
        """Without a word: the broker sends the will."""
        self._client.socket().close()
        self._client.loop_stop()

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _on_connect(
        self, _c: paho.Client, _u: object, _f: object, why: ReasonCode, _p: object
    ) -> None:
        self.accepted = not why.is_failure

    def _on_disconnect(self, *_: object) -> None:
        self.cut_at = time.monotonic()

    def _on_subscribe(
        self, _c: paho.Client, _u: object, _m: int, reasons: list[ReasonCode], _p: object
    ) -> None:
        self.granted.append(not any(why.is_failure for why in reasons))


def eventually(true: Callable[[], bool], patience_s: float = PATIENCE_S) -> None:
    deadline = time.monotonic() + patience_s
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def refused(place: Mqtt, name: str = "refused") -> bool:
    """Whether a connection is refused."""
    attempt = Attempt(place, name)
    attempt.close()
    return attempt.accepted is not True


def trusted(place: Mqtt) -> bool:
    """Whether its certificate passes, by the authority it is to be trusted by."""
    try:
        with (
            socket.create_connection((place.host, place.port), PATIENCE_S) as plain,
            place.tls_context.wrap_socket(plain, server_hostname=place.host),
        ):
            return True
    except ssl.SSLCertVerificationError:
        return False


def with_user(place: Mqtt, user: str | None, password: str | None = None) -> Mqtt:
    """The same broker, somebody else."""
    scheme = "mqtts" if place.tls else "mqtt"
    account = f"{user}:{password}@" if user else ""
    return Mqtt(url=f"{scheme}://{account}{place.host}:{place.port}", ca=place.ca)
