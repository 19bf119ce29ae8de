"""deploy/make-ca: keys nobody else reads, names that are checked, nothing overwritten."""

import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from tests.integration.deployed import make_ca

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")


def told(*command: str | Path) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_a_certificate_holds_the_names_and_is_signed_by_the_authority(tmp_path: Path) -> None:
    done = make_ca(tmp_path / "tls", "broker.city.example", "192.0.2.7")
    assert done.returncode == 0, done.stderr
    ca, server = tmp_path / "tls/ca.crt", tmp_path / "tls/server.crt"
    told("openssl", "verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", ca, server)
    names = told("openssl", "x509", "-in", server, "-noout", "-ext", "subjectAltName")
    for name in ("DNS:localhost", "IP Address:127.0.0.1", "DNS:broker.city.example", "192.0.2.7"):
        assert name in names
    months = 20 * 30 * 24 * 3600
    told("openssl", "x509", "-in", server, "-noout", "-checkend", str(months))
    told("openssl", "x509", "-in", ca, "-noout", "-checkend", str(5 * months))
    for key in ("ca.key", "server.key"):
        assert stat.S_IMODE((tmp_path / "tls" / key).stat().st_mode) == 0o600


def test_nothing_is_overwritten_and_a_renewal_keeps_the_authority(tmp_path: Path) -> None:
    assert make_ca(tmp_path, "a.example").returncode == 0
    before = {each.name: each.read_bytes() for each in tmp_path.iterdir()}
    again = make_ca(tmp_path, "a.example")
    assert again.returncode == 2
    assert "already" in again.stderr
    assert {each.name: each.read_bytes() for each in tmp_path.iterdir()} == before
    for name in ("server.key", "server.crt"):
        (tmp_path / name).unlink()
    assert make_ca(tmp_path, "a.example").returncode == 0
    assert (tmp_path / "ca.crt").read_bytes() == before["ca.crt"]
    assert (tmp_path / "server.crt").read_bytes() != before["server.crt"]
    told("openssl", "verify", "-CAfile", tmp_path / "ca.crt", tmp_path / "server.crt")


@pytest.mark.parametrize("names", [(), ("a b",), ("a,DNS:evil",), ("",)])
def test_names_are_checked_first(tmp_path: Path, names: tuple[str, ...]) -> None:
    assert make_ca(tmp_path / "tls", *names).returncode == 2
    assert not (tmp_path / "tls").exists()
