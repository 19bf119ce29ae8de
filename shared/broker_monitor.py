"""What the broker still holds: NATS tells it over HTTP, other brokers do not."""

from typing import Any, Final

import httpx

from shared.errors import OperatorError

NOT_SET: Final = "no NATS monitoring address is set (LAB_MQTT_MONITOR_URL)"
_STREAM: Final = "$MQTT_msgs"  # where NATS keeps every queued QoS 1 message
_TIMEOUT_S: Final = 1.0  # it is on the same machine or next door


class MonitorUnreachable(OperatorError):
    """The monitoring address does not answer as NATS does; the message says how."""


def pending(monitor_url: str) -> int:
    """Messages the broker has accepted and nobody has acknowledged yet.

    The sum over the MQTT sessions of what waits for delivery and what was delivered without an
    acknowledgement. Raises MonitorUnreachable.
    """
    document = _asked(monitor_url, "/jsz", consumers="1")
    return sum(
        consumer["num_pending"] + consumer["num_ack_pending"] for consumer in _consumers(document)
    )


def user_of(monitor_url: str, connection: str) -> str | None:
    """Who a connection of this run of the server belongs, or lately belonged, to.

    None: no longer known, or nobody. Raises MonitorUnreachable.
    """
    document = _asked(monitor_url, "/connz", cid=connection, auth="1", state="any")
    return next((each.get("authorized_user") for each in document.get("connections", [])), None)


def _asked(monitor_url: str, path: str, **parameters: str) -> dict[str, Any]:
    try:
        answer = httpx.get(monitor_url.rstrip("/") + path, params=parameters, timeout=_TIMEOUT_S)
        answer.raise_for_status()
        return dict(answer.json())
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        raise MonitorUnreachable(f"{monitor_url}: {error or type(error).__name__}") from error


def _consumers(document: dict[str, Any]) -> list[dict[str, Any]]:
    """The consumers of the MQTT message stream, over all accounts; none before its first use."""
    return [
        consumer
        for account in document.get("account_details", [])
        for stream in account.get("stream_detail", [])
        if stream["name"] == _STREAM
        for consumer in stream.get("consumer_detail", [])
    ]
