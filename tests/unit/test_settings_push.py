"""Where messages may be pushed: loopback, or with TLS."""

import pytest

from shared.settings import Push, SettingsError, load


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        ({"HOST": "0.0.0.0"}, "LAB_PUSH_HOST: 0.0.0.0 is not loopback"),
        ({"TLS_KEY": "/key.pem"}, "LAB_PUSH_TLS_CERT: must be set with LAB_PUSH_TLS_KEY"),
        ({"TRUSTED_PROXIES": "here"}, "LAB_PUSH_TRUSTED_PROXIES: 'here' is no address"),
    ],
)
def test_what_would_be_open_to_everybody_is_refused(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], told: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(f"LAB_PUSH_{name}", value)
    with pytest.raises(SettingsError, match=told):
        load(Push)


def test_behind_a_trusted_proxy_it_may_listen_anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_PUSH_HOST", "0.0.0.0")
    monkeypatch.setenv("LAB_PUSH_TRUSTED_PROXIES", "10.0.0.0/8")
    assert load(Push).port == 8001
