"""Webhooks signed by the Standard Webhooks convention (standardwebhooks.com, v1)."""

import asyncio
import base64
import hashlib
import hmac
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

import httpx
import orjson

from services.analytics.alerts import wording
from services.analytics.alerts.alert import Alert, Undelivered
from shared.settings import Alerts, signing_key

WHOLE: Final = 4  # time-outs for all of it: a receiver that trickles never exceeds one


def sender(settings: Alerts) -> Callable[[Alert, datetime], None]:
    """A function that posts one alert; anything but a 2xx answer raises Undelivered.

    Redirects are not followed: the address is the operator's word, not the receiver's.
    """
    assert settings.webhook_url
    assert settings.webhook_secret
    url = settings.webhook_url
    key = signing_key(settings.webhook_secret.get_secret_value())
    whole_s = WHOLE * settings.timeout_s
    context = httpx.create_ssl_context()

    async def status_of(said: bytes, headers: dict[str, str]) -> int:
        client = httpx.AsyncClient(
            timeout=settings.timeout_s, follow_redirects=False, verify=context
        )
        async with (
            asyncio.timeout(whole_s),
            client,
            client.stream("POST", url, content=said, headers=headers) as answer,
        ):
            return answer.status_code

    def send(alert: Alert, now: datetime) -> None:
        said = body(alert)
        headers = {
            "content-type": "application/json",
            "user-agent": "livinglab",
            **signed(key, f"msg_{alert.id}", int(now.timestamp()), said),
        }
        try:
            status = asyncio.run(status_of(said, headers))
        except httpx.HTTPError as error:
            raise Undelivered(f"{type(error).__name__}: {error}") from None
        except TimeoutError:
            raise Undelivered(f"no answer within {whole_s:g} s") from None
        if not 200 <= status < 300:
            raise Undelivered(f"answered {status}" + (", not followed" * (300 <= status < 400)))

    return send


def signed(key: bytes, message_id: str, timestamp: int, said: bytes) -> dict[str, str]:
    """The three headers a receiver checks: HMAC-SHA256 over `id.timestamp.body`, in base64."""
    content = f"{message_id}.{timestamp}.".encode() + said
    digest = hmac.new(key, content, hashlib.sha256).digest()
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }


def body(alert: Alert) -> bytes:
    """The JSON a receiver gets; `data.text` is the line for people."""
    said: dict[str, Any] = {
        "type": "finding.escalated" if alert.escalated else "finding.raised",
        "timestamp": alert.started_at,
        "data": {
            "finding": alert.finding_id,
            "kind": alert.kind,
            "severity": alert.severity,
            "site": alert.site,
            "pilot": alert.pilot,
            "device": alert.device,
            "property": alert.property,
            "unit": alert.unit,
            "started_at": alert.started_at,
            "ended_at": alert.ended_at,
            "confidence": alert.confidence,
            "origin": alert.origin,
            "evidence": dict(alert.evidence),
            "text": wording.lines(alert),
        },
    }
    return orjson.dumps(said, option=orjson.OPT_UTC_Z)
