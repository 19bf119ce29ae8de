"""Mosquitto's dynamic security plugin as its administrator reaches it: commands over MQTT."""

import json
import os
import queue
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import paho.mqtt.client as paho

from services.cli.broker.mqtt_session import connected
from shared.errors import OperatorError
from shared.settings import Mqtt

Command = dict[str, Any]
_REQUEST: Final = "$CONTROL/dynamic-security/v1"
_RESPONSE: Final = f"{_REQUEST}/response"
_ANSWER_S: Final = 10.0


class AdminRefused(OperatorError):
    """The broker does not answer its administrator, or refuses a command."""


class Admin:
    """A connection; `run` sends commands and returns their answers."""

    def __init__(self, client: paho.Client, place: str) -> None:
        self._client, self._place = client, place
        self._answers: queue.SimpleQueue[list[Command]] = queue.SimpleQueue()
        client.on_message = self._on_message

    def run(self, commands: Sequence[Command]) -> list[Command]:
        """The answers' data, in order; raises AdminRefused with the first that failed."""
        if not commands:
            return []
        mark = os.urandom(8).hex()  # every administrator hears every answer
        body = {"commands": [{**each, "correlationData": mark} for each in commands]}
        self._client.publish(_REQUEST, json.dumps(body), qos=1)
        answers: list[Command] = []
        while len(answers) < len(commands):
            try:
                told = self._answers.get(timeout=_ANSWER_S)
            except queue.Empty:
                raise AdminRefused(
                    f"{self._place}: no answer to {commands[0]['command']}: is the dynamic"
                    " security plugin loaded, and this its administrator?"
                ) from None
            answers += [each for each in told if each.get("correlationData") == mark]
        for answer in answers:
            if "error" in answer:
                raise AdminRefused(f"{self._place}: {answer['command']}: {answer['error']}")
        return [answer.get("data", {}) for answer in answers]

    def _on_message(self, _client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        self._answers.put(json.loads(message.payload).get("responses", []))


@contextmanager
def administrator(place: Mqtt) -> Iterator[Admin]:
    """A connection that hears the answers to its commands; raises AdminRefused."""
    told = f"LAB_BROKER_ADMIN_URL: the broker at {place.host}:{place.port}"
    with connected(place) as (client, refusal):
        if refusal:
            raise AdminRefused(f"{told}: {refusal}")
        granted = threading.Event()
        client.on_subscribe = lambda *_: granted.set()
        admin = Admin(client, told)
        client.subscribe(_RESPONSE, qos=1)
        if not granted.wait(_ANSWER_S):
            raise AdminRefused(f"{told}: no answer to SUBSCRIBE")
        yield admin


def accepts(place: Mqtt) -> bool:
    """Whether the broker lets this user in with this password."""
    with connected(place) as (_client, refusal):
        return not refusal
