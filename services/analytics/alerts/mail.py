"""E-mail over SMTP: one message an alert, its line in three languages."""

import smtplib
import ssl
from collections.abc import Callable
from contextlib import closing, suppress
from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime
from urllib.parse import SplitResult, unquote, urlsplit

import structlog

from services.analytics.alerts import wording
from services.analytics.alerts.alert import Alert, Undelivered
from shared.settings import SMTP_PORTS, Alerts, addresses

log = structlog.get_logger()


def sender(settings: Alerts) -> Callable[[Alert, datetime], None]:
    """A function that mails one alert; raises Undelivered when no recipient was accepted."""
    assert settings.smtp_url
    assert settings.mail_from
    assert settings.mail_to
    server = urlsplit(settings.smtp_url.get_secret_value())
    sent_by, sent_to = settings.mail_from, addresses(settings.mail_to)

    def send(alert: Alert, now: datetime) -> None:
        try:
            with closing(_connected(server, settings.timeout_s)) as connection:
                refused = connection.send_message(message(alert, sent_by, sent_to, now))
                # It has the mail: stumbling over our goodbye is no reason to send it again.
                with suppress(smtplib.SMTPException, OSError):
                    connection.quit()
        except (smtplib.SMTPException, OSError) as error:
            raise Undelivered(f"{type(error).__name__}: {error}") from None
        if refused:
            log.warning("mail refused for some", alert=alert.id, refused=sorted(refused))

    return send


def message(alert: Alert, sent_by: str, sent_to: list[str], now: datetime) -> EmailMessage:
    """The mail. Its Message-ID is the alert's, so that a repeat can be told from a second alert."""
    lines = wording.lines(alert)
    mail = EmailMessage()
    mail["Subject"] = lines["en"]
    mail["From"] = sent_by
    mail["To"] = ", ".join(sent_to)
    mail["Date"] = format_datetime(now)
    mail["Message-ID"] = f"<{alert.id}@livinglab>"
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody's absence note answers
    mail.set_content("\n".join([*lines.values(), "", f"finding {alert.finding_id}"]) + "\n")
    return mail


def _connected(server: SplitResult, timeout_s: float) -> smtplib.SMTP:
    host, port = server.hostname or "", server.port or SMTP_PORTS[server.scheme]
    context = ssl.create_default_context()
    connection = (
        smtplib.SMTP_SSL(host, port, timeout=timeout_s, context=context)
        if server.scheme == "smtps"
        else smtplib.SMTP(host, port, timeout=timeout_s)
    )
    try:
        if server.scheme == "smtp+starttls":
            connection.starttls(context=context)
        if server.username:
            connection.login(unquote(server.username), unquote(server.password or ""))
    except BaseException:
        connection.close()
        raise
    return connection
