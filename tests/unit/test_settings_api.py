"""Settings of the API: who may reach it, and what must be said before anybody else than us can."""

from pathlib import Path

import pytest

from shared.settings import Api, SettingsError, load
from tests import certificate


def wrong(monkeypatch: pytest.MonkeyPatch, **variables: str | Path) -> str:
    for name, value in variables.items():
        monkeypatch.setenv(f"LAB_API_{name}", str(value))
    with pytest.raises(SettingsError) as raised:
        load(Api)
    assert "\n" not in str(raised.value)
    return str(raised.value)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.8.9.1"])
def test_loopback_needs_nothing(host: str) -> None:
    assert Api(host=host).loopback


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "lab.example", "localhost.example"])
def test_any_other_host_needs_tls_or_a_proxy(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    told = wrong(monkeypatch, HOST=host, URL="https://lab.example")
    assert told.startswith(f"LAB_API_HOST: {host} is not loopback")
    for name in ("LAB_API_TLS_CERT", "LAB_API_TLS_KEY", "LAB_API_TRUSTED_PROXIES"):
        assert name in told
    assert not Api(host=host, url="https://lab.example", trusted_proxies="10.0.0.1").loopback


def test_every_address_of_the_machine_needs_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    told = wrong(monkeypatch, HOST="0.0.0.0", TRUSTED_PROXIES="10.0.0.1")
    assert told.startswith("LAB_API_URL: must be set when LAB_API_HOST is 0.0.0.0")


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"TRUSTED_PROXIES": "10.0.0.1, proxy"}, "LAB_API_TRUSTED_PROXIES: 'proxy' is no address"),
        ({"TRUSTED_PROXIES": "10.0.0.1/8"}, "LAB_API_TRUSTED_PROXIES: '10.0.0.1/8' is no"),
        ({"URL": "lab.example"}, "LAB_API_URL: must look like https://lab.example"),
        ({"URL": "https://lab.example/path"}, "LAB_API_URL: must look like"),
        ({"URL": "https://u:SECRET@lab.example"}, "LAB_API_URL: must look like"),
        ({"URL": "https://lab.example:port"}, "LAB_API_URL: what stands after the host's colon"),
        ({"CORS_ORIGINS": "*"}, "LAB_API_CORS_ORIGINS: must look like"),
        ({"CORS_ORIGINS": "https://a.example,null"}, "LAB_API_CORS_ORIGINS: must look like"),
        ({"TLS_KEY": "/key.pem"}, "LAB_API_TLS_CERT: must be set with LAB_API_TLS_KEY"),
        ({"TLS_CERT": "/cert.pem"}, "LAB_API_TLS_KEY: must be set with LAB_API_TLS_CERT"),
        ({"TLS_CERT": "/no.pem", "TLS_KEY": "/no.pem"}, "LAB_API_TLS_CERT: cannot read /no.pem"),
    ],
)
def test_a_wrong_setting_is_one_line_that_quotes_no_secret(
    variables: dict[str, str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = wrong(monkeypatch, **variables)
    assert told.startswith(said)
    assert "SECRET" not in told


def test_a_key_of_another_certificate_or_with_a_passphrase_is_told_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cert, key = certificate.self_signed(tmp_path, passphrase="word")
    told = wrong(monkeypatch, TLS_CERT=cert, TLS_KEY=key)
    assert told.startswith("LAB_API_TLS_CERT: ")
    certificate.self_signed(tmp_path)
    assert load(Api).tls_cert == cert
    (tmp_path / "other").mkdir()
    _, other = certificate.self_signed(tmp_path / "other")
    assert "cannot be used" in wrong(monkeypatch, TLS_KEY=other)


def test_an_empty_variable_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("URL", "TLS_CERT", "TLS_KEY", "TRUSTED_PROXIES", "CORS_ORIGINS"):
        monkeypatch.setenv(f"LAB_API_{name}", "")
    api = load(Api)
    assert (api.proxies, api.origins, api.tls_cert) == ((), frozenset(), None)


def test_the_public_address_is_given_or_made_of_host_and_port() -> None:
    assert Api().public_url == "http://127.0.0.1:8000"
    assert Api(host="::1", port=81).public_url == "http://[::1]:81"
    assert Api(url="HTTPS://Lab.City.Example/").public_url == "https://lab.city.example"
