"""The queue that several workers share: a durable consumer of the stream where NATS keeps MQTT."""

import json
from collections.abc import Iterable
from typing import Any, Final

from shared.domain.subject import subjects

STREAM: Final = "$MQTT_msgs"  # NATS makes it at the first MQTT session of an account
STREAMS: Final = (STREAM, "$MQTT_sess", "$MQTT_rmsgs", "$MQTT_out", "$MQTT_qos2in")
QUEUE: Final = "livinglab"
PREFIX: Final = "$MQTT.msgs."  # before the subject that a topic is for NATS
INBOX: Final = "_INBOX.livinglab"
ACK_WAIT_S: Final = 30  # what a killed worker held comes to another one after that
# Of all workers together. NATS holds 100 bytes or so for each.
MAX_ACK_PENDING: Final = 50_000
_NOTHING: Final = f"{PREFIX}$nothing"  # no publisher may use a topic that begins so

INFO: Final = f"$JS.API.CONSUMER.INFO.{STREAM}.{QUEUE}"
NEXT: Final = f"$JS.API.CONSUMER.MSG.NEXT.{STREAM}.{QUEUE}"
CREATE: Final = f"$JS.API.CONSUMER.CREATE.{STREAM}.{QUEUE}"
# What a worker may do, and no more: ask, pull, acknowledge (in either of NATS's two forms), and
# say which subjects the queue is for.
MAY_PUBLISH: Final = (
    *(INFO, NEXT, CREATE),
    *(f"$JS.ACK.{STREAM}.{QUEUE}.>", f"$JS.ACK.*.*.{STREAM}.{QUEUE}.>"),
)
MAY_SUBSCRIBE: Final = (f"{INBOX}.>",)


def filter_subjects(filters: Iterable[str]) -> list[str]:
    """The stream's subjects that topic filters cover; raises NotForNats.

    A consumer without any would take everything: so there is always one.
    """
    found = sorted({f"{PREFIX}{each}" for f in filters for each in subjects(f)})
    return found or [_NOTHING]


def wanted(filters: Iterable[str], before: dict[str, Any] | None = None) -> dict[str, Any]:
    """The queue's whole configuration, what else it has being kept; raises NotForNats."""
    rules = {
        "durable_name": QUEUE,
        "name": QUEUE,
        "deliver_policy": "all",  # also what waits for an MQTT session whose place it takes
        "ack_policy": "explicit",
        "ack_wait": ACK_WAIT_S * 10**9,
        "max_deliver": -1,
        "max_ack_pending": MAX_ACK_PENDING,
    }
    return with_filters({**(before or {}), **rules}, filters)


def with_filters(config: dict[str, Any], filters: Iterable[str]) -> dict[str, Any]:
    """The configuration for exactly these topics; raises NotForNats."""
    kept = {name: value for name, value in config.items() if name != "filter_subject"}
    return {**kept, "filter_subjects": filter_subjects(filters)}


def request(action: str, config: dict[str, Any]) -> dict[str, Any]:
    """The body of CREATE; action is `create` or `update`."""
    return {"stream_name": STREAM, "action": action, "config": config}


def fault(answer: dict[str, Any]) -> str | None:
    """What JetStream refuses, or None."""
    error = answer.get("error")
    return None if error is None else str(error.get("description") or json.dumps(error))
