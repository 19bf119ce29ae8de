"""An MQTT session of the administrator's, which ends with its connection."""

import os
import queue
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from shared.settings import Mqtt

_ANSWER_S: Final = 10.0


@contextmanager
def connected(place: Mqtt, client_id: str = "") -> Iterator[tuple[paho.Client, str]]:
    """A client with a clean session, under a name of its own unless told; why it was refused."""
    client = paho.Client(
        CallbackAPIVersion.VERSION2,
        client_id=client_id or f"livinglab-admin-{os.urandom(8).hex()}",
        reconnect_on_failure=False,
    )
    client.username_pw_set(place.username, place.password)
    if place.tls:
        client.tls_set_context(place.tls_context)
    told: queue.SimpleQueue[str] = queue.SimpleQueue()
    client.on_connect = lambda _c, _u, _f, why, _p: told.put(str(why) if why.is_failure else "")
    try:
        yield client, _refusal(client, place, told)
    finally:
        client.disconnect()
        client.loop_stop()


def _refusal(client: paho.Client, place: Mqtt, told: "queue.SimpleQueue[str]") -> str:
    """Connect; why that failed, or nothing."""
    try:
        client.connect(place.host, place.port)
        client.loop_start()
        return told.get(timeout=_ANSWER_S)
    except queue.Empty:
        return "no answer to CONNECT"
    except OSError as error:
        return error.strerror or str(error)
