"""Settings: what a URL says is what the broker is told."""

import pytest
from pydantic_settings import BaseSettings

from shared.settings import Alerts, Broker, Database, Ingest, Mqtt, SettingsError, load


def test_a_broker_password_may_hold_characters_that_a_url_escapes() -> None:
    mqtt = Mqtt(url="mqtts://lab%40city:p%40ss%2Fword%3A1@broker.example")
    assert (mqtt.username, mqtt.password) == ("lab@city", "p@ss/word:1")
    assert (mqtt.host, mqtt.port, mqtt.tls) == ("broker.example", 8883, True)


def test_a_broker_without_a_user_is_told_none() -> None:
    mqtt = Mqtt(url="mqtt://127.0.0.1")
    assert (mqtt.username, mqtt.password, mqtt.port) == (None, None, 1883)


@pytest.mark.parametrize(
    ("section", "variables", "said"),
    [
        (Database, {"URL": "postgresql://lab:SECRET@host:x/db"}, "LAB_DATABASE_URL: what stands"),
        (Mqtt, {"URL": "mqtt://u:SECRET/1@host"}, "LAB_MQTT_URL: what stands after"),
        (Ingest, {"NATS_URL": "tls://u:SECRET/1@host"}, "LAB_INGEST_NATS_URL: what stands after"),
        (Ingest, {"NATS_URL": "mqtt://u:SECRET@h"}, "LAB_INGEST_NATS_URL: must look like nats://"),
        (Ingest, {"NATS_URL": "", "SOURCE": "jetstream"}, "LAB_INGEST_NATS_URL: must be set with"),
        (Alerts, {"SMTP_URL": "smtps://u:SECRET/1@host"}, "LAB_ALERTS_SMTP_URL: what stands"),
        (Alerts, {"WEBHOOK_URL": "https://host:SECRET/x"}, "LAB_ALERTS_WEBHOOK_URL: what stands"),
        (Alerts, {"WEBHOOK_URL": "https://ho st/SECRET"}, "LAB_ALERTS_WEBHOOK_URL: must look like"),
        (Alerts, {"QUIET": "22:00+07:00-06:00"}, "LAB_ALERTS_QUIET: must look like 22:00-06:00"),
        (Alerts, {"QUIET": "22:00-25:00"}, "LAB_ALERTS_QUIET: must look like 22:00-06:00"),
    ],
)
def test_a_wrong_setting_is_one_line_that_quotes_no_secret(
    section: type[BaseSettings],
    variables: dict[str, str],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(f"{section.model_config['env_prefix']}{name}", value)
    with pytest.raises(SettingsError) as raised:
        load(section)
    assert str(raised.value).startswith(said)
    assert "SECRET" not in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("section", "variables", "said"),
    [
        (Mqtt, {"CA": "/nowhere.crt"}, "LAB_MQTT_CA: /nowhere.crt: No such file"),
        (Mqtt, {"CA": __file__}, "LAB_MQTT_CA: .* no PEM file"),
        (Broker, {"ADMIN_URL": "http://x"}, "LAB_BROKER_ADMIN_URL: must look like nats://"),
        (Broker, {"ADMIN_URL": "nats://a,mqtt://b"}, "LAB_BROKER_ADMIN_URL: must look like nats"),
        (Broker, {"ADMIN_URL": "nats://u:p/1@x"}, "LAB_BROKER_ADMIN_URL: what stands after"),
        (Broker, {"ADMIN_URL": "nats://x"}, "LAB_BROKER_USERS_FILE: must be set with"),
    ],
)
def test_what_a_broker_needs_is_told_by_its_variable(
    section: type[BaseSettings],
    variables: dict[str, str],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(f"{section.model_config['env_prefix']}{name}", value)
    with pytest.raises(SettingsError, match=f"^{said}"):
        load(section)


def test_which_broker_it_is_follows_from_how_its_administrator_speaks() -> None:
    two = Broker(admin_url="nats://a:1@x:4222, tls://a:1@y", users_file="u")  # type: ignore[arg-type]
    assert (two.kind, two.urls) == ("nats", ("nats://a:1@x:4222", "tls://a:1@y"))
    assert Broker(admin_url="mqtts://a:1@x").kind == "mosquitto"  # type: ignore[arg-type]
    assert Broker().urls == ()


def test_workers_know_every_node_and_one_user() -> None:
    ingest = Ingest(source="jetstream", nats_url="tls://worker:p%40ss@one:4222, tls://two")
    assert ingest.nats_addresses == ("tls://worker:p%40ss@one:4222", "tls://two")
    assert ingest.worker == ("worker", "p@ss")
    assert Ingest(nats_url="nats://worker@one").worker is None  # nobody without a password
    assert Ingest(nats_url="nats://lab:first@one").worker is None  # whom NATS knows already
