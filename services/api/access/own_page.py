"""That a form was sent by a page of ours: by what browsers say, and a token only we can write."""

import hmac
from hashlib import sha256
from typing import Final
from urllib.parse import parse_qsl

from fastapi import Request

from services.api.problem import Forbidden

FIELD: Final = "csrf"
HEADER: Final = "x-csrf-token"
FOREIGN: Final = "this was sent by a page of another site"
STALE: Final = "this page is of another session: load it again"
_FIELDS: Final = 60


def csrf_token(session: str) -> str:
    """What forms of this session carry: made from its token, so that nothing has to be kept."""
    return hmac.new(session.encode(), b"csrf", sha256).hexdigest()


def require_own_origin(request: Request) -> None:
    """Raise Forbidden for what another site's page sent; programs say nothing of where from."""
    site = request.headers.get("sec-fetch-site", "same-origin")
    origin = request.headers.get("origin")
    ours = f"{request.url.scheme}://{request.headers.get('host', '')}"
    if site not in ("same-origin", "none") or origin not in (None, ours):
        raise Forbidden(FOREIGN)


async def require_csrf(request: Request, session: str) -> None:
    """Raise Forbidden unless header or form carry the session's own token."""
    require_own_origin(request)
    shown = request.headers.get(HEADER) or (await form(request)).get(FIELD, "")
    if not hmac.compare_digest(shown.encode(), csrf_token(session).encode()):
        raise Forbidden(STALE)


async def form(request: Request) -> dict[str, str]:
    """The fields of a posted form, the last of each name; of one with too many, none."""
    try:
        return dict(await fields(request))
    except ValueError:
        return {}


async def fields(request: Request) -> list[tuple[str, str]]:
    """Every field of a posted form in its order; raises ValueError for too many.

    A NUL, which no text of the database may hold, becomes the sign for what cannot be read.
    """
    said = (await request.body()).decode("ascii", "replace")
    found = parse_qsl(said, keep_blank_values=True, max_num_fields=_FIELDS)
    return [(name, value.replace("\0", "\ufffd")) for name, value in found]
