"""Who has been recognised lately: remembered, and forgotten with the first change of anything."""

from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection

from services.api.access.credentials import Credentials
from shared.db import scope
from shared.db.access import actor as actors
from shared.db.access.actor import SEEN_EVERY, Actor
from shared.db.access.token import digest, is_key
from shared.domain.permission import Grant
from shared.settings import Access

MOST: Final = 10_000
_CITIZEN: Final = Grant("citizen")


@dataclass(slots=True)
class Known:
    """Actors by what they showed, as of one version of `access_state`."""

    settings: Access
    version: int = -1
    _actors: OrderedDict[bytes, Actor] = field(default_factory=OrderedDict)

    @property
    def nobody(self) -> Actor:
        """Whoever shows nothing: a citizen where pages are public, else without any right."""
        return Actor(None, "anonymous", "nobody", (_CITIZEN,) if self.settings.public else ())

    def remembered(self, shown: Credentials, now: datetime) -> Actor | None:
        """The actor known by these credentials, unless it has to be looked up anew."""
        actor = self._actors.get(_name(shown))
        return actor if actor and actor.ends_at and actor.ends_at > now else None

    def forget(self, version: int) -> None:
        """Forget everybody: something has changed since."""
        self._actors.clear()
        self.version = version

    def look_up(
        self, connection: Connection, shown: Credentials, now: datetime, version: int
    ) -> Actor | None:
        """Ask the database whose credentials these are; None: nobody's, or no longer.

        version: as it was before asking. Remembered only if nobody has seen a newer one since:
        what was read may be older than that.
        """
        scope.enter(connection, None)  # the names of their sites; whoever asks here enters anew
        found = self._read(connection, shown)
        if found is None or found.ends_at is None or found.ends_at <= now:
            return None
        if version == self.version:
            self._actors[_name(shown)] = found
        if len(self._actors) > MOST:
            self._actors.popitem(last=False)
        return found

    def drop(self, shown: Credentials) -> None:
        """Forget one."""
        self._actors.pop(_name(shown), None)

    @staticmethod
    def is_noted(actor: Actor, now: datetime) -> bool:
        """Whether its last use is written down precisely enough."""
        return actor.seen_at is not None and now - actor.seen_at < SEEN_EVERY

    def _read(self, connection: Connection, shown: Credentials) -> Actor | None:
        if shown.kind == "key":
            found = actors.by_key(connection, shown.token) if is_key(shown.token) else None
        else:
            found = actors.by_session(
                connection,
                shown.token,
                idle=timedelta(minutes=self.settings.session_idle_min),
                absolute=timedelta(hours=self.settings.session_hours),
            )
        if found is None or not self.settings.public:
            return found
        return found.with_grant(_CITIZEN)


def _name(shown: Credentials) -> bytes:
    return shown.kind.encode() + digest(shown.token)
