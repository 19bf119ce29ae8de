"""A certificate for tests, made by openssl."""

import shutil
import subprocess
from pathlib import Path

import pytest


def self_signed(directory: Path, *, passphrase: str | None = None) -> tuple[Path, Path]:
    """Certificate and key for localhost and 127.0.0.1; the test is skipped without openssl."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed (Debian's package openssl)")
    cert, key = directory / "cert.pem", directory / "key.pem"
    make = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    make += ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    make += ["-out", str(cert), "-keyout", str(key)]
    make += ["-passout", f"pass:{passphrase}"] if passphrase else ["-noenc"]
    subprocess.run(make, check=True, capture_output=True)
    return cert, key
