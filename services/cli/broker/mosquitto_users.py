"""The users of Mosquitto: a role and a client for each source, by dynamic security, live."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, urlsplit

from services.cli.broker.dynsec import Admin, AdminRefused, Command, accepts, administrator
from shared.db.credentials import Grant
from shared.errors import OperatorError
from shared.settings import Broker, Mqtt

Acl = tuple[str, str, bool]
Step = tuple[str, list[Command]]  # a line of the diff, and what brings it about
# Deny all that no role allows. By default the plugin lets everybody *receive*: who then connects
# under ingest's client id is sent what waits for it (measured).
_DEFAULTS: Final = {
    "publishClientSend": False,
    "publishClientReceive": False,
    "subscribe": False,
    "unsubscribe": True,
}
_OURS: Final = {
    (kind, topic, True)
    for kind in ("publishClientReceive", "subscribePattern")
    for topic in ("#", "$SYS/#")
} | {("publishClientSend", "#", True)}


@dataclass(frozen=True, slots=True)
class State:
    """What the broker has: clients by name with their roles, roles by name with their rules."""

    defaults: dict[str, bool]
    clients: dict[str, tuple[list[str], bool]]
    roles: dict[str, set[Acl]]


def sync(
    broker: Broker,
    mqtt: Mqtt,
    grants: Sequence[Grant],
    passwords: Mapping[str, str],
    *,
    dry_run: bool,
) -> list[str]:
    """Bring every broker to the grants; returns the diff. `passwords`: those just made.

    Only names with a dot (SITE.SOURCE) and ingest's own user are looked after: others stay.
    """
    if not (mqtt.username and mqtt.password):
        raise OperatorError("LAB_MQTT_URL: has no user and password: ingest would be refused")
    diff, failed = [], []
    for url in broker.urls:  # each, also after one has failed: who is revoked must be cut off
        place = Mqtt(url=url, ca=mqtt.ca)
        try:
            lines = _brought(place, mqtt, grants, passwords, dry_run=dry_run)
        except AdminRefused as error:
            failed.append(str(error))
            continue
        several = f"{place.host}:{place.port} " if len(broker.urls) > 1 else ""
        diff += [f"{line[:2]}{several}{line[2:]}" for line in lines]
    if failed:
        raise AdminRefused(f"{'; '.join(failed)}: mend that, then `lab broker sync`")
    return diff


def _brought(
    place: Mqtt,
    mqtt: Mqtt,
    grants: Sequence[Grant],
    passwords: Mapping[str, str],
    *,
    dry_run: bool,
) -> list[str]:
    """Bring one broker to the grants; returns its diff."""
    user, password = mqtt.username or "", mqtt.password or ""
    with administrator(place) as admin:
        steps = [*_steps(_state(admin), grants, {**passwords, user: password}, user)]
        named = {line.split()[-1] for line, _ in steps}
        if user not in named and not accepts(_with_user(place, user, password)):
            steps.append((f"~ user {user}: new password", [_password(mqtt)]))
        if not dry_run:
            admin.run([command for _, commands in steps for command in commands])
    return [line for line, _ in steps]


def _state(admin: Admin) -> State:
    everything = {"verbose": True, "count": -1, "offset": 0}
    defaults, clients, roles = admin.run(
        [
            {"command": "getDefaultACLAccess"},
            {"command": "listClients", **everything},
            {"command": "listRoles", **everything},
        ]
    )
    return State(
        {each["acltype"]: each["allow"] for each in defaults["acls"]},
        {
            each["username"]: (
                [role["rolename"] for role in each["roles"]],
                bool(each.get("disabled")) or bool(each["groups"]),
            )
            for each in clients["clients"]
        },
        {each["rolename"]: {_acl(acl) for acl in each["acls"]} for each in roles["roles"]},
    )


def _steps(
    state: State, grants: Sequence[Grant], passwords: Mapping[str, str], ours: str
) -> Iterator[Step]:
    if state.defaults != _DEFAULTS:
        acls = [{"acltype": kind, "allow": allow} for kind, allow in _DEFAULTS.items()]
        command = {"command": "setDefaultACLAccess", "acls": acls}
        yield "~ what no role allows is denied", [command]
    wanted = {ours: _OURS} | {
        grant.user: {("publishClientSend", each, True) for each in grant.filters}
        for grant in grants
    }
    for user in sorted(state.clients.keys() | state.roles.keys()):
        if "." in user and user not in wanted:
            yield f"- user {user}", [*_removal(state, user)]
    for user, acls_of in wanted.items():
        yield from _role(state, user, acls_of)
        yield from _client(state, user, passwords)


def _removal(state: State, user: str) -> Iterator[Command]:
    """Deleting a client cuts its connection."""
    if user in state.clients:
        yield {"command": "deleteClient", "username": user}
    if user in state.roles:
        yield {"command": "deleteRole", "rolename": user}


def _role(state: State, user: str, wanted: set[Acl]) -> Iterator[Step]:
    acls = [{"acltype": k, "topic": t, "allow": a, "priority": 0} for k, t, a in sorted(wanted)]
    have = state.roles.get(user)
    told = ", ".join(sorted({topic for _, topic, _ in wanted}))
    if have is None:
        command = {"command": "createRole", "rolename": user, "acls": acls}
        yield f"+ role {user}: {told}", [command]
    elif have != wanted:
        before = ", ".join(sorted({topic for _, topic, _ in have}))
        command = {"command": "modifyRole", "rolename": user, "acls": acls}
        yield f"~ role {user}: {before} → {told}", [command]


def _client(state: State, user: str, passwords: Mapping[str, str]) -> Iterator[Step]:
    named: Command = {"username": user, "roles": [{"rolename": user, "priority": 0}]}
    if user not in state.clients:
        if user in passwords:
            command = {"command": "createClient", **named, "password": passwords[user]}
            yield f"+ user {user}", [command]
        else:
            again = f"lab broker credential {user.replace('.', '/', 1)}"
            yield f"! user {user}: not at the broker, and its password is not kept: `{again}`", []
        return
    if "." in user and user in passwords:
        new = {"command": "setClientPassword", "username": user, "password": passwords[user]}
        yield f"~ user {user}: new password", [new]
    roles, changed = state.clients[user]
    if roles != [user] or changed:
        enable = {"command": "enableClient", "username": user}
        modify = {"command": "modifyClient", **named, "groups": []}
        yield f"~ user {user}: has its own role and no other", [modify, enable]


def _acl(told: Mapping[str, Any]) -> Acl:
    return told["acltype"], told["topic"], told["allow"]


def _password(mqtt: Mqtt) -> Command:
    return {
        "command": "setClientPassword",
        "username": mqtt.username,
        "password": mqtt.password,
    }


def _with_user(place: Mqtt, user: str, password: str) -> Mqtt:
    parts = urlsplit(place.url)
    host = parts.netloc.rpartition("@")[2]
    account = f"{quote(user, safe='')}:{quote(password, safe='')}"
    return Mqtt(url=f"{parts.scheme}://{account}@{host}", ca=place.ca)
