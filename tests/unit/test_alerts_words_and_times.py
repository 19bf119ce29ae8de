"""What an alert says, when it may go out, how it is signed, and settings that cannot work."""

import dataclasses
from datetime import UTC, datetime, time, timedelta
from typing import Any

import orjson
import pytest

from services.analytics import silent
from services.analytics.alerts import mail, quiet, webhook, wording
from services.analytics.alerts.alert import Alert
from services.analytics.pilot import kinds
from services.api.web import i18n
from shared.settings import Alerts, SettingsError, load, signing_key

NIGHT = (time(22), time(6))
ALERT = Alert(
    id="018f",
    finding_id=7,
    severity="warning",
    attempts=1,
    escalated=False,
    kind="flood",
    site="town",
    site_name="Kota\nBaru",
    zone="Asia/Jakarta",
    pilot="flood",
    device="g1",
    property="water_level",
    unit="m",
    started_at=datetime(2026, 3, 1, 15, 5, tzinfo=UTC),
    ended_at=None,
    confidence=None,
    evidence={"peak_level_m": 0.9},
    origin="measured",
)


def at(hour: int, minute: int = 0, day: int = 1) -> datetime:
    """A moment on the clocks of Jakarta (UTC+7)."""
    return datetime(2026, 3, day, hour, minute, tzinfo=UTC) - timedelta(hours=7)


@pytest.mark.parametrize(
    ("hours", "moment", "wanted"),
    [
        (NIGHT, at(21, 59), at(21, 59)),
        (NIGHT, at(22), at(6, day=2)),
        (NIGHT, at(5, 59), at(6)),
        (NIGHT, at(6), at(6)),
        ((time(12), time(13)), at(12, 30), at(13)),
        ((time(12), time(13)), at(13), at(13)),
        (None, at(23), at(23)),
    ],
)
def test_quiet_hours_are_on_the_clocks_of_the_site(
    hours: quiet.Hours | None, moment: datetime, wanted: datetime
) -> None:
    assert quiet.earliest(moment, hours, "Asia/Jakarta", "alarm") == wanted


def test_critical_alerts_know_no_quiet_hours() -> None:
    assert quiet.earliest(at(23), NIGHT, "Asia/Jakarta", "critical") == at(23)


def test_an_hour_that_comes_twice_never_sends_back_in_time() -> None:
    second = datetime(2026, 10, 25, 1, 10, tzinfo=UTC)  # 02:10 in Berlin, for the second time
    ends = quiet.earliest(second, (time(23), time(2, 30)), "Europe/Berlin", "alarm")
    assert second <= ends <= second + timedelta(hours=1)


def test_pauses_double_up_to_an_hour_and_spread() -> None:
    middle = [quiet.pause(n, 5.0, 0.5).total_seconds() for n in (1, 2, 3, 10, 90)]
    assert middle == [5.0, 10.0, 20.0, 2560.0, 3600.0]
    assert quiet.pause(1, 8.0, 0.0) == timedelta(seconds=6)
    assert quiet.pause(1, 8.0, 0.999) < timedelta(seconds=10)


def test_the_line_says_severity_what_where_and_when_in_three_languages() -> None:
    assert wording.lines(ALERT) == {
        "en": "Warning: Level at Siaga 3 or above · g1 · flood · Kota Baru"
        " · since 2026-03-01 22:05 WIB",
        "id": "Waspada: Muka air pada Siaga 3 atau lebih · g1 · flood · Kota Baru"
        " · sejak 2026-03-01 22:05 WIB",
        "ko": "주의: 수위가 시아가(Siaga) 3 이상 · g1 · flood · Kota Baru"
        " · 2026-03-01 22:05 WIB부터",
    }


def test_what_is_not_measured_says_so_and_what_is_over_says_until_when() -> None:
    over = dataclasses.replace(
        ALERT,
        origin="simulated",
        device=None,
        ended_at=ALERT.started_at + timedelta(hours=1),
    )
    assert wording.lines(over)["en"].endswith(
        "above · flood · Kota Baru · 2026-03-01 22:05 WIB – 2026-03-01 23:05 WIB · (simulated)"
    )


