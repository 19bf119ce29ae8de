"""How often one key may ask: token buckets in bounded memory."""

from collections import OrderedDict
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Final

MOST_KEYS: Final = 20_000  # about 4 MB


class Buckets:
    """A bucket of tokens for each key: full it holds a minute's worth, and it fills evenly.

    Kept is the time at which a bucket would be full again; the key used longest ago goes first.
    """

    def __init__(self, per_minute: int, *, most: int = MOST_KEYS) -> None:
        """per_minute 0: no limit."""
        self._interval = 60 / per_minute if per_minute else 0.0
        self._most = most
        self._full_at: OrderedDict[str, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._full_at)

    def take(self, key: str, now: float) -> float:
        """Take a token of `key`; 0, or the seconds until there is one. `now` in seconds."""
        if not self._interval:
            return 0.0
        full_at = max(self._full_at.get(key, now), now) + self._interval
        if full_at - now > 60 + 1e-6:
            return full_at - now - 60
        self._full_at[key] = full_at
        self._full_at.move_to_end(key)
        if len(self._full_at) > self._most:
            self._full_at.popitem(last=False)
        return 0.0

    def wait(self, key: str, now: float) -> float:
        """Seconds until there is a token of `key`, without taking one."""
        if not self._interval:
            return 0.0
        full_at = max(self._full_at.get(key, now), now) + self._interval
        return max(0.0, full_at - now - 60 - 1e-6)


def owner(address: str) -> str:
    """What of an address belongs to one client: of IPv6 the first half."""
    try:
        ip = ip_address(address)
    except ValueError:
        return address
    return str(ip_network((ip, 64), strict=False)) if isinstance(ip, IPv6Address) else address
