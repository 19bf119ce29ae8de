"""Back-off after failed sign-ins, by name and by address, whether or not there is such a name."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Final

from sqlalchemy import Connection, bindparam, delete, func, select, text
from sqlalchemy.dialects.postgresql import TIMESTAMP

from shared.db.tables import sign_in_failure

FORGOTTEN: Final = timedelta(hours=24)  # without another failure
_LONGEST: Final = 900.0


@dataclass(frozen=True, slots=True)
class Limit:
    """free failures cost nothing; each after that doubles the wait, from 1 s to `longest`."""

    free: int
    longest: float


# Together they are hard to guess by, one alone must not shut out the rightful owner for long.
LIMITS: Final[Mapping[str, Limit]] = {
    "both": Limit(5, _LONGEST),
    "name": Limit(30, 30.0),
    "address": Limit(50, _LONGEST),
}
_FAILED: Final = text("""
    INSERT INTO sign_in_failure AS f (who, n, blocked_until, at) VALUES (:who, 1, :now, :now)
    ON CONFLICT (who) DO UPDATE SET
        n = CASE WHEN f.at < :forgotten THEN 1 ELSE f.n + 1 END,
        at = :now,
        blocked_until = CASE
            WHEN f.at < :forgotten OR f.n < :free THEN :now
            ELSE :now + make_interval(secs =>
                least(:longest, 2 ^ least(f.n - :free, 20)))
        END
""").bindparams(*(bindparam(n, type_=TIMESTAMP(timezone=True)) for n in ("now", "forgotten")))


def wait_s(connection: Connection, name: str, address: str | None, now: datetime) -> float:
    """Seconds until the next attempt of this name from this address is looked at; 0: now."""
    until = select(func.max(sign_in_failure.c.blocked_until)).where(
        sign_in_failure.c.who.in_(_who(name, address).values())
    )
    blocked: datetime | None = connection.scalar(until)
    return max(0.0, (blocked - now).total_seconds()) if blocked else 0.0


def failed(connection: Connection, name: str, address: str | None, now: datetime) -> None:
    """Count one failure."""
    # Always in one order: of two at once none may hold what the other waits for.
    for kind, who in sorted(_who(name, address).items()):
        limit = LIMITS[kind]
        connection.execute(
            _FAILED,
            {
                "who": who,
                "now": now,
                "forgotten": now - FORGOTTEN,
                "free": limit.free,
                "longest": limit.longest,
            },
        )


def forgive(connection: Connection, name: str, address: str | None) -> None:
    """Forget the failures of a name at an address, after its owner has signed in there."""
    _remove(connection, [_who(name, address)["both"]])


def clean(connection: Connection, now: datetime) -> None:
    """Remove what has been forgotten."""
    connection.execute(delete(sign_in_failure).where(sign_in_failure.c.at < now - FORGOTTEN))


def _remove(connection: Connection, who: Iterable[str]) -> None:
    connection.execute(delete(sign_in_failure).where(sign_in_failure.c.who.in_(who)))


def _who(name: str, address: str | None) -> dict[str, str]:
    # Hashed: people type passwords where a name is asked for.
    hidden = sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:32]
    return {
        "both": f"both:{hidden}:{address}",
        "name": f"name:{hidden}",
        "address": f"address:{address}",
    }