def test_every_kind_of_finding_has_words_in_every_language() -> None:
    found = {each.kind for pilot in kinds().values() for each in pilot.findings} | {silent.KIND}
    assert found <= wording.WHAT.keys()
    assert all(len(set(words)) == 2 and all(words) for words in wording.WHAT.values())
    tables = (wording.SEVERITY, wording.ORIGIN)
    assert all(len(set(words)) == 3 and all(words) for t in tables for words in t.values())


@pytest.mark.parametrize(("place", "language"), [(0, "id"), (1, "ko")])
def test_pages_say_the_same_of_a_finding(place: int, language: str) -> None:
    pages = i18n.load()[language]
    said = {kind: pages.word(wording.label(kind)) for kind in wording.WHAT}
    assert said == {kind: words[place] for kind, words in wording.WHAT.items()}


def test_the_line_names_the_rule_that_was_met() -> None:
    full = dataclasses.replace(ALERT, kind="threshold", evidence={"rule": "to be emptied"})
    assert "beyond its limit · to be emptied · g1" in wording.lines(full)["en"]


def test_a_kind_without_words_is_told_by_its_name() -> None:
    assert "moonquake · g1" in wording.lines(dataclasses.replace(ALERT, kind="moonquake"))["ko"]


def test_the_signature_is_that_of_the_conventions_own_example() -> None:
    key = signing_key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    said = b'{"test": 2432232314}'
    assert webhook.signed(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, said) == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_the_body_carries_the_finding_its_evidence_and_the_lines() -> None:
    said: dict[str, Any] = orjson.loads(webhook.body(dataclasses.replace(ALERT, escalated=True)))
    assert said["type"] == "finding.escalated"
    assert said["timestamp"] == "2026-03-01T15:05:00Z"
    assert said["data"]["evidence"] == {"peak_level_m": 0.9}
    assert said["data"]["text"] == wording.lines(ALERT)
    assert (said["data"]["property"], said["data"]["unit"]) == ("water_level", "m")


def test_a_name_cannot_add_headers_to_a_mail() -> None:
    made = mail.message(
        dataclasses.replace(ALERT, site_name="Kota\r\nBcc: all@city.example"),
        "lab@city.example",
        ["duty@city.example"],
        ALERT.started_at,
    )
    assert made["Bcc"] is None
    assert "\n" not in made["Subject"]
    assert made["Message-ID"] == "<018f@livinglab>"


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        ({"WEBHOOK_URL": "ftp://x"}, "WEBHOOK_URL: must look like https://"),
        ({"WEBHOOK_URL": "https://me:pass@x/"}, "WEBHOOK_URL: must look like https://"),
        ({"WEBHOOK_URL": "https://x/"}, "WEBHOOK_SECRET: must be set with"),
        ({"WEBHOOK_SECRET": "whsec_not base64"}, "WEBHOOK_SECRET: what follows whsec_ is not"),
        ({"WEBHOOK_SECRET": "short"}, "WEBHOOK_SECRET: must hold at least 16 bytes"),
        ({"SMTP_URL": "https://x"}, "SMTP_URL: must look like smtp"),
        ({"SMTP_URL": "smtp://me:pass@x"}, "SMTP_URL: a password needs smtp\\+starttls"),
        ({"SMTP_URL": "smtp://x", "MAIL_FROM": "a@b"}, "MAIL_TO: must be set with"),
        ({"MAIL_TO": "a@b, c d@e"}, "MAIL_TO: 'c d@e' is no address"),
        ({"QUIET": "22-6"}, "QUIET: must look like 22:00-06:00"),
        ({"QUIET": "06:00-06:00"}, "QUIET: begins when it ends"),
        ({"MIN_SEVERITY": "loud"}, "MIN_SEVERITY: "),
    ],
)
def test_a_setting_that_cannot_work_is_named(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], told: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(f"LAB_ALERTS_{name}", value)
    with pytest.raises(SettingsError, match=rf"LAB_ALERTS_{told}") as refused:
        load(Alerts)
    assert "pass@" not in str(refused.value)


def test_secrets_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_ALERTS_WEBHOOK_SECRET", "a-very-secret-text")
    monkeypatch.setenv("LAB_ALERTS_SMTP_URL", "")  # as compose passes what is not set
    settings = load(Alerts)
    assert "very-secret" not in repr(settings)
    assert settings.channels == ()
