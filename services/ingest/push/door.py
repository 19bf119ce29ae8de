"""Who asks: an API key with `ingest:push` for the source's site, or the source's own credential."""

import math
from base64 import b64decode
from binascii import Error
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import sha256
from http import HTTPStatus
from typing import Final

from services.ingest.push.known import Known, Register, Target
from shared.db import credentials
from shared.db.access.token import digest, is_key
from shared.http.buckets import Buckets
from shared.http.refusal import Refused

PERMISSION: Final = "ingest:push"
FAILURES: Final = 30  # a minute, of one address: each costs a hash
_REMEMBERED: Final = 1000
_CHALLENGE: Final = {"WWW-Authenticate": 'Basic realm="livinglab", Bearer realm="livinglab"'}


class Door:
    """Lets in or raises Refused. Whoever was right is remembered, so that guesses from behind the
    same address shut nobody out."""

    def __init__(self, register: Register, clock: Callable[[], float]) -> None:
        self._register = register
        self._clock = clock
        self._failures = Buckets(FAILURES)
        self._right: OrderedDict[bytes, str] = OrderedDict()  # what was shown → the hash it fits

    def admit(self, name: str, authorization: str, address: str) -> Target:
        """The source that is pushed to."""
        known = self._register.known
        scheme, _, shown = authorization.partition(" ")
        match scheme.lower():
            case "bearer":
                return self._by_key(known, name, shown.strip(), address)
            case "basic":
                return self._by_credential(known, name, shown.strip(), address)
        raise Refused(
            HTTPStatus.UNAUTHORIZED,
            "an API key (Bearer) or the source's user and password (Basic) are needed",
            _CHALLENGE,
        )

    def _by_key(self, known: Known, name: str, shown: str, address: str) -> Target:
        name_of_key = digest(shown)
        actor = known.keys.get(name_of_key) if is_key(shown) else None
        if actor is None or actor.ends_at is None or actor.ends_at <= datetime.now(UTC):
            raise self._failed(address, "no key in force is like this one")
        self._register.note(name_of_key)
        sites, target = actor.sites(PERMISSION), known.sources.get(name)
        if target is None or (sites is not None and target.site_id not in sites):
            raise Refused(
                HTTPStatus.FORBIDDEN, f"this key has no {PERMISSION} for a source {name!r}"
            )
        return target

    def _by_credential(self, known: Known, name: str, shown: str, address: str) -> Target:
        user, password = _parted(shown)
        told = sha256(shown.encode()).digest()
        stored = known.hashes.get(user)
        if stored is None or self._right.get(told) != stored:
            self._require_patience(address)
            if not credentials.matches(stored, password) or stored is None:
                raise self._failed(address, "no source has this user and password")
            self._remember(told, stored)
        target = known.sources.get(name)
        if target is None or user != name:
            raise Refused(HTTPStatus.FORBIDDEN, f"{user} may push to /v1/ingest/{user} only")
        return target

    def _remember(self, told: bytes, stored: str) -> None:
        self._right[told] = stored
        if len(self._right) > _REMEMBERED:
            self._right.popitem(last=False)

    def _require_patience(self, address: str) -> None:
        if wait := self._failures.wait(address, self._clock()):
            raise _too_many(wait)

    def _failed(self, address: str, told: str) -> Refused:
        if wait := self._failures.take(address, self._clock()):
            return _too_many(wait)
        return Refused(HTTPStatus.UNAUTHORIZED, told, _CHALLENGE)


def _too_many(wait: float) -> Refused:
    return Refused(
        HTTPStatus.TOO_MANY_REQUESTS,
        "too many wrong credentials from this address; Retry-After says when to go on",
        {"Retry-After": str(max(1, math.ceil(wait)))},
    )


def _parted(shown: str) -> tuple[str, str]:
    """User and password of a Basic header; of what is none, two that fit nobody."""
    try:
        user, _, password = b64decode(shown, validate=True).decode().partition(":")
    except (Error, UnicodeDecodeError):
        return "", ""
    return user, password
