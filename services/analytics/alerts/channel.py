"""The channels an operator has configured, each with its way of sending."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from services.analytics.alerts import mail, webhook
from services.analytics.alerts.alert import Alert
from shared.settings import Alerts

Send = Callable[[Alert, datetime], None]


@dataclass(frozen=True, slots=True)
class Channel:
    """`send` delivers one alert, said to be sent at a moment, or raises Undelivered."""

    name: str
    send: Send


def configured(settings: Alerts) -> list[Channel]:
    """The channels these settings name; none is an empty list."""
    channels: list[Channel] = []
    if settings.webhook_url:
        channels.append(Channel("webhook", webhook.sender(settings)))
    if settings.smtp_url:
        channels.append(Channel("mail", mail.sender(settings)))
    return channels
