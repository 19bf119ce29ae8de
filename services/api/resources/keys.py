"""API keys: for programs, shown once, narrowed by scopes and sites, and never without an end."""

from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import Path
from pydantic import Field, StringConstraints
from sqlalchemy import Connection

from services.api.access.guard import Router, needs
from services.api.access.visit import Visit
from services.api.deps import Visitor
from services.api.listing import Payload
from services.api.problem import GARBLED, MISSING, NotFound
from shared.db.access import AccessRefused, keys, principals

Prefix = Annotated[str, Path(pattern="^[0-9a-f]{8}$", description="the part after lab_")]
Words = Annotated[
    str, StringConstraints(strip_whitespace=True, pattern=r"^[^\x00-\x1f\x7f]{1,80}$")
]
Scope = Annotated[str, StringConstraints(pattern=r"^[a-z_*]{1,40}(:[a-z_*]{1,40})?$")]
SiteWord = Annotated[str, StringConstraints(pattern="^[a-z0-9][a-z0-9_-]{0,62}$")]


class Key(Payload):
    """One key without its secret; times in UTC."""

    prefix: str = Field(description="lab_{prefix}_… is how it begins", examples=["3f9a1c20"])
    name: str = Field(examples=["dashboard"])
    owner: str = Field(examples=["dewi"])
    scopes: list[str] = Field(examples=[["*:read"]])
    sites: list[str] | None = Field(description="null: wherever its owner may")
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None = Field(description="to the minute; null: never")
    revoked_at: datetime | None


class NewKey(Key):
    """A key as it is shown once."""

    key: str = Field(description="keep it: it is never to be had again")


class Keys(Payload):
    """Every key that may be seen, the newest first."""

    items: list[Key]
    next: None = Field(default=None, description="always null: the whole list is here")


class Wanted(Payload):
    """A key to be made."""

    name: Words = Field(examples=["dashboard"])
    scopes: list[Scope] = Field(
        default=["*:read"],
        min_length=1,
        max_length=40,
        description="`device:read`, `device:*`, `*:read` or `*`; never more than its owner may",
    )
    sites: list[SiteWord] | None = Field(
        default=None, min_length=1, max_length=100, description="null: wherever its owner may"
    )
    days: int = Field(default=90, ge=1, le=keys.LONGEST.days)


router = Router(tags=["access"])


async def visible(visit: Visit) -> list[keys.ApiKey]:
    """All keys for who manages them, else one's own."""
    whose = None if visit.may("key:read") else visit.actor.principal_id
    return await visit.connection.run_sync(keys.listed, whose)


async def make(visit: Visit, wanted: Wanted) -> keys.Made:
    """A new key of whoever asks; raises AccessRefused."""
    owner = visit.actor.principal_id
    assert owner is not None

    def made_by(connection: Connection) -> keys.Made:
        return keys.create(
            connection,
            owner,
            wanted.name,
            wanted.scopes,
            now=datetime.now(UTC),
            lifetime=timedelta(days=wanted.days),
            site_ids=principals.site_ids(connection, wanted.sites),
        )

    made = await visit.connection.run_sync(made_by)
    await _record(visit, "create", made.key, ("name", "scopes", "sites", "expires_at"))
    return made


async def end(visit: Visit, prefix: str) -> None:
    """Revoke a key at once, whosever for who manages keys; raises NotFound."""
    whose = None if visit.may("key:manage") else visit.actor.principal_id
    found = await _find(visit, prefix, whose)
    await visit.connection.run_sync(keys.revoke, found.id, datetime.now(UTC))
    await _record(visit, "revoke", found, ("revoked_at",))


async def renew(visit: Visit, prefix: str) -> keys.Made:
    """A new key like the old one of one's own, which goes on for a day.

    Raises NotFound, AccessRefused. Others' keys are not renewed: whoever sees one could be them.
    """
    found = await _find(visit, prefix, visit.actor.principal_id)
    made = await visit.connection.run_sync(
        lambda sync: keys.rotate(sync, found, datetime.now(UTC), overlap=keys.OVERLAP)
    )
    await _record(visit, "rotate", found, ("expires_at",), new=made.key.prefix)
    return made


async def _find(visit: Visit, prefix: str, whose: int | None) -> keys.ApiKey:
    try:
        return await visit.connection.run_sync(keys.find, prefix, whose)
    except AccessRefused:
        raise NotFound(f"no key {prefix!r}") from None


async def _record(
    visit: Visit, action: str, key: keys.ApiKey, changed: tuple[str, ...], **more: str
) -> None:
    values: dict[str, Any] = {
        "owner": key.owner,
        "scopes": [*key.scopes],
        "sites": None if key.sites is None else [*key.sites],
        "expires_at": key.expires_at.isoformat(),
        **more,
    }
    await visit.record(action, f"key/{key.prefix}", changed=changed, values=values)


@router.get("/keys", summary="Keys", dependencies=[needs("self:read")])
async def _list(visit: Visitor) -> Keys:
    return Keys(items=[Key.model_validate(each) for each in await visible(visit)])


@router.post(
    "/keys",
    summary="Make a key",
    description="For somebody signed in: a key makes no other. Send the session's x-csrf-token.",
    status_code=HTTPStatus.CREATED,
    dependencies=[needs("self:keys")],
    responses=GARBLED,
)
async def _make(visit: Visitor, wanted: Wanted) -> NewKey:
    return _new(await make(visit, wanted))


@router.post(
    "/keys/{prefix}/rotate",
    summary="Replace a key; the old one goes on for 24 hours",
    status_code=HTTPStatus.CREATED,
    dependencies=[needs("self:keys")],
    responses=MISSING,
)
async def _rotate(visit: Visitor, prefix: Prefix) -> NewKey:
    return _new(await renew(visit, prefix))


@router.delete(
    "/keys/{prefix}",
    summary="Revoke a key",
    status_code=HTTPStatus.NO_CONTENT,
    dependencies=[needs("self:keys")],
    responses=MISSING,
)
async def _revoke(visit: Visitor, prefix: Prefix) -> None:
    await end(visit, prefix)


def _new(made: keys.Made) -> NewKey:
    return NewKey(**Key.model_validate(made.key).model_dump(), key=made.text)
