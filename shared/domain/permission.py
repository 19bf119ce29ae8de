"""Who may do what: one table of permissions, and which sites a set of grants opens."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal, get_args

Role = Literal["citizen", "researcher", "planner", "operator", "admin"]
ROLES: Final[tuple[Role, ...]] = get_args(Role)
GRANTED: Final[tuple[Role, ...]] = ROLES[1:]  # a citizen has no account: the role of everybody


@dataclass(frozen=True, slots=True)
class Permission:
    """What it takes to use one action of one resource.

    audited: reading is written down too, as every writing is (personal data, raw exports).
    everywhere: only with a grant for all sites, since what it shows belongs to none of them.
    person: for somebody signed in, never for a key: a key that leaked must not make others.
    """

    roles: frozenset[Role]
    audited: bool = False
    everywhere: bool = False
    person: bool = False


@dataclass(frozen=True, slots=True, order=True)
class Grant:
    """A role at one site; site_id and site None: at every site, also those to come."""

    role: Role
    site_id: int | None = None
    site: str | None = None


def _by(*roles: Role, audited: bool = False, everywhere: bool = False) -> Permission:
    return Permission(frozenset(roles), audited, everywhere)


_ALL: Final = ROLES
_STAFF: Final = GRANTED
_DUTY: Final[tuple[Role, ...]] = ("operator", "admin")

# resource:action → who may. A route names one of these; there are no others.
PERMISSIONS: Final[Mapping[str, Permission]] = {
    "catalogue:read": _by(*_ALL),
    "site:read": _by(*_ALL),
    "pilot:read": _by(*_ALL),
    "outcome:read": _by(*_ALL),
    "feedback:count": _by(*_ALL),  # how many and how content, never what they wrote
    "device:read": _by(*_STAFF),
    "datastream:read": _by(*_STAFF),
    "reading:read": _by(*_STAFF),
    "reading:export": _by(*_STAFF, audited=True),
    "finding:read": _by(*_STAFF),
    "finding:act": _by(*_DUTY),
    "ledger:read": _by("planner", *_DUTY),
    "event:read": _by(*_DUTY),
    "uplink:read": _by(*_DUTY, audited=True),  # whatever a device sent, as it sent it
    "reject:read": _by(*_DUTY, audited=True),
    "ingest:push": _by(*_DUTY),  # messages over HTTP, to sources of those sites
    "reject:redrive": _by(*_DUTY),
    "reading:reprocess": _by(*_DUTY),
    "task:read": _by(*_DUTY),
    "metrics:read": _by(*_DUTY, everywhere=True),
    "user:read": _by("admin", everywhere=True),
    "key:read": _by("admin", everywhere=True),
    # By people only: what a key that leaked could make would outlive its end.
    "user:manage": Permission(frozenset({"admin"}), everywhere=True, person=True),
    "key:manage": Permission(frozenset({"admin"}), everywhere=True, person=True),
    "audit:read": _by("admin", audited=True, everywhere=True),
    "self:read": _by(*_STAFF),
    "self:keys": Permission(frozenset(_STAFF), person=True),
}


def opened(grants: Iterable[Grant], name: str) -> frozenset[int] | None:
    """Ids of the sites where these grants allow `name`; None: every site; empty: not at all.

    Raises KeyError for a name that is no permission.
    """
    wanted = PERMISSIONS[name]
    fitting = [grant for grant in grants if grant.role in wanted.roles]
    if any(grant.site_id is None for grant in fitting):
        return None
    if wanted.everywhere:
        return frozenset()
    return frozenset(grant.site_id for grant in fitting if grant.site_id is not None)


# What a key needs beside, where several things stand on one page: `*:read` covers it.
PAGE: Final = "page"


def covers(scopes: Iterable[str], name: str) -> bool:
    """Whether the scopes of a key include a permission: itself, `*:read`, `device:*` or `*`."""
    resource, _, action = name.partition(":")
    return not {name, f"*:{action}", f"{resource}:*", "*"}.isdisjoint(scopes)


def fault(scope: str) -> str | None:
    """Why a scope of a key is no scope, or None."""
    known = (*PERMISSIONS, f"{PAGE}:read", f"{PAGE}:write")
    if scope == "*" or any(covers([scope], name) for name in known):
        return None
    return f"{scope!r} covers no permission; known: {', '.join(PERMISSIONS)}, *:read, *"
