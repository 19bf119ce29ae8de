"""Hosts, networks, origins and certificates, as settings name them."""

import ssl
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from urllib.parse import urlsplit

from shared.settings.address import require_port

Network = IPv4Network | IPv6Network


def parted(said: str) -> list[str]:
    """What stands between commas."""
    return [each.strip() for each in said.split(",") if each.strip()]


def networks(said: str) -> tuple[Network, ...]:
    """Addresses and networks parted by commas, e.g. 10.0.0.0/8; raises ValueError."""
    found = []
    for each in parted(said):
        try:
            found.append(ip_network(each))
        except ValueError:
            raise ValueError(f"{each!r} is no address or network such as 10.1.0.0/16") from None
    return tuple(found)


def is_loopback(host: str) -> bool:
    """Whether a host is this machine's own loopback, by name or address."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:  # a name
        return False


def base_url(url: str) -> str:
    """An origin such as https://lab.example, in lower case; raises ValueError for more or less."""
    parts = urlsplit(url.rstrip("/").lower())
    whole = f"{parts.scheme}://{parts.netloc}" == parts.geturl() and "@" not in parts.netloc
    if parts.scheme not in ("http", "https") or not parts.hostname or not whole:
        raise ValueError("must look like https://lab.example, without path or user")
    require_port(url)
    return parts.geturl()


def require_certificate(cert: Path | None, key: Path | None, prefix: str = "LAB_API") -> None:
    """Raise ValueError unless both are absent, or a certificate and the key that belongs to it."""
    if cert is None and key is None:
        return
    if cert is None or key is None:
        missing, other = ("tls_cert", "KEY") if cert is None else ("tls_key", "CERT")
        raise ValueError(f"{missing}: must be set with {prefix}_TLS_{other}")
    for field, path in (("tls_cert", cert), ("tls_key", key)):
        try:
            path.read_bytes()
        except OSError as error:
            raise ValueError(f"{field}: cannot read {path}: {error.strerror}") from None
    try:  # an empty password: an encrypted key would else be asked for at the terminal
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key, password="")
    except (ssl.SSLError, ValueError) as error:
        raise ValueError(f"tls_cert: {cert} and {key} cannot be used: {error}") from None
