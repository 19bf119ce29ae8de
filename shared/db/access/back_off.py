"""Back-off after failed sign-ins, by name and by address, whether or not there is such a name."""

from collections.abc import Mapping
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


_IN_TURN: Final = text("SELECT pg_advisory_xact_lock(hashtextextended(:who, 0))")
_TAKEN_BACK: Final = text("UPDATE sign_in_failure SET n = n - 1 WHERE who = :who")


def attempt(connection: Connection, name: str, address: str | None, now: datetime) -> float:
    """Count an attempt as failed before it is looked at; 0, or the seconds it has to wait.

    Counted first, and one after the other for one name and one address: of many guesses sent at
    once each sees those before it. One that has to wait is not counted.
    """
    who = _who(name, address)
    for each in sorted(who.values()):  # in one order, or two would wait for each other
        connection.execute(_IN_TURN, {"who": each})
    until = select(func.max(sign_in_failure.c.blocked_until)).where(
        sign_in_failure.c.who.in_(who.values())
    )
    blocked: datetime | None = connection.scalar(until)
    if blocked and blocked > now:
        return (blocked - now).total_seconds()
    for kind, each in who.items():
        limit = LIMITS[kind]
        connection.execute(
            _FAILED,
            {
                "who": each,
                "now": now,
                "forgotten": now - FORGOTTEN,
                "free": limit.free,
                "longest": limit.longest,
            },
        )
    return 0.0


def forgive(connection: Connection, name: str, address: str | None) -> None:
    """Its owner has signed in: what was counted of the name is forgotten, of the address one."""
    who = _who(name, address)
    for each in sorted(who.values()):
        connection.execute(_IN_TURN, {"who": each})
    mine = sign_in_failure.c.who.in_([who["both"], who["name"]])
    connection.execute(delete(sign_in_failure).where(mine))
    connection.execute(_TAKEN_BACK, {"who": who["address"]})


def clean(connection: Connection, now: datetime) -> None:
    """Remove what has been forgotten."""
    connection.execute(delete(sign_in_failure).where(sign_in_failure.c.at < now - FORGOTTEN))


def _who(name: str, address: str | None) -> dict[str, str]:
    # Hashed: people type passwords where a name is asked for.
    hidden = sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:32]
    return {
        "both": f"both:{hidden}:{address}",
        "name": f"name:{hidden}",
        "address": f"address:{address}",
    }
