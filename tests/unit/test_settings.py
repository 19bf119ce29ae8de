"""Settings: what a URL says is what the broker is told."""

from shared.settings import Mqtt


def test_a_broker_password_may_hold_characters_that_a_url_escapes() -> None:
    mqtt = Mqtt(url="mqtts://lab%40city:p%40ss%2Fword%3A1@broker.example")
    assert (mqtt.username, mqtt.password) == ("lab@city", "p@ss/word:1")
    assert (mqtt.host, mqtt.port, mqtt.tls) == ("broker.example", 8883, True)


def test_a_broker_without_a_user_is_told_none() -> None:
    mqtt = Mqtt(url="mqtt://127.0.0.1")
    assert (mqtt.username, mqtt.password, mqtt.port) == (None, None, 1883)
