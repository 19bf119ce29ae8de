"""Who a request comes from: the peer itself, or the one a trusted proxy names."""

from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address

from starlette.types import Scope

from shared.settings.network import Network

Address = IPv4Address | IPv6Address


class Peers:
    """Tells clients from proxies. Of X-Forwarded-For only what trusted proxies wrote is believed:
    each appends whom it heard, so the right-most address that is none of them is the client."""

    def __init__(self, trusted: Sequence[Network]) -> None:
        self._trusted = trusted

    def placed(self, scope: Scope) -> Scope:
        """The request with the client's address in its state and the scheme the client used."""
        state = {**scope.get("state", {}), "address": self.address(scope)}
        return {**scope, "state": state, "scheme": self.scheme(scope)}

    def address(self, scope: Scope) -> str:
        """The client's address; `unknown` where there is none."""
        here = peer(scope)
        if here is None:
            return "unknown"
        for hop in reversed([*_hops(scope)]):
            if not self.trusts(here) or hop is None:
                break
            here = hop
        return str(here)

    def scheme(self, scope: Scope) -> str:
        """http or https, as between the client and whoever ends TLS for us."""
        here = peer(scope)
        if here is not None and self.trusts(here):
            for said in reversed(_said(scope, b"x-forwarded-proto")):
                if said.lower() in ("http", "https"):
                    return said.lower()
        return str(scope["scheme"])

    def trusts(self, address: Address) -> bool:
        """Whether an address is one of the proxies."""
        return any(address in each for each in self._trusted)

    def bare(self, scope: Scope) -> bool:
        """Whether a request came past the proxies, and from another machine."""
        here = peer(scope)
        own = parsed(scope["server"][0]) if scope.get("server") else None
        return here is None or not (here.is_loopback or here == own or self.trusts(here))


def peer(scope: Scope) -> Address | None:
    """Who is at the other end of the connection."""
    return parsed(scope["client"][0]) if scope.get("client") else None


def parsed(said: str) -> Address | None:
    """An address as proxies write it, with or without brackets and port; None for anything else."""
    said = said.strip().strip('"')
    if said.startswith("["):
        said = said[1:].partition("]")[0]
    elif said.count(":") == 1:
        said = said.partition(":")[0]
    try:
        found = ip_address(said.partition("%")[0])
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return mapped or found


def _hops(scope: Scope) -> Iterator[Address | None]:
    return (parsed(said) for said in _said(scope, b"x-forwarded-for"))


def _said(scope: Scope, name: bytes) -> list[str]:
    lines = [value.decode("latin-1") for key, value in scope["headers"] if key == name]
    return [part.strip() for part in ",".join(lines).split(",") if part.strip()]
